//! Reads what a run trains on and is scored on, as the arguments say.

use std::path::Path;

use serde_json::{Map, Value};
use simcse_eval::{HeldOut, Reranking, Split, Sts, StsOptions, Titles};
use simcse_model::io::source_name;
use simcse_train::data::sentences::SentencesBuilder;
use simcse_train::{Recipe, Sentences};

use crate::commands::train::args::{ExcludeBy, TrainArgs};
use crate::commands::train::embedded;
use crate::commands::train::scorer::{Scorer, figures};
use crate::error::Failure;
use crate::inputs::data_path;

/// The sentences of a run, and its development and test sets.
pub(super) struct Data {
    pub(super) sentences: Sentences,
    /// How held-out questions were left out of the sentences.
    pub(super) exclude_by: Option<ExcludeBy>,
    pub(super) scorer: Scorer,
    /// The figures of a lexical baseline on the development set.
    pub(super) baseline: Option<Map<String, Value>>,
}

impl Data {
    /// Reads everything that the arguments name, except for the model.
    pub(super) fn read(args: &TrainArgs) -> Result<Self, Failure> {
        match (&args.sentences, &args.data) {
            (Some(file), _) => Self::of_sentences(args, file),
            (None, Some(data)) => Self::of_askubuntu(args, &data_path(data)?),
            (None, None) => Self::embedded(args),
        }
    }

    fn of_sentences(args: &TrainArgs, file: &Path) -> Result<Self, Failure> {
        let rerank = args.eval_rerank.as_ref().map(|path| Reranking::read(path, Split::Dev)).transpose()?;
        let scorer = Scorer { rerank, sts: sts(args)?, test: None };
        scorer.check_used(args)?;
        let sentences = Sentences::read_column(file, args.text_column.as_deref(), args.min_length())?;
        Ok(Self { sentences, exclude_by: None, scorer, baseline: None })
    }

    fn of_askubuntu(args: &TrainArgs, data: &Path) -> Result<Self, Failure> {
        let read = |split| Reranking::read(data, split).map(Some);
        let scorer = Scorer { rerank: read(Split::Dev)?, sts: sts(args)?, test: read(Split::Test)? };
        let published = args.settings.recipe() == Some(Recipe::St2021);
        let exclude_by = args.exclude_by.unwrap_or(if published { ExcludeBy::Id } else { ExcludeBy::Text });
        let sentences = titles(data, exclude_by, args.min_length())?;
        Ok(Self { sentences, exclude_by: Some(exclude_by), scorer, baseline: None })
    }

    fn embedded(args: &TrainArgs) -> Result<Self, Failure> {
        let sentences = embedded::sentences(args.min_length())?;
        let rerank = embedded::rerank()?;
        let baseline = Some(figures(&embedded::baseline(&sentences, &rerank)?, "eval"));
        let scorer = Scorer { rerank: Some(rerank), sts: sts(args)?, test: None };
        Ok(Self { sentences, exclude_by: None, scorer, baseline })
    }
}

fn sts(args: &TrainArgs) -> Result<Option<Sts>, Failure> {
    let options = StsOptions { columns: args.columns.clone(), split: args.split.clone() };
    Ok(args.eval_sts.as_ref().map(|path| Sts::read_with(path, &options)).transpose()?)
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
