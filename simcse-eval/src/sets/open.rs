//! An evaluation set of any kind, from a path.

use std::path::Path;

use simcse_model::Named;
use simcse_model::io::Records;

use crate::data::columns::Columns;
use crate::data::pairs::StsOptions;
use crate::data::rows::{ColumnList, RowOptions};
use crate::data::split::Split;
use crate::error::Error;
use crate::set::{EvaluationSet, SetKind};
use crate::sets::labels::Labels;
use crate::sets::positives::Positives;
use crate::sets::reranking::Reranking;
use crate::sets::retrieval::Retrieval;
use crate::sets::senteval::SentEval;
use crate::sets::sts::Sts;
use crate::sets::triplets::Triplets;

/// How to read a set whose kind, columns or split its path leaves open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// What kind of set it is.
    pub kind: Option<SetKind>,
    /// The columns of a table, in the order of the kind's fields.
    pub columns: Option<ColumnList>,
    /// The split of a directory or table.
    pub split: Option<String>,
}

/// Reads an evaluation set of any kind. Without a kind, the path is read as each of them, and must
/// make sense as exactly one.
///
/// | path | kind |
/// |---|---|
/// | a directory with `corpus.jsonl` | retrieval |
/// | a directory with `dev.txt` or `test.txt` | reranking (AskUbuntu) |
/// | any other directory | STS (SentEval) |
/// | a file | whatever its columns or keys are those of |
///
/// # Errors
/// Those of the kind; [`Error::Kind`] if it is not clear which it is.
pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Box<dyn EvaluationSet>, Error> {
    let path = path.as_ref();
    if let Some(kind) = options.kind.or_else(|| kind_of_directory(path)) {
        return open_as(kind, path, options);
    }
    Records::open(path)?; // whether it can be read at all
    let kinds = [SetKind::Rerank, SetKind::Sts, SetKind::Pairs, SetKind::Triplets, SetKind::Labels];
    let mut readable: Vec<_> =
        kinds.into_iter().filter_map(|kind| open_as(kind, path, options).ok().map(|set| (kind, set))).collect();
    // Triplets have pairs in them, but their negatives must not be ignored.
    if readable.iter().any(|(kind, _)| *kind == SetKind::Triplets) {
        readable.retain(|(kind, _)| *kind != SetKind::Pairs);
    }
    if readable.len() == 1 {
        return Ok(readable.remove(0).1);
    }
    let names = |kinds: &[SetKind]| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    let found = match &readable[..] {
        [] => format!("what cannot be read as any of {}", names(&kinds)),
        several => {
            format!("what can be read as any of {}", names(&several.iter().map(|(kind, _)| *kind).collect::<Vec<_>>()))
        }
    };
    Err(Error::Kind { path: path.to_owned(), found })
}

fn kind_of_directory(path: &Path) -> Option<SetKind> {
    let has = |name: &str| path.join(name).exists();
    match path.is_dir() {
        false => None,
        true if has("corpus.jsonl") || has("corpus.jsonl.gz") => Some(SetKind::Retrieval),
        true if has("dev.txt") || has("test.txt") => Some(SetKind::Rerank),
        true => Some(SetKind::Sts),
    }
}

fn open_as(kind: SetKind, path: &Path, options: &OpenOptions) -> Result<Box<dyn EvaluationSet>, Error> {
    let OpenOptions { columns, split, .. } = options;
    let rows = || RowOptions { columns: columns.clone(), split: split.clone() };
    Ok(match kind {
        SetKind::Rerank => Box::new(Reranking::read(path, askubuntu_split(path, split.as_deref())?)?),
        SetKind::Sts if path.is_dir() => Box::new(SentEval::read(path)?),
        SetKind::Sts => {
            let options = StsOptions { columns: score_and_sentences(path, columns.as_ref())?, split: split.clone() };
            Box::new(Sts::read_with(path, &options)?)
        }
        SetKind::Pairs => Box::new(Positives::read(path, &rows())?),
        SetKind::Triplets => Box::new(Triplets::read(path, &rows())?),
        SetKind::Retrieval => Box::new(Retrieval::read(path, split.as_deref())?),
        SetKind::Labels => Box::new(Labels::read(path, &rows())?),
    })
}

fn askubuntu_split(path: &Path, split: Option<&str>) -> Result<Split, Error> {
    Split::from_name(split.unwrap_or(Split::Dev.name())).map_err(|unknown| Error::Splits {
        path: path.to_owned(),
        expected: unknown.expected.to_string(),
        found: unknown.found.to_string(),
    })
}

fn score_and_sentences(path: &Path, columns: Option<&ColumnList>) -> Result<Option<Columns>, Error> {
    let Some(ColumnList(columns)) = columns else { return Ok(None) };
    let columns = columns.clone().try_into().map_err(|columns: Vec<String>| Error::Columns {
        path: path.to_owned(),
        expected: "3 columns, SCORE,A,B (--columns)".to_owned(),
        found: columns.len().to_string(),
    })?;
    Ok(Some(Columns(columns)))
}
