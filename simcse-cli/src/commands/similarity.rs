//! `simcse similarity`: cosine similarities of texts.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use ndarray::Array2;
use serde_json::json;

use crate::args::{JsonArgs, ModelArgs, PromptArgs};
use crate::corpus::{encode, read_pairs, read_texts};
use crate::error::Failure;
use crate::inputs::load_to_encode;
use crate::report;

const HELP: &str = "\
Prints cosine similarities, between -1 and 1.

Examples:
  simcse similarity --model output/my-model \"slow boot\" \"it takes minutes to start\"
  simcse similarity --model output/my-model --pairs pairs.csv
  simcse similarity --model output/my-model --left a.txt --right b.txt > matrix.tsv";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SimilarityArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Two texts
    #[arg(num_args = 2, required_unless_present_any = ["pairs", "left"], conflicts_with_all = ["pairs", "left"])]
    texts: Vec<String>,
    /// A table of pairs, .csv, .tsv or .jsonl: one similarity for each
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// The two columns of --pairs, separated by a comma [default: those with usual names]
    #[arg(long, value_name = "A,B", requires = "pairs", value_delimiter = ',', num_args = 1)]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    text_columns: Vec<String>,
    /// A file of texts, each of which is compared with each of --right: a row of the matrix for
    /// each
    #[arg(long, value_name = "FILE", requires = "right", conflicts_with = "pairs")]
    left: Option<PathBuf>,
    /// A file of texts: a column of the matrix for each
    #[arg(long, value_name = "FILE", requires = "left")]
    right: Option<PathBuf>,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &SimilarityArgs) -> Result<(), Failure> {
    let pairs = args.pairs.as_ref().map(|path| read_pairs(path, &args.text_columns)).transpose()?;
    let encoder = load_to_encode(&args.model.model, args.model.precision.get())?;
    let prompt = args.prompt.resolve(&encoder)?;
    let unit_rows = |texts: &[String]| {
        let vectors = encode(&encoder, prompt, texts)?;
        Ok::<_, Failure>(vectors.decoded(0..vectors.len()))
    };
    if let (Some(left), Some(right)) = (&args.left, &args.right) {
        let [left, right] = [read_texts(left, None)?, read_texts(right, None)?];
        return print_matrix(&unit_rows(&left)?, &unit_rows(&right)?, args.json.json);
    }
    let (left, right) = pairs.unwrap_or_else(|| (args.texts[..1].to_vec(), args.texts[1..].to_vec()));
    let [rows, columns] = [unit_rows(&left)?, unit_rows(&right)?];
    for (((a, b), row), column) in left.iter().zip(&right).zip(rows.rows()).zip(columns.rows()) {
        let similarity = row.dot(&column);
        if args.json.json {
            report::print_json(&json!({ "sentence1": a, "sentence2": b, "similarity": similarity }))?;
        } else {
            report::print(&format!("{similarity:.6}"))?;
        }
    }
    Ok(())
}

/// A line for each row on the left, with its similarities to those on the right.
fn print_matrix(left: &Array2<f32>, right: &Array2<f32>, is_json: bool) -> Result<(), Failure> {
    for row in left.rows() {
        let similarities = right.dot(&row);
        if is_json {
            report::print_json(&similarities.to_vec())?;
        } else {
            let texts: Vec<_> = similarities.iter().map(|similarity| format!("{similarity:.6}")).collect();
            report::print(&texts.join("\t"))?;
        }
    }
    Ok(())
}
