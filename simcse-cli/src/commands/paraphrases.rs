//! `simcse paraphrases` and `simcse cluster`: what is similar within a corpus.

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use simcse_eval::{communities, paraphrases};
use simcse_model::io::printable;

use crate::args::JsonArgs;
use crate::corpus::{Corpus, CorpusArgs};
use crate::error::Failure;
use crate::report::{self, counted};
use crate::{progress, stop};

const PARAPHRASES_HELP: &str = "\
Compares every sentence with every other one, and prints the most similar pairs, best first: their
similarity, and the two sentences, with tabs between them.

Examples:
  simcse paraphrases questions.txt --model output/my-model --threshold 0.9
  simcse paraphrases --index questions --max-pairs 1000 --json";

#[derive(Debug, Args)]
#[command(after_help = PARAPHRASES_HELP)]
pub(crate) struct ParaphrasesArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    /// The lowest similarity of a pair
    #[arg(long, value_name = "X", default_value_t = 0.75, value_parser = similarity)]
    threshold: f32,
    /// The most pairs to print
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    max_pairs: usize,
    #[command(flatten)]
    json: JsonArgs,
}

const CLUSTER_HELP: &str = "\
Groups sentences around one that is similar to all others of its group; most sentences usually belong to
none. Largest groups first, as community_detection of sentence-transformers.

Examples:
  simcse cluster questions.txt --model output/my-model --threshold 0.8 --min-size 5
  simcse cluster --index questions --json";

#[derive(Debug, Args)]
#[command(after_help = CLUSTER_HELP)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    /// The lowest similarity to a group's first sentence
    #[arg(long, value_name = "X", default_value_t = 0.75, value_parser = similarity)]
    threshold: f32,
    /// The smallest group
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = group_size)]
    min_size: usize,
    #[command(flatten)]
    json: JsonArgs,
}

fn similarity(text: &str) -> Result<f32, String> {
    let parsed = text.parse().ok().filter(|value| (-1.0..=1.0).contains(value));
    parsed.ok_or_else(|| "expected a similarity between -1 and 1".to_owned())
}

fn group_size(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&size| size > 0).ok_or_else(|| "expected 1 or more".to_owned())
}

/// Prints the most similar pairs.
pub(crate) fn run_paraphrases(args: &ParaphrasesArgs) -> Result<(), Failure> {
    let _deferred = stop::defer();
    let Corpus { texts, vectors } = Corpus::read(&args.corpus)?;
    let bar = progress::sentences_bar(Some(texts.len() as u64));
    let pairs = paraphrases(&vectors, args.threshold, args.max_pairs, |done| shown(&bar, done));
    bar.finish_and_clear();
    for pair in pairs.ok_or_else(stopped)? {
        let [a, b] = [pair.first, pair.second].map(|row| &texts[row]);
        if args.json.json {
            let rows = [pair.first, pair.second];
            report::print_json(&json!({ "score": pair.score, "rows": rows, "sentence1": a, "sentence2": b }))?;
        } else {
            report::print(&format!("{:.4}\t{}\t{}", pair.score, printable(a), printable(b)))?;
        }
    }
    Ok(())
}

/// Prints the groups.
pub(crate) fn run_cluster(args: &ClusterArgs) -> Result<(), Failure> {
    let _deferred = stop::defer();
    let Corpus { texts, vectors } = Corpus::read(&args.corpus)?;
    let bar = progress::sentences_bar(Some(texts.len() as u64));
    let groups = communities(&vectors, args.threshold, args.min_size, |done| shown(&bar, done));
    bar.finish_and_clear();
    let groups = groups.ok_or_else(stopped)?;
    for (number, group) in groups.iter().enumerate() {
        let sentences: Vec<&String> = group.iter().map(|&row| &texts[row]).collect();
        if args.json.json {
            report::print_json(&json!({ "rows": group, "sentences": sentences }))?;
            continue;
        }
        let lines = sentences.iter().map(|text| format!("  {}", printable(text))).collect::<Vec<_>>().join("\n");
        let gap = if number == 0 { "" } else { "\n" };
        report::print(&format!(
            "{gap}group {}, {}\n{lines}",
            number + 1,
            counted(group.len(), "sentence", "sentences")
        ))?;
    }
    let grouped: usize = groups.iter().map(Vec::len).sum();
    let of = counted(texts.len(), "sentence", "sentences");
    report::note(&format!("{} with {grouped} of {of}", counted(groups.len(), "group", "groups")));
    Ok(())
}

fn shown(bar: &ProgressBar, done: usize) -> bool {
    bar.set_position(done as u64);
    !stop::requested()
}

fn stopped() -> Failure {
    Failure::Stopped("stopped".to_owned())
}
