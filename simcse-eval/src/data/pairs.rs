//! Pairs of sentences with a human score, from a table.

use std::path::Path;

use simcse_model::io::{Record, Records};

use crate::data::columns::{Columns, PairColumns, Table};
use crate::data::split::keep_split;
use crate::error::Error;

/// How to read a file of pairs whose layout is ambiguous.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StsOptions {
    /// The columns of score and sentences.
    pub columns: Option<Columns>,
    /// The split to read, from a file that says which split each pair belongs to.
    pub split: Option<String>,
}

/// A line of the file.
#[derive(Debug)]
pub(crate) struct ScoredPair {
    /// `None` for a pair without a score.
    pub(crate) score: Option<f32>,
    pub(crate) sentences: [String; 2],
}

/// Reads the pairs of a file, or of the split that is chosen.
pub(crate) fn read_pairs(path: &Path, options: &StsOptions) -> Result<Vec<ScoredPair>, Error> {
    let mut reader = Records::open(path)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        records.push(record);
    }
    let Some(format) = reader.format() else {
        return Ok(Vec::new());
    };
    let layout = Table { path, records: &records, keys: reader.keys(), format }.layout(options.columns.as_ref())?;
    if layout.has_header {
        records.remove(0);
    }
    keep_split(path, &mut records, layout.split, options.split.as_deref())?;
    records.into_iter().map(|record| scored_pair(path, record, &layout)).collect()
}

fn scored_pair(path: &Path, mut record: Record, layout: &PairColumns) -> Result<ScoredPair, Error> {
    let found = record.fields.len();
    let [a, b] = layout.sentences;
    let needed = 1 + layout.score.max(a).max(b);
    let expected = match layout.width {
        Some(width) if found != width => Some(format!("{width} fields")),
        None if found < needed => Some(format!("at least {needed} fields")),
        _ => None,
    };
    if let Some(expected) = expected {
        return Err(Error::Malformed { path: path.to_owned(), line: record.line, expected, found: found.to_string() });
    }
    let score = match record.fields[layout.score].as_deref().map(str::trim) {
        None | Some("") => None,
        Some(text) => match text.parse::<f32>() {
            Ok(score) if score.is_finite() => Some(score),
            _ => return Err(Error::malformed(path, record.line, "a finite number as score", text)),
        },
    };
    let mut sentence = |index: usize| match record.fields[index].take() {
        Some(sentence) => Ok(sentence),
        // Only JSON has fields that are not text.
        None => Err(Error::Malformed {
            path: path.to_owned(),
            line: record.line,
            expected: "two sentences".to_owned(),
            found: "a value that is not text".to_owned(),
        }),
    };
    Ok(ScoredPair { score, sentences: [sentence(a)?, sentence(b)?] })
}
