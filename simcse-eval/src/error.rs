//! What can be wrong with evaluation data, each with the place and what was expected there.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::metrics::MetricError;

/// Why data could not be read or a model could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing, unreadable or not the gzip that it should be.
    #[error("cannot read {}: {source}", shown_path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what the format asks for.
    #[error("{}, line {line}: expected {expected}, found {found}", shown_path(path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What the format asks for.
        expected: &'static str,
        /// What stands there, escaped and cut.
        found: String,
    },
    /// A question is named that the text file does not have.
    #[error("{}, line {line}: expected the id of a question in {}, found {id}", shown_path(path), shown_path(texts))]
    UnknownId {
        /// The file that names the question.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The id, escaped and cut.
        id: String,
        /// The text file.
        texts: PathBuf,
    },
    /// No query has both positives and negatives, or no pair has a score.
    #[error("{}: expected at least one {expected}, found none (lines left out: {skipped})", shown_path(path))]
    Empty {
        /// The file.
        path: PathBuf,
        /// What there should have been.
        expected: &'static str,
        /// Lines that were read and left out.
        skipped: usize,
    },
    /// A directory has ids but no titles, so there is nothing to encode.
    #[error(
        "{}: expected text_tokenized.txt.gz or text_tokenized.txt, found neither (without titles only the BM25 baseline can be scored)",
        shown_path(path)
    )]
    NoTexts {
        /// The directory.
        path: PathBuf,
    },
    /// The data lists positives before negatives, so its order says nothing about BM25.
    #[error(
        "{}: expected a directory whose dev.txt and test.txt list candidates in BM25's order, found a file that lists positives before negatives: it has no BM25 baseline",
        shown_path(path)
    )]
    NoBm25Order {
        /// The file.
        path: PathBuf,
    },
    /// The encoder failed.
    #[error(transparent)]
    Encode(#[from] simcse_model::Error),
    /// The similarities of a query's candidates cannot be ranked.
    #[error("query \"{query}\": {source}")]
    Query {
        /// The query's text, escaped and cut.
        query: String,
        /// What is wrong with the similarities.
        source: MetricError,
    },
    /// The similarities of sentence pairs cannot be correlated with the gold scores.
    #[error("{}: {source}", shown_path(path))]
    Correlation {
        /// The file of the pairs.
        path: PathBuf,
        /// What is wrong with the similarities or the scores.
        source: MetricError,
    },
}

/// At most this many characters of foreign text appear in a message.
const SHOWN: usize = 80;

/// Foreign text fit for a terminal: control and other unprintable characters escaped, cut after [`SHOWN`] characters.
pub(crate) fn shown(text: &str) -> String {
    let mut out = escaped(text.chars().take(SHOWN));
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

/// A path fit for a terminal, in full.
fn shown_path(path: &Path) -> String {
    escaped(path.to_string_lossy().chars())
}

fn escaped(chars: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    for c in chars {
        // `escape_debug` knows what is printable; quotes and backslashes are, and stay as they are.
        match c {
            '"' | '\'' | '\\' => out.push(c),
            _ => write!(out, "{}", c.escape_debug()).unwrap_or_default(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn controls_are_escaped_and_long_text_is_cut() {
        assert_eq!(shown("a\u{1b}[31m\r\u{202e}\"é\\"), "a\\u{1b}[31m\\r\\u{202e}\"é\\");
        assert_eq!(shown(&"x".repeat(81)), format!("{}…", "x".repeat(80)));
        assert_eq!(shown(&"x".repeat(80)), "x".repeat(80));
    }
}
