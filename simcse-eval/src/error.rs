//! What can be wrong with evaluation data: where it is, what was expected and what was found.

use std::path::{Path, PathBuf};

use simcse_model::io::{LineError, RecordError, counted, excerpt, printable};

use crate::metrics::error::MetricError;

/// Why data could not be read or a model could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read as lines of text.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A file cannot be read as a table.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It is not clear which columns hold the data, or they are not there.
    #[error("{}: expected {expected}, found {found}", shown_path(path))]
    Columns {
        /// The file.
        path: PathBuf,
        /// What there should have been, and how to say which columns are meant.
        expected: String,
        /// The columns that there are.
        found: String,
    },
    /// It is not clear what kind of evaluation set a file is.
    #[error("{}: expected an evaluation set of one kind, found {found} (--kind)", shown_path(path))]
    Kind {
        /// The file.
        path: PathBuf,
        /// The kinds that it could be.
        found: String,
    },
    /// A file holds several splits and none of them is chosen, or not the one that is.
    #[error("{}: expected {expected}, found {found} (--split)", shown_path(path))]
    Splits {
        /// The file.
        path: PathBuf,
        /// The split that was chosen, or that one must be.
        expected: String,
        /// The splits that there are, escaped and cut.
        found: String,
    },
    /// A line is not in the file's format.
    #[error("{}, line {line}: expected {expected}, found {found}", shown_path(path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What the format requires.
        expected: String,
        /// What the line has instead, escaped and cut.
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
    /// A directory lacks a file.
    #[error("{}: expected {expected}, found {found}", shown_path(path))]
    Missing {
        /// The directory.
        path: PathBuf,
        /// The file that there should have been.
        expected: String,
        /// What there is in the directory, escaped and cut.
        found: String,
    },
    /// The data has so little that every model would get the same figure.
    #[error("{}: expected at least two {expected}, found {found}", shown_path(path))]
    TooFew {
        /// The file.
        path: PathBuf,
        /// What there should have been.
        expected: &'static str,
        /// What there is instead.
        found: String,
    },
    /// A directory has ids but no titles, so there is nothing to encode.
    #[error(
        "{}: expected text_tokenized.txt.gz or text_tokenized.txt, found neither (without titles only the BM25 \
         baseline can be scored)",
        shown_path(path)
    )]
    NoTexts {
        /// The directory.
        path: PathBuf,
    },
    /// The data is a `.jsonl` file, whose order is not BM25's.
    #[error(
        "{}: expected a directory whose dev.txt and test.txt list candidates in BM25's order, found a file in no \
         such order: it has no BM25 baseline",
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
    /// An embedding has a value that is NaN or infinite.
    #[error(
        "the model's embeddings are not finite: found {value} in the embedding of \"{text}\" (the model is damaged, \
         not the data)"
    )]
    NotFinite {
        /// The text, escaped and cut.
        text: String,
        /// The value.
        value: f32,
    },
    /// A file of an index is missing or damaged, or the index is another one.
    #[error("{}: expected {expected}, found {found}", shown_path(path))]
    Index {
        /// The file.
        path: PathBuf,
        /// What there should have been.
        expected: String,
        /// What there is instead.
        found: String,
    },
    /// All gold scores of a file are equal, so that nothing can be correlated with them.
    #[error(
        "{}: expected at least two pairs whose scores differ, found {} with the score {score}", shown_path(path),
        counted(*pairs, "pair", "pairs")
    )]
    EqualScores {
        /// The file.
        path: PathBuf,
        /// How many pairs there are.
        pairs: usize,
        /// Their score.
        score: f32,
    },
}

impl Error {
    /// Turns a failure to read or write a file into an error.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let file = path.to_owned();
        |source| Self::Encode(simcse_model::Error::Io { file, source })
    }

    /// An [`Error::Malformed`] that quotes `found`.
    pub(crate) fn malformed(path: &Path, line: u64, expected: impl Into<String>, found: &str) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            line,
            expected: expected.into(),
            found: format!("\"{}\"", shown(found)),
        }
    }
}

/// The longest piece of foreign text that a message quotes, in characters.
const SHOWN: usize = 80;

/// Foreign text for a message, escaped and cut.
pub(crate) fn shown(text: &str) -> String {
    excerpt(text, SHOWN)
}

/// A path for a message, in full.
fn shown_path(path: &Path) -> String {
    printable(path.display())
}
