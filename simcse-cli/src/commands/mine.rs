//! `simcse mine`: hard negatives for pairs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PathBufValueParser, TypedValueParser};
use serde_json::json;
use simcse_eval::{Mined, Mining, Sampling, Triplet};
use simcse_model::io::write_atomically;

use crate::args::{JsonArgs, ModelArgs, PromptArgs, named};
use crate::corpus::{encode, read_pairs, read_texts};
use crate::error::Failure;
use crate::inputs::load_to_encode;
use crate::report::{self, counted};
use crate::{progress, stop};

const HELP: &str = "\
For each pair of a text and one that answers it, finds the most similar texts of a corpus that do not
answer it, and writes triplets that `simcse train` reads. The corpus is that of --corpus and all
positives; texts that are paired with the same anchor, and the anchor's own text, are left out.

The arguments have the names and defaults of sentence-transformers' mine_hard_negatives. The most similar
text is often an answer that nobody has paired; a margin keeps such texts out:

  simcse mine pairs.csv --model output/my-model --relative-margin 0.05 --output triplets.csv
  simcse train triplets.csv --model output/my-model

Other examples:
  simcse mine pairs.jsonl --corpus answers.txt.gz --model output/my-model --range-min 10 -o triplets.jsonl
  simcse mine pairs.csv --model output/my-model --sampling random --range-max 50 --scores -o triplets.tsv";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct MineArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// A table of pairs, .csv, .tsv or .jsonl: anchor and positive
    pairs: PathBuf,
    /// The two columns of the pairs, separated by a comma [default: those with usual names]
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 1)]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    text_columns: Vec<String>,
    /// More texts that can be negatives: a file of lines or a table
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Column of the corpus, if it is a table
    #[arg(long, value_name = "COLUMN", requires = "corpus", value_parser = NonEmptyStringValueParser::new())]
    corpus_column: Option<String>,
    /// The table of triplets to write: .csv, .tsv or .jsonl
    #[arg(long, short, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(Table::parse))]
    output: Table,
    /// Negatives for each anchor, at most
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count)]
    num_negatives: usize,
    /// Leave out this many of the most similar candidates
    #[arg(long, value_name = "N", default_value_t = 0)]
    range_min: usize,
    /// Look at this many candidates [default: as many as are needed; with --max-score or a margin,
    /// ten times as many]
    #[arg(long, value_name = "N", value_parser = count)]
    range_max: Option<usize>,
    /// The highest similarity of a negative
    #[arg(long, value_name = "S", allow_hyphen_values = true, value_parser = score)]
    max_score: Option<f32>,
    /// The lowest similarity of a negative
    #[arg(long, value_name = "S", allow_hyphen_values = true, value_parser = score)]
    min_score: Option<f32>,
    /// A negative must be less similar by this than the anchor's least similar positive
    #[arg(long, value_name = "S", allow_hyphen_values = true, value_parser = score)]
    absolute_margin: Option<f32>,
    /// The same as a share of the positive's similarity: 0.05 for at most 95% of it
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, value_parser = score)]
    relative_margin: Option<f32>,
    /// Which candidates become negatives: top or random
    #[arg(long, value_name = "NAME", default_value = "top", value_parser = named::<Sampling>)]
    sampling: Sampling,
    /// Of --sampling random
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    /// Also write the similarities, as columns positive_score and negative_score
    #[arg(long)]
    scores: bool,
    /// Put this text in front of every text of the corpus, instead of the model's own prompt;
    /// --prompt is for the anchors
    #[arg(long, value_name = "TEXT")]
    corpus_prompt: Option<String>,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    json: JsonArgs,
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "expected a positive number".to_owned())
}

/// A similarity, or a difference of two.
fn score(text: &str) -> Result<f32, String> {
    let found = text.parse().ok().filter(|score: &f32| (-2.0..=2.0).contains(score));
    found.ok_or_else(|| "expected a number between -2 and 2".to_owned())
}

/// The value of `--output`.
#[derive(Clone, Debug)]
enum Table {
    Separated(PathBuf, u8),
    Jsonl(PathBuf),
}

impl Table {
    fn parse(path: PathBuf) -> Result<Self, String> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Separated(path, b',')),
            Some("tsv") => Ok(Self::Separated(path, b'\t')),
            Some("jsonl") => Ok(Self::Jsonl(path)),
            _ => Err("expected a name ending in .csv, .tsv or .jsonl".to_owned()),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Separated(path, _) | Self::Jsonl(path) => path,
        }
    }
}

pub(crate) fn run(args: &MineArgs) -> Result<(), Failure> {
    let mining = args.mining();
    let pairs = Pairs::read(args)?;
    let candidates = mining.candidates(pairs.most_positives);
    if mining.range_min + mining.num_negatives > candidates {
        return Err(Failure::Usage(format!(
            "--range-max: expected at least --range-min and --num-negatives together, {}, found {candidates}",
            mining.range_min + mining.num_negatives
        )));
    }
    let encoder = load_to_encode(&args.model.model, args.model.precision.get())?;
    let prompts = &encoder.directory.prompts;
    let of_queries = args.prompt.given(&encoder)?.unwrap_or(prompts.query());
    let of_corpus = args.corpus_prompt.as_deref().unwrap_or(prompts.document());
    let corpus = encode(&encoder, encoder.prompt(of_corpus)?, &pairs.corpus)?;
    let queries = encode(&encoder, encoder.prompt(of_queries)?, &pairs.anchors)?;

    let bar = progress::sentences_bar(Some(pairs.anchors.len() as u64));
    let go_on = |done: usize| {
        bar.set_position(done as u64);
        !stop::requested()
    };
    let mined = mining.mine(&queries, &corpus, &pairs.positives, &pairs.own, pairs.most_positives, go_on);
    bar.finish_and_clear();
    let mined = mined.ok_or_else(|| Failure::Stopped("stopped".to_owned()))?;
    write(args, &pairs, &mined.triplets)?;
    summarize(args, &pairs, &mined)
}

impl MineArgs {
    fn mining(&self) -> Mining {
        Mining {
            num_negatives: self.num_negatives,
            range_min: self.range_min,
            range_max: self.range_max,
            max_score: self.max_score,
            min_score: self.min_score,
            absolute_margin: self.absolute_margin,
            relative_margin: self.relative_margin,
            sampling: self.sampling,
            seed: self.seed,
        }
    }
}

/// Pairs by anchor, and the corpus that their positives are part of.
struct Pairs {
    /// Each once, in the order of the file.
    anchors: Vec<String>,
    /// For each anchor, where its positives are in the corpus, each once.
    positives: Vec<Vec<usize>>,
    /// For each anchor, where its own text is in the corpus.
    own: Vec<Option<usize>>,
    /// Each text once.
    corpus: Vec<String>,
    /// The pairs of the anchor with the most of them.
    most_positives: usize,
}

impl Pairs {
    fn read(args: &MineArgs) -> Result<Self, Failure> {
        let (left, right) = read_pairs(&args.pairs, &args.text_columns)?;
        if left.is_empty() {
            return Err(Failure::Failed(format!("{}: expected pairs, found none", args.pairs.display())));
        }
        let more = args.corpus.as_ref().map(|path| read_texts(path, args.corpus_column.as_deref())).transpose()?;
        let mut corpus = Numbered::default();
        more.into_iter().flatten().for_each(|text| _ = corpus.number(text));
        let mut anchors = Numbered::default();
        let (mut positives, mut pairs) = (Vec::new(), Vec::new());
        for (anchor, positive) in left.into_iter().zip(right) {
            let (anchor, positive) = (anchors.number(anchor), corpus.number(positive));
            if anchor == positives.len() {
                positives.push(Vec::new());
                pairs.push(0);
            }
            pairs[anchor] += 1;
            if !positives[anchor].contains(&positive) {
                positives[anchor].push(positive);
            }
        }
        let own = anchors.texts.iter().map(|anchor| corpus.numbers.get(anchor).copied()).collect();
        let most_positives = pairs.into_iter().max().unwrap_or_default();
        Ok(Self { anchors: anchors.texts, positives, own, corpus: corpus.texts, most_positives })
    }
}

/// Different texts in the order in which they came.
#[derive(Default)]
struct Numbered {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Numbered {
    fn number(&mut self, text: String) -> usize {
        let next = self.texts.len();
        match self.numbers.get(&text) {
            Some(&number) => number,
            None => {
                self.texts.push(text.clone());
                self.numbers.insert(text, next);
                next
            }
        }
    }
}

/// Writes the triplets.
fn write(args: &MineArgs, pairs: &Pairs, triplets: &[Triplet]) -> Result<(), Failure> {
    let names = ["anchor", "positive", "negative", "positive_score", "negative_score"];
    let shown = if args.scores { 5 } else { 3 };
    let texts = |triplet: &Triplet| {
        [&pairs.anchors[triplet.query], &pairs.corpus[triplet.positive], &pairs.corpus[triplet.negative]]
    };
    write_atomically(args.output.path(), |file| match args.output {
        Table::Separated(_, separator) => {
            let mut table = csv::WriterBuilder::new().delimiter(separator).from_writer(file);
            table.write_record(&names[..shown])?;
            for triplet in triplets {
                let scores = [triplet.positive_score, triplet.negative_score].map(|score| score.to_string());
                table.write_record(texts(triplet).into_iter().chain(&scores).take(shown))?;
            }
            table.flush()
        }
        Table::Jsonl(_) => triplets.iter().try_for_each(|triplet| {
            let texts = texts(triplet).map(|text| json!(text));
            let scores = [triplet.positive_score, triplet.negative_score].map(|score| json!(score));
            let fields = names.map(str::to_owned).into_iter().zip(texts.into_iter().chain(scores));
            let object: serde_json::Map<_, _> = fields.take(shown).collect();
            serde_json::to_writer(&mut *file, &object)?;
            std::io::Write::write_all(file, b"\n")
        }),
    })?;
    Ok(())
}

fn summarize(args: &MineArgs, pairs: &Pairs, mined: &Mined) -> Result<(), Failure> {
    let Mined { triplets, within_margin, out_of_bounds, queries_short_of_negatives: short } = mined;
    let mean = |score: fn(&Triplet) -> f32| {
        let sum: f64 = triplets.iter().map(|triplet| f64::from(score(triplet))).sum();
        sum / triplets.len().max(1) as f64
    };
    let (positive, negative) = (mean(|triplet| triplet.positive_score), mean(|triplet| triplet.negative_score));
    if args.json.json {
        return report::print_json(&json!({
            "triplets": triplets.len(), "anchors": pairs.anchors.len(), "corpus": pairs.corpus.len(),
            "within_margin": within_margin, "out_of_bounds": out_of_bounds, "short_of_negatives": short,
            "mean_positive_score": positive, "mean_negative_score": negative,
        }));
    }
    report::note(&format!(
        "{} from {} and {}, written to {}; mean similarity {positive:.4} of the positives, {negative:.4} of the \
         negatives",
        counted(triplets.len(), "triplet", "triplets"),
        counted(pairs.anchors.len(), "anchor", "anchors"),
        counted(pairs.corpus.len(), "text", "texts"),
        args.output.path().display()
    ));
    if within_margin + out_of_bounds > 0 {
        report::note(&format!(
            "candidates left out: {within_margin} within the margin of a positive, {out_of_bounds} by their score"
        ));
    }
    if *short > 0 {
        let few = counted(*short, "anchor has", "anchors have");
        report::note(&format!("{few} fewer than {} negatives; a higher --range-max may find more", args.num_negatives));
    }
    Ok(())
}
