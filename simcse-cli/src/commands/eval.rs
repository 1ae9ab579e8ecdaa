//! `simcse eval`: the scores of a model, or of the BM25 baseline.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use simcse_eval::reranking::Skipped;
use simcse_eval::{Bm25Scores, Columns, RerankScores, Reranking, Split, Sts, StsOptions, StsScores};
use simcse_model::Named;

use crate::args::{JsonArgs, ModelArgs, PrecisionArgs, PromptArgs, named};
use crate::error::Failure;
use crate::inputs::{data_path, load};
use crate::progress;
use crate::report::{self, counted};

const HELP: &str = "\
Examples:
  simcse eval askubuntu --model output/my-model --data askubuntu --split test
  simcse eval sts --model output/my-model --data sts-dev.csv --json";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Rank the candidates of each query by cosine similarity: MAP, MRR@10, nDCG@10, P@1, P@5
    Askubuntu(AskubuntuArgs),
    /// Correlate cosine similarities with human scores: Spearman, Pearson
    Sts(StsArgs),
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
    prompt: PromptArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    json: JsonArgs,
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
    model: ModelArgs,
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
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    json: JsonArgs,
}

/// The JSON object that an evaluation prints.
#[derive(Serialize)]
struct Report<S> {
    #[serde(flatten)]
    scores: S,
    left_out: Value,
}

pub(crate) fn run(args: EvalArgs) -> Result<(), Failure> {
    match args.benchmark {
        Benchmark::Askubuntu(args) => askubuntu(&args),
        Benchmark::Sts(args) => sts(&args),
    }
}

fn askubuntu(args: &AskubuntuArgs) -> Result<(), Failure> {
    let reranking = Reranking::read(data_path(&args.data)?, args.split)?;
    let skipped = reranking.skipped;
    match (args.baseline, &args.model) {
        (None, Some(model)) => {
            let texts = reranking.texts()?.len();
            let encoder = load(model, args.precision.get())?;
            let bar = progress::sentences_bar(Some(texts as u64));
            let scores = reranking.evaluate_while(&encoder, args.prompt.given(&encoder)?, progress::shown_on(&bar))?;
            let scores = scores.expect("the bar stops nothing");
            drop(bar); // clears it
            print_figures(args.json.json, &scores, left_out(skipped), || rerank_text(&scores, skipped))
        }
        _ => {
            let scores = reranking.baseline_bm25()?;
            print_figures(args.json.json, &scores, left_out(skipped), || bm25_text(&scores, skipped))
        }
    }
}

fn sts(args: &StsArgs) -> Result<(), Failure> {
    let options = StsOptions { columns: args.columns.clone(), split: args.split.clone() };
    let sts = Sts::read_with(&args.data, &options)?;
    let encoder = load(&args.model.model, args.model.precision.get())?;
    let bar = progress::sentences_bar(Some(sts.texts().len() as u64));
    let scores = sts.evaluate_while(&encoder, args.prompt.given(&encoder)?, progress::shown_on(&bar))?;
    let scores = scores.expect("the bar stops nothing");
    drop(bar); // clears it
    let left_out = json!({ "without_score": sts.skipped });
    print_figures(args.json.json, &scores, left_out, || sts_text(&scores, sts.skipped))
}

fn print_figures(
    as_json: bool,
    scores: &impl Serialize,
    left_out: Value,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if as_json { report::print_json(&Report { scores, left_out }) } else { report::print(&text()) }
}

fn left_out(skipped: Skipped) -> Value {
    json!({ "without_positives": skipped.without_positives, "without_negatives": skipped.without_negatives })
}

fn queries(count: usize) -> String {
    counted(count, "query", "queries")
}

fn rerank_text(scores: &RerankScores, skipped: Skipped) -> String {
    let Skipped { without_positives, without_negatives } = skipped;
    let figures = figures_of(scores).map(|(name, figure)| (name, [Some(figure)]));
    format!(
        "{} ranked; left out: {without_positives} without positives, {without_negatives} without negatives\n\n{}",
        queries(scores.queries),
        report::table([""], &figures)
    )
}

fn bm25_text(scores: &Bm25Scores, skipped: Skipped) -> String {
    let Bm25Scores { published, comparable, mrr } = scores;
    let Skipped { without_positives, without_negatives } = skipped;
    let [map, rest @ ..] = figures_of(published);
    let [comparable_map, comparable_rest @ ..] = figures_of(comparable);
    let mut rows = vec![(map.0, [Some(map.1), Some(comparable_map.1)]), ("MRR", [Some(*mrr), None])];
    rows.extend(rest.iter().zip(comparable_rest).map(|(a, b)| (a.0, [Some(a.1), Some(b.1)])));
    format!(
        "BM25's order of the candidates\n\
         published:  {}, all that have a positive, as in the published figures; left out: {without_positives} \
         without positives\n\
         comparable: {}, those that a model is scored on; left out: {without_positives} without positives, \
         {without_negatives} without negatives\n\n{}",
        queries(published.queries),
        queries(comparable.queries),
        report::table(["published", "comparable"], &rows)
    )
}

fn figures_of(scores: &RerankScores) -> [(&'static str, f64); 5] {
    [
        ("MAP", scores.map),
        ("MRR@10", scores.mrr_at_10),
        ("nDCG@10", scores.ndcg_at_10),
        ("P@1", scores.p_at_1),
        ("P@5", scores.p_at_5),
    ]
}

fn sts_text(scores: &StsScores, without_score: usize) -> String {
    let figures = [("Spearman", [Some(scores.spearman_cosine)]), ("Pearson", [Some(scores.pearson_cosine)])];
    format!(
        "{} scored by cosine similarity; left out: {without_score} without a score\n\n{}",
        counted(scores.pairs, "pair", "pairs"),
        report::table([""], &figures)
    )
}
