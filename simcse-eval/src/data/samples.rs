//! Reranking samples: a query, and texts that are similar to it or not. As JSON lines, or as a
//! table in which the rows of a query are one sample.
//!
//! A line that several of the layouts fit, or none, is an error; other keys are ignored.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value};
use simcse_model::io::{Lines, RecordFormat, json_kind};

use crate::data::rows::{Layout, RowOptions, read_rows};
use crate::error::{Error, shown};

const QUERY: &[&str] = &["query"];
const POSITIVE: &[&str] = &["positive", "positives", "pos"];
const NEGATIVE: &[&str] = &["negative", "negatives", "neg"];
const CANDIDATES: &[&str] = &["documents", "candidates", "docs", "passages"];
const LABELS: &[&str] = &["labels", "relevance"];

/// A table of queries with a similar text and another one in each row; either may be empty.
const TRIPLETS: Layout<3> = Layout {
    what: "queries with positives and negatives",
    names: &[["query", "positive", "negative"], ["query", "pos", "neg"]],
    forbidden: None,
};
/// A table with a row for each candidate of a query.
const CANDIDATE_ROWS: Layout<3> = Layout {
    what: "queries with candidates and labels",
    names: &[
        ["query", "document", "label"],
        ["query", "candidate", "label"],
        ["query", "passage", "label"],
        ["query", "text", "label"],
    ],
    forbidden: None,
};

/// A query and its candidates.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) query: String,
    pub(crate) candidates: Vec<String>,
    /// Whether each candidate is similar to the query.
    pub(crate) relevant: Vec<bool>,
}

/// Hands every sample of a file to `take`: of a table if its name says so, otherwise of JSON lines.
pub(crate) fn each_sample_of(path: &Path, mut take: impl FnMut(Sample)) -> Result<(), Error> {
    match RecordFormat::of_extension(path) {
        Some(RecordFormat::Commas | RecordFormat::Tabs) => {
            table_samples(path)?.into_iter().for_each(take);
            Ok(())
        }
        _ => each_sample(Lines::open(path)?, path, &mut take),
    }
}

/// The samples of a table, in the order in which their queries first appear.
fn table_samples(path: &Path) -> Result<Vec<Sample>, Error> {
    let options = RowOptions::default();
    let mut samples: Vec<Sample> = Vec::new();
    let mut numbers = HashMap::new();
    let mut seen = HashSet::new();
    let mut add = |query: &str, candidate: &str, relevant: bool| {
        let number = *numbers.entry(query.to_owned()).or_insert(samples.len());
        if number == samples.len() {
            samples.push(Sample { query: query.to_owned(), ..Sample::default() });
        }
        if !candidate.is_empty() && seen.insert((number, candidate.to_owned(), relevant)) {
            samples[number].candidates.push(candidate.to_owned());
            samples[number].relevant.push(relevant);
        }
    };
    match read_rows(path, &TRIPLETS, &options) {
        Ok(rows) => {
            for [query, positive, negative] in rows {
                add(&query, &positive, true);
                add(&query, &negative, false);
            }
        }
        Err(other) => {
            // What is said about the file is what the first layout lacks.
            let Ok(rows) = read_rows(path, &CANDIDATE_ROWS, &options) else { return Err(other) };
            for [query, candidate, label] in rows {
                let relevant = match label.trim() {
                    "1" | "1.0" | "true" => true,
                    "0" | "0.0" | "false" => false,
                    label => {
                        return Err(Error::Columns {
                            path: path.to_owned(),
                            expected: "labels that are 0 or 1 in the column `label`".to_owned(),
                            found: format!("\"{}\"", shown(label)),
                        });
                    }
                };
                add(&query, &candidate, relevant);
            }
        }
    }
    Ok(samples)
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
