//! Reranking samples as JSON lines: a query, and texts that are similar to it or not.
//!
//! A line that several of the layouts fit, or none, is an error; other keys are ignored.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};
use simcse_model::io::{Lines, json_kind};

use crate::error::{Error, shown};

const QUERY: &[&str] = &["query"];
const POSITIVE: &[&str] = &["positive", "positives", "pos"];
const NEGATIVE: &[&str] = &["negative", "negatives", "neg"];
const CANDIDATES: &[&str] = &["documents", "candidates", "docs", "passages"];
const LABELS: &[&str] = &["labels", "relevance"];

/// A query and its candidates.
pub(crate) struct Sample {
    pub(crate) query: String,
    pub(crate) candidates: Vec<String>,
    /// Whether each candidate is similar to the query.
    pub(crate) relevant: Vec<bool>,
}

/// Hands every sample of `lines` to `take`; `path` is what errors name.
pub(crate) fn each_sample(mut lines: Lines, path: &Path, mut take: impl FnMut(Sample)) -> Result<(), Error> {
    while let Some(line) = lines.next_filled_line()? {
        let sample = parse(line.text).map_err(|found| Error::Malformed {
            path: path.to_owned(),
            line: line.number,
            expected: r#"a JSON object {"query": "…", "positive": ["…"], "negative": ["…"]}"#.to_owned(),
            found: shown(&found),
        })?;
        take(sample);
    }
    Ok(())
}

/// The sample of a line; the error says what was found instead.
fn parse(text: &str) -> Result<Sample, String> {
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| error.to_string().replace("line 1 ", ""))?;
    let query = match only(&object, QUERY)? {
        Some((_, Value::String(query))) => query.clone(),
        Some((_, value)) => return Err(format!("a query that is {}", json_kind(value))),
        None => return Err(format!("no \"query\", only {}", keys(&object))),
    };
    let positive = only(&object, POSITIVE)?;
    let negative = only(&object, NEGATIVE)?;
    let candidates = only(&object, CANDIDATES)?;
    let labels = only(&object, LABELS)?;
    match (positive, negative, candidates, labels) {
        (Some(positive), Some(negative), None, None) => {
            let positive = texts(positive)?;
            let negative = texts(negative)?;
            let relevant = [vec![true; positive.len()], vec![false; negative.len()]].concat();
            Ok(Sample { query, candidates: [positive, negative].concat(), relevant })
        }
        (Some(positive), None, Some(candidates), None) => {
            let positive = texts(positive)?;
            let candidates = texts(candidates)?;
            let positives: HashSet<&String> = positive.iter().collect();
            let distinct: HashSet<&String> = candidates.iter().collect();
            if let Some(stray) = positives.difference(&distinct).next() {
                return Err(format!("a positive that is not a candidate: \"{stray}\""));
            }
            let relevant = candidates.iter().map(|text| positives.contains(text)).collect();
            Ok(Sample { query, candidates, relevant })
        }
        (None, None, Some(candidates), Some(labels)) => {
            let candidates = texts(candidates)?;
            let relevant = binary(labels)?;
            if relevant.len() != candidates.len() {
                return Err(format!("candidates: {}, labels: {}", candidates.len(), relevant.len()));
            }
            Ok(Sample { query, candidates, relevant })
        }
        _ => Err(keys(&object)),
    }
}

type Entry<'a> = (&'a str, &'a Value);

/// The entry under one of `names`, `None` if there is none.
fn only<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Result<Option<Entry<'a>>, String> {
    let mut found = object.iter().filter(|(key, _)| names.contains(&key.as_str()));
    let first = found.next();
    if let (Some((first, _)), Some((second, _))) = (first, found.next()) {
        return Err(format!("both \"{first}\" and \"{second}\""));
    }
    Ok(first.map(|(key, value)| (key.as_str(), value)))
}

/// A list of texts, or a single one.
fn texts((key, value): Entry) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        value => Err(format!("\"{key}\" with {} in place of a string", json_kind(value))),
    };
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

/// Labels that are 0 or 1, false or true.
fn binary((key, value): Entry) -> Result<Vec<bool>, String> {
    let labels = value.as_array().ok_or_else(|| format!("\"{key}\" that is {}", json_kind(value)))?;
    let label = |label: &Value| match (label.as_bool(), label.as_f64()) {
        (Some(label), _) => Ok(label),
        (_, Some(0.0)) => Ok(false),
        (_, Some(1.0)) => Ok(true),
        _ => Err(format!("\"{key}\" with {label}: graded labels are not supported, only 0 and 1")),
    };
    labels.iter().map(label).collect()
}

fn keys(object: &Map<String, Value>) -> String {
    let keys: Vec<_> = object.keys().map(|key| format!("\"{key}\"")).collect();
    format!("the keys {}", keys.join(", "))
}
