//! `simcse eval`: the scores of a model, next to baselines.
//!
//! This room knows arguments and how figures are shown. It must not know how they are computed.

mod compare;
mod data_sets;
mod judge;
mod untuned;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use simcse_eval::sets::Skipped;
use simcse_eval::{Bm25Scores, Columns, EvaluationSet, Figure, Reranking, Split, Sts, StsOptions};
use simcse_model::Named;

use crate::args::{PrecisionArgs, named};
use crate::error::Failure;
use crate::inputs::{data_path, load_to_encode};
use crate::report;
use compare::{CompareArgs, compare};
use data_sets::{LabelsArgs, PairsArgs, RetrievalArgs, SentEvalArgs, TripletsArgs};
use judge::{JudgeArgs, ScoringArgs, judge, judge_encoder};

const HELP: &str = "\
Examples:
  simcse eval askubuntu --model output/my-model --data askubuntu --split test
  simcse eval sts --model output/my-model --data sts-dev.csv --json
  simcse eval compare --model output/my-model --against distilroberta-base --data dev.jsonl

Every figure has its 95% bootstrap interval over queries, pairs or texts, and is compared with the \
untuned model, the mean of input word embeddings, TF-IDF and BM25.";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Rank the candidates of each query by cosine similarity: MAP, MRR@10, nDCG@10, P@1, P@5
    #[command(alias = "rerank")]
    Askubuntu(AskubuntuArgs),
    /// Correlate cosine similarities with human scores: Spearman, Pearson
    Sts(StsArgs),
    /// Correlate cosine similarities with human scores on the paper's seven STS sets
    Senteval(SentEvalArgs),
    /// Search a corpus for relevant documents: MAP@100, MRR@10, nDCG@10, Recall@100
    Retrieval(RetrievalArgs),
    /// Find the other half of pairs that belong together: accuracy, MRR@10
    Pairs(PairsArgs),
    /// Tell a positive from a negative: accuracy
    Triplets(TripletsArgs),
    /// Predict labels from the nearest neighbors: accuracy, macro F1
    Labels(LabelsArgs),
    /// Compare two models on a set of any kind: differences, intervals, what got better and worse
    Compare(CompareArgs),
}

const ASKUBUNTU_HELP: &str = "\
Queries without positives, or without negatives, are left out and counted. A model's prompts for \
queries and documents, if it has any, are put in front of queries and candidates, as \
sentence-transformers does. All figures are between 0 and 1.

Examples:
  simcse eval askubuntu --model output/my-model --data askubuntu --split test
  simcse eval askubuntu --data askubuntu --split test --baseline bm25";

#[derive(Debug, Args)]
#[command(after_help = ASKUBUNTU_HELP)]
struct AskubuntuArgs {
    /// The model: a sentence-transformers or Hugging Face directory, or a name on the hub. Not used
    /// with --baseline
    #[arg(long, value_name = "MODEL", required_unless_present = "baseline")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// The data: a directory in the layout of github.com/taolei87/askubuntu (text_tokenized.txt.gz
    /// or .txt, dev.txt, test.txt; only titles are used), `askubuntu` for the directory that
    /// `simcse fetch askubuntu` downloads, or a .jsonl file with lines of
    /// {"query": "…", "positive": ["…"], "negative": ["…"]}
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Queries to score: dev or test. A .jsonl file has no splits
    #[arg(long, value_name = "NAME", default_value = Split::Dev.name(), value_parser = named::<Split>)]
    split: Split,
    /// Score a baseline instead of a model: bm25, the order in which the directory lists the
    /// candidates
    #[arg(long, value_name = "NAME", value_parser = named::<Baseline>)]
    baseline: Option<Baseline>,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    scoring: ScoringArgs,
}

/// What can be scored without a model.
#[derive(Debug, Clone, Copy)]
enum Baseline {
    /// The order of the candidates in the file, which is that of their BM25 scores.
    Bm25,
}

impl Named for Baseline {
    const ALL: &'static [Self] = &[Self::Bm25];

    fn name(self) -> &'static str {
        match self {
            Self::Bm25 => "bm25",
        }
    }
}

const STS_HELP: &str = "\
Columns are found by the names in the first line (GLUE, SICK, sbert.net), by the layout of the STS-B \
file (score in field 5, sentences in fields 6 and 7), or by the types of the fields if only one \
answer is possible. Pairs without a score are left out and counted.

Examples:
  simcse eval sts --model output/my-model --data sts-dev.csv
  simcse eval sts --model output/my-model --data stsbenchmark.tsv.gz --split test
  simcse eval sts --model output/my-model --data pairs.csv --columns gold,left,right";

#[derive(Debug, Args)]
#[command(after_help = STS_HELP)]
struct StsArgs {
    #[command(flatten)]
    judge: JudgeArgs,
    /// Pairs of sentences with a score, tab-separated (without quoting), comma-separated (with
    /// quotes) or as JSON lines, plain or .gz
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Columns that hold the score and the two sentences: names in the first line, JSON keys, or
    /// numbers from 1, such as score,sentence1,sentence2 or 5,6,7
    #[arg(long, value_name = "SCORE,A,B", value_parser = str::parse::<Columns>)]
    columns: Option<Columns>,
    /// Split to score, from a file with a `split` column, such as dev or test
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
}

pub(crate) fn run(args: EvalArgs) -> Result<(), Failure> {
    match args.benchmark {
        Benchmark::Askubuntu(args) => askubuntu(&args),
        Benchmark::Sts(args) => sts(&args),
        Benchmark::Senteval(args) => judge(&args.read()?, &args.judge),
        Benchmark::Retrieval(args) => judge(&args.read()?, &args.judge),
        Benchmark::Pairs(args) => judge(&args.read()?, &args.judge),
        Benchmark::Triplets(args) => judge(&args.read()?, &args.judge),
        Benchmark::Labels(args) => judge(&args.read()?, &args.judge),
        Benchmark::Compare(args) => compare(&args),
    }
}

fn askubuntu(args: &AskubuntuArgs) -> Result<(), Failure> {
    let set = Reranking::read(data_path(&args.data)?, args.split)?;
    match (args.baseline, &args.model) {
        (None, Some(model)) => {
            set.texts()?;
            judge_encoder(&set, model, &load_to_encode(model, args.precision.get())?, &args.scoring)
        }
        _ => print_bm25(&set, &set.baseline_bm25()?, args.scoring.json.json),
    }
}

fn sts(args: &StsArgs) -> Result<(), Failure> {
    let options = StsOptions { columns: args.columns.clone(), split: args.split.clone() };
    judge(&Sts::read_with(&args.data, &options)?, &args.judge)
}

fn print_bm25(set: &Reranking, scores: &Bm25Scores, as_json: bool) -> Result<(), Failure> {
    let Bm25Scores { published, comparable } = scores;
    if as_json {
        let mut object = published.to_json();
        object.insert("comparable".to_owned(), comparable.to_json().into());
        object.insert("left_out".to_owned(), set.left_out().to_json().into());
        return report::print_json(&object);
    }
    let row = |figure: &Figure| (figure.label, [figure.sample.value(), comparable.get(figure.name)]);
    let rows: Vec<_> = published.figures.iter().map(row).collect();
    let Skipped { without_positives, .. } = set.skipped;
    report::print(&format!(
        "BM25's order of the candidates\n\
         published:  {}, all that have a positive, as in the published figures; left out: {without_positives} \
         without positives\n\
         comparable: {}, those that a model is scored on; left out: {}\n\n{}",
        published.unit.counted(published.count),
        comparable.unit.counted(comparable.count),
        set.left_out(),
        report::table(["published", "comparable"], &rows)
    ))
}
