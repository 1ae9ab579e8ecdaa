//! Scores a model on a set, next to baselines, and prints the figures.
//!
//! This file must not know any one kind of set.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value};
use simcse_eval::statistics::main_difference;
use simcse_eval::{Baseline, Cosine, Encoded, EvaluationSet, Scores, baselines};
use simcse_model::SentenceEncoder;

use crate::args::{JsonArgs, ModelArgs, PromptArgs};
use crate::commands::eval::untuned::untuned;
use crate::error::Failure;
use crate::figures::{difference_json, difference_line, figure_table};
use crate::inputs::load_to_encode;
use crate::progress;
use crate::report;

/// The arguments of every set.
#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) scoring: ScoringArgs,
}

/// How a model is scored, and how its figures are shown.
#[derive(Debug, Args)]
pub(crate) struct ScoringArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Score the model alone, without baselines (the untuned model, the mean of its word
    /// embeddings, TF-IDF and BM25)
    #[arg(long)]
    no_baselines: bool,
    /// The model before it was tuned, as a baseline [default: the one that the model's run.toml
    /// names, if that is a directory]
    #[arg(long, value_name = "MODEL", conflicts_with = "no_baselines")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    untuned: Option<String>,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// Scores the model that the arguments name.
pub(crate) fn judge(set: &dyn EvaluationSet, args: &JudgeArgs) -> Result<(), Failure> {
    let encoder = load_to_encode(&args.model.model, args.model.precision.get())?;
    judge_encoder(set, &args.model.model, &encoder, &args.scoring)
}

/// Scores a model, which `name` is the name of.
pub(crate) fn judge_encoder(
    set: &dyn EvaluationSet,
    name: &str,
    encoder: &SentenceEncoder,
    args: &ScoringArgs,
) -> Result<(), Failure> {
    let scores = score(set, encoder, &args.prompt)?;
    warn(&scores);
    let mut others = Vec::new();
    if !args.no_baselines {
        if let Some(untuned) = untuned(name, args.untuned.as_deref(), encoder.precision)? {
            let scores = score(set, &untuned, &args.prompt)?;
            others.push(Baseline { name: "untuned", label: "untuned", scores });
        }
        others.extend(baselines(set, encoder)?);
    }
    if args.json.json { report::print_json(&json(set, &scores, &others)) } else { print_text(set, &scores, &others) }
}

/// The figures of a model, with a progress bar.
pub(crate) fn score(
    set: &dyn EvaluationSet,
    encoder: &SentenceEncoder,
    prompt: &PromptArgs,
) -> Result<Scores, Failure> {
    let bar = progress::sentences_bar(Some(set.texts_to_encode() as u64));
    let encoded = Encoded::new(encoder).with_prompt(prompt.given(encoder)?).going_on_while(progress::shown_on(&bar));
    let scores = set.score(&mut Cosine::of(encoded))?;
    Ok(scores.expect("the bar stops nothing"))
}

/// Prints what is odd about a model's figures.
pub(crate) fn warn(scores: &Scores) {
    scores.warnings.iter().for_each(|warning| report::warn(&warning.to_string()));
}

fn json(set: &dyn EvaluationSet, scores: &Scores, others: &[Baseline]) -> Map<String, Value> {
    let mut object = scores.to_json();
    object.insert("left_out".to_owned(), set.left_out().to_json().into());
    if !others.is_empty() {
        let of_baseline = |baseline: &Baseline| {
            let mut object = baseline.scores.to_json();
            object.shift_remove(scores.unit.key());
            object
                .insert("difference".to_owned(), difference_json(&[main_difference(scores, &baseline.scores)]).into());
            (baseline.name.to_owned(), object.into())
        };
        object.insert("baselines".to_owned(), others.iter().map(of_baseline).collect::<Map<_, _>>().into());
    }
    object
}

fn print_text(set: &dyn EvaluationSet, scores: &Scores, others: &[Baseline]) -> Result<(), Failure> {
    let columns = others.iter().map(|baseline| (baseline.label, &baseline.scores));
    let columns: Vec<_> = [("model", scores)].into_iter().chain(columns).collect();
    let left_out = set.left_out();
    let left_out = if left_out.reasons.is_empty() { String::new() } else { format!("; left out: {left_out}") };
    let mut text = format!("{} scored{left_out}\n\n{}", scores.unit.counted(scores.count), figure_table(&columns));
    if !others.is_empty() {
        text += &format!("\n\n{} of the model, compared with\n", scores.main().label);
        let name_width = others.iter().map(|baseline| baseline.label.len()).max().unwrap_or(0);
        let line = |baseline: &Baseline| {
            let difference = &main_difference(scores, &baseline.scores);
            format!("  {:name_width$}  {}", baseline.label, difference_line(difference, scores))
        };
        text += &others.iter().map(line).collect::<Vec<_>>().join("\n");
    }
    report::print(&text)
}
