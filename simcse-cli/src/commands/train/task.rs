//! What a run trains and on what, from the arguments.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use simcse_eval::{HeldOut, Reranking, Split, Sts, Titles};
use simcse_model::io::source_name;
use simcse_model::{Named, SentenceEncoder};
use simcse_train::data::sentences::SentencesBuilder;
use simcse_train::{Checkpoint, MemoryPlan, Recipe, Sentences, Settings};

use super::watcher::{Scorer, figures};
use super::{TrainArgs, embedded};
use crate::commands::{apply, data_path, load};
use crate::error::Failure;

/// What makes a title one of the held-out questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExcludeBy {
    /// Its id: other questions with the same title are trained on. The script of sentence-transformers 1.2 did so.
    Id,
    /// Its text, as `train_askubuntu_simcse.py` of sentence-transformers 6.2 does.
    Text,
}

impl Named for ExcludeBy {
    const ALL: &'static [Self] = &[Self::Id, Self::Text];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Text => "text",
        }
    }
}

/// A run before it begins.
pub(super) struct Task {
    /// The model as given.
    pub(super) model: String,
    pub(super) encoder: SentenceEncoder,
    pub(super) settings: Settings,
    pub(super) sentences: Sentences,
    pub(super) exclude_by: Option<ExcludeBy>,
    pub(super) scorer: Scorer,
    /// Figures of a lexical baseline on the development set.
    pub(super) baseline: Option<Map<String, Value>>,
}

impl Task {
    /// Reads everything that the arguments name. A resumed run has its model and settings `from` a checkpoint.
    pub(super) fn read(args: &TrainArgs, from: Option<&Checkpoint>) -> Result<Self, Failure> {
        let usage = |message: &str| Failure::Usage(message.to_owned());
        match (&args.sentences, &args.data, &args.model) {
            (Some(file), _, Some(model)) => Self::on_sentences(args, file, model, from),
            (None, Some(data), Some(model)) => Self::on_askubuntu(args, &data_path(data)?, model, from),
            (None, None, None) => Self::embedded(args, from),
            (None, None, Some(_)) => Err(usage(
                "nothing to train on: name a file of sentences, or --data; for example: \
                 simcse train titles.txt --model distilroberta-base",
            )),
            (.., None) => Err(usage(
                "no model: name one with --model, a directory or a name of the hub; for example: \
                 simcse train titles.txt --model distilroberta-base",
            )),
        }
    }

    /// Predicts the memory of the run, and cuts its batches into pieces if it would not fit in `limit` bytes otherwise.
    pub(super) fn plan_memory(&mut self, total_steps: u64, limit: Option<u64>) -> Result<MemoryPlan, Failure> {
        let Self { encoder, settings, sentences, scorer, .. } = self;
        Ok(simcse_train::plan_memory(settings, encoder, sentences, total_steps, scorer.texts(), limit)?)
    }

    fn on_sentences(args: &TrainArgs, file: &Path, model: &str, from: Option<&Checkpoint>) -> Result<Self, Failure> {
        let read = |path: &PathBuf| Reranking::read(path, Split::Dev);
        let rerank = args.eval_rerank.as_ref().map(read).transpose()?;
        let scorer = Scorer { rerank, sts: sts(args)?, test: None };
        Self::tune(args, model, from, scorer, None, || Ok(Sentences::read(file, args.min_length())?))
    }

    fn on_askubuntu(args: &TrainArgs, data: &Path, model: &str, from: Option<&Checkpoint>) -> Result<Self, Failure> {
        let read = |split| Reranking::read(data, split).map(Some);
        let scorer = Scorer { rerank: read(Split::Dev)?, sts: sts(args)?, test: read(Split::Test)? };
        let published = args.settings.recipe == Some(Recipe::St2021);
        let exclude_by = args.exclude_by.unwrap_or(if published { ExcludeBy::Id } else { ExcludeBy::Text });
        Self::tune(args, model, from, scorer, Some(exclude_by), || titles(data, exclude_by, args.min_length()))
    }

    /// Loads `model` to tune it on `sentences`.
    fn tune(
        args: &TrainArgs,
        model: &str,
        from: Option<&Checkpoint>,
        scorer: Scorer,
        exclude_by: Option<ExcludeBy>,
        sentences: impl FnOnce() -> Result<Sentences, Failure>,
    ) -> Result<Self, Failure> {
        if scorer.is_blind() && (args.settings.eval_steps.is_some() || args.settings.load_best_model_at_end) {
            let message =
                "--eval-steps and --load-best-model-at-end want a development set: --eval-rerank or --eval-sts";
            return Err(Failure::Usage(message.to_owned()));
        }
        let (mut encoder, settings) = match from {
            Some(checkpoint) => {
                (checkpoint.load_encoder()?, args.settings.over(checkpoint.provenance.settings.clone()))
            }
            None => {
                let encoder = load(model, &args.settings.precision)?;
                let settings = args.settings.resolve(&encoder);
                (encoder, settings)
            }
        };
        settings.check()?;
        apply(&settings, &mut encoder)?;
        let (model, sentences) = (model.to_owned(), sentences()?);
        Ok(Self { model, encoder, settings, sentences, exclude_by, scorer, baseline: None })
    }

    fn embedded(args: &TrainArgs, from: Option<&Checkpoint>) -> Result<Self, Failure> {
        let recorded = from.map(|checkpoint| checkpoint.provenance.settings.clone());
        let settings = args.settings.over(recorded.unwrap_or_else(embedded::settings));
        settings.check()?;
        let sentences = embedded::sentences(args.min_length())?;
        let mut encoder = match from {
            Some(checkpoint) => checkpoint.load_encoder()?,
            None => embedded::encoder(&sentences, &settings)?,
        };
        apply(&settings, &mut encoder)?;
        let rerank = embedded::rerank()?;
        let baseline = Some(figures(&json!(embedded::baseline(&sentences, &rerank)?), "eval"));
        let scorer = Scorer { rerank: Some(rerank), sts: sts(args)?, test: None };
        Ok(Self { model: embedded::MODEL.to_owned(), encoder, settings, sentences, exclude_by: None, scorer, baseline })
    }
}

fn sts(args: &TrainArgs) -> Result<Option<Sts>, Failure> {
    Ok(args.eval_sts.as_deref().map(Sts::read).transpose()?)
}

/// The titles of an AskUbuntu directory that are not held out.
fn titles(data: &Path, exclude_by: ExcludeBy, min_length: usize) -> Result<Sentences, Failure> {
    let held_out = HeldOut::read(data)?;
    let mut builder = SentencesBuilder::new(min_length);
    for question in Titles::open(data)? {
        let (id, title) = question?;
        let excluded = match exclude_by {
            ExcludeBy::Id => held_out.ids.contains(&id),
            ExcludeBy::Text => held_out.contains(&id, &title),
        };
        if !excluded {
            builder.push(&title);
        }
    }
    Ok(builder.finish(&source_name(data))?)
}
