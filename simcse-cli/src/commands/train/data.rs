//! Reads what a run trains on and is scored on, as the arguments say.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use simcse_eval::sets::open;
use simcse_eval::{EvaluationSet, HeldOut, Reranking, SetKind, Split, Titles, Unlabeled};
use simcse_model::io::source_name;
use simcse_train::data::builder::ExamplesBuilder;
use simcse_train::{Examples, Recipe};

use crate::commands::train::args::{ExcludeBy, TrainArgs};
use crate::commands::train::embedded;
use crate::commands::train::eval_sets::{EvalSet, check_names};
use crate::commands::train::scorer::{DevSet, Scorer, figures};
use crate::error::Failure;
use crate::inputs::{data_path, set_path};

/// The seed by which sentences are held out and corrupted: the same in all runs on a file, so that
/// their figures can be compared.
const HOLD_OUT_SEED: u64 = 42;

/// The examples of a run, and its development and test sets.
pub(super) struct Data {
    pub(super) examples: Examples,
    /// How held-out questions were left out of the examples.
    pub(super) exclude_by: Option<ExcludeBy>,
    pub(super) scorer: Scorer,
    /// The figures of a lexical baseline on the development set.
    pub(super) baseline: Option<Map<String, Value>>,
}

impl Data {
    /// Reads everything that the arguments name, except for the model.
    pub(super) fn read(args: &TrainArgs) -> Result<Self, Failure> {
        match (&args.sentences[..], &args.data) {
            ([], Some(data)) => Self::of_askubuntu(args, &data_path(data)?),
            ([], None) => Self::embedded(args),
            (given, _) => Self::of_files(args, given),
        }
    }

    fn of_files(args: &TrainArgs, given: &[PathBuf]) -> Result<Self, Failure> {
        let scorer = Scorer { sets: dev_sets(args)?, ..Scorer::default() };
        let files = files(given)?;
        let name = match given {
            [one] => source_name(one),
            several => format!("{} and {} more", source_name(&several[0]), several.len() - 1),
        };
        let min_length = |columns| args.min_length(columns);
        let examples = Examples::read_files(&files, &args.text_column, min_length, &name)?;
        Self::new(args, examples, scorer)
    }

    fn of_askubuntu(args: &TrainArgs, data: &Path) -> Result<Self, Failure> {
        let read = |split| Reranking::read(data, split).map(Box::new);
        let dev = DevSet { given: EvalSet::unnamed(SetKind::Rerank, data), set: read(Split::Dev)? };
        let sets = with_first(dev, dev_sets(args)?)?;
        let scorer = Scorer { sets, test: Some(read(Split::Test)?), ..Scorer::default() };
        let published = args.settings.recipe() == Some(Recipe::St2021);
        let exclude_by = args.exclude_by.unwrap_or(if published { ExcludeBy::Id } else { ExcludeBy::Text });
        let sentences = titles(data, exclude_by, args.min_length(1))?;
        Ok(Self { exclude_by: Some(exclude_by), ..Self::new(args, sentences, scorer)? })
    }

    fn embedded(args: &TrainArgs) -> Result<Self, Failure> {
        let sentences = embedded::sentences(args.min_length(1))?;
        let rerank = embedded::rerank()?;
        let baseline = Some(figures(&embedded::baseline(&sentences, &rerank)?, "eval"));
        let dev = DevSet { given: EvalSet::unnamed(SetKind::Rerank, rerank.path()), set: Box::new(rerank) };
        let scorer = Scorer { sets: with_first(dev, dev_sets(args)?)?, ..Scorer::default() };
        Ok(Self { baseline, ..Self::new(args, sentences, scorer)? })
    }

    /// Holds sentences out, if the arguments say so, and checks that they can be scored.
    fn new(args: &TrainArgs, mut examples: Examples, mut scorer: Scorer) -> Result<Self, Failure> {
        if let Some(count) = args.hold_out {
            let (rest, held_out) = examples.hold_out(count as usize, HOLD_OUT_SEED)?;
            examples = rest;
            scorer.unlabeled = Some(Unlabeled::new(held_out, HOLD_OUT_SEED));
        }
        scorer.check_used(args)?;
        Ok(Self { examples, exclude_by: None, scorer, baseline: None })
    }
}

/// The files that are given, and in place of a directory the files in it, sorted by their names.
/// Hidden ones and further directories in it are left out.
fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error: std::io::Error| Failure::Failed(format!("{}: {error}", source_name(path)));
        let entries = fs::read_dir(path).map_err(failed)?;
        let mut found: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_, _>>().map_err(failed)?;
        let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        found.retain(|path| path.is_file() && !is_hidden(path));
        found.sort();
        if found.is_empty() {
            let message = "expected files of sentences in the directory, found none";
            return Err(Failure::Failed(format!("{}: {message}", source_name(path))));
        }
        files.extend(found);
    }
    Ok(files)
}

/// The development sets that are given as flags.
fn dev_sets(args: &TrainArgs) -> Result<Vec<DevSet>, Failure> {
    check_names(args.eval_sets.0.iter())?;
    let read = |given: &EvalSet| -> Result<DevSet, Failure> {
        Ok(DevSet { given: given.clone(), set: open(set_path(&given.path)?, &given.options())? })
    };
    args.eval_sets.0.iter().map(read).collect()
}

/// The set that comes with the data, and those that are given as flags.
fn with_first(first: DevSet, others: Vec<DevSet>) -> Result<Vec<DevSet>, Failure> {
    let sets: Vec<_> = std::iter::once(first).chain(others).collect();
    check_names(sets.iter().map(|dev| &dev.given))?;
    Ok(sets)
}

/// The titles of an AskUbuntu directory that are not held out.
fn titles(data: &Path, exclude_by: ExcludeBy, min_length: usize) -> Result<Examples, Failure> {
    let held_out = HeldOut::read(data)?;
    let mut builder = ExamplesBuilder::new(min_length);
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
