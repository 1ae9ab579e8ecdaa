//! A retrieval data set in BEIR's layout: a directory of documents, queries and judgments.
//!
//! | file | content |
//! |---|---|
//! | `corpus.jsonl` | JSON lines with `_id`, `text` and, if there is one, `title` |
//! | `queries.jsonl` | JSON lines with `_id` and `text` |
//! | `qrels/<split>.tsv` | query id, document id and score, separated by tabs, below a header |
//!
//! Each may be compressed (`.gz`). A document is its title and its text, joined by a space and
//! trimmed, as in BEIR. A score above 0 means that the document is relevant.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use simcse_model::io::{Lines, printable};

use crate::data::directories::entries_of;
use crate::error::{Error, shown};

const CORPUS: &str = "corpus.jsonl";
const QUERIES: &str = "queries.jsonl";
const QRELS: &str = "qrels";
/// The split that BEIR's figures are computed on.
const TEST: &str = "test";

/// What is in a directory, as far as one split needs it.
pub(crate) struct Beir {
    /// Ids and texts, sorted by id, so that documents with equal scores are ranked by their ids, as
    /// sentence-transformers ranks them.
    pub(crate) corpus: Vec<(String, String)>,
    /// Ids and texts of the queries that have a relevant document, in the file's order.
    pub(crate) queries: Vec<(String, String)>,
    /// The ids of each query's relevant documents.
    pub(crate) relevant: Vec<BTreeSet<String>>,
    /// How many queries the split has no relevant document for.
    pub(crate) without_positives: usize,
}

/// A line of `corpus.jsonl` or `queries.jsonl`; other keys are ignored.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: Option<String>,
    text: String,
}

impl Beir {
    /// Reads a directory; without a split, the test set.
    pub(crate) fn read(directory: &Path, split: Option<&str>) -> Result<Self, Error> {
        let queries_path = plain_or_gz(directory, QUERIES)?;
        let qrels_path = qrels_file(directory, split.unwrap_or(TEST))?;
        let queries = entries(&queries_path, |entry| entry.text)?;
        let mut judged = judgments(&qrels_path, &queries, &queries_path)?;
        let count = queries.len();
        let mut found = Self { corpus: Vec::new(), queries: Vec::new(), relevant: Vec::new(), without_positives: 0 };
        for (id, text) in queries {
            if let Some(relevant) = judged.remove(&id) {
                found.queries.push((id, text));
                found.relevant.push(relevant);
            }
        }
        found.without_positives = count - found.queries.len();
        if found.queries.is_empty() {
            let expected = "query with a relevant document";
            return Err(Error::Empty { path: qrels_path, expected, skipped: count });
        }
        let corpus_path = plain_or_gz(directory, CORPUS)?;
        found.corpus = entries(&corpus_path, |entry| {
            let title = entry.title.unwrap_or_default();
            format!("{title} {}", entry.text).trim().to_owned()
        })?;
        if found.corpus.is_empty() {
            return Err(Error::Empty { path: corpus_path, expected: "document", skipped: 0 });
        }
        found.corpus.sort_unstable();
        Ok(found)
    }
}

/// The ids and texts of a file of entries, in its order.
fn entries(path: &Path, text: impl Fn(Entry) -> String) -> Result<Vec<(String, String)>, Error> {
    let mut lines = Lines::open(path)?;
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    while let Some(line) = lines.next_filled_line()? {
        let malformed = |expected: &str, found: String| Error::Malformed {
            path: path.to_owned(),
            line: line.number,
            expected: expected.to_owned(),
            found: shown(&found),
        };
        let entry: Entry = serde_json::from_str(line.text).map_err(|error| {
            malformed(r#"a JSON object {"_id": "…", "text": "…"}"#, error.to_string().replace("line 1 ", ""))
        })?;
        if !seen.insert(entry.id.clone()) {
            return Err(malformed("a different _id in each line", format!("\"{}\" again", entry.id)));
        }
        entries.push((entry.id.clone(), text(entry)));
    }
    Ok(entries)
}

/// The relevant documents of each query that has any.
fn judgments(
    path: &Path,
    queries: &[(String, String)],
    queries_path: &Path,
) -> Result<HashMap<String, BTreeSet<String>>, Error> {
    let known: HashSet<&str> = queries.iter().map(|(id, _)| &id[..]).collect();
    let mut lines = Lines::open(path)?;
    let mut judged = HashMap::<String, BTreeSet<String>>::new();
    let mut is_first = true;
    while let Some(line) = lines.next_filled_line()? {
        let fields: Vec<&str> = line.text.split('\t').map(str::trim).collect();
        let first = std::mem::take(&mut is_first);
        let [query, document, score] = fields[..] else {
            let expected = "query id, document id and score, separated by tabs";
            return Err(Error::malformed(path, line.number, expected, line.text));
        };
        let score = match score.parse::<f64>() {
            Ok(score) if score.is_finite() => score,
            _ if first => continue, // the header
            _ => return Err(Error::malformed(path, line.number, "a number as score in field 3", score)),
        };
        if !known.contains(query) {
            let expected = format!("the id of a query in {}", printable(queries_path.display()));
            return Err(Error::malformed(path, line.number, expected, query));
        }
        if score > 0.0 {
            judged.entry(query.to_owned()).or_default().insert(document.to_owned());
        }
    }
    Ok(judged)
}

/// The file, or its compressed form.
fn plain_or_gz(directory: &Path, name: &str) -> Result<PathBuf, Error> {
    let plain = directory.join(name);
    let compressed = directory.join(format!("{name}.gz"));
    match [plain, compressed].into_iter().find(|path| path.exists()) {
        Some(path) => Ok(path),
        None => Err(Error::Missing {
            path: directory.to_owned(),
            expected: format!("{name} or {name}.gz (BEIR's layout: {CORPUS}, {QUERIES}, {QRELS}/{TEST}.tsv)"),
            found: entries_of(directory),
        }),
    }
}

fn qrels_file(directory: &Path, split: &str) -> Result<PathBuf, Error> {
    let qrels = directory.join(QRELS);
    let names = [format!("{split}.tsv"), format!("{split}.tsv.gz")];
    match names.into_iter().map(|name| qrels.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => Err(Error::Missing {
            path: qrels.clone(),
            expected: format!("{}.tsv or {}.tsv.gz (--split)", shown(split), shown(split)),
            found: entries_of(&qrels),
        }),
    }
}

#[cfg(test)]
#[path = "tests/beir.rs"]
mod tests;
