//! Lines of a data set, and texts numbered so that each is encoded once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use simcse_model::io::{self, hexadecimal};

use crate::error::{Error, shown};

/// The lines of a file that are not empty.
pub(crate) struct Lines {
    path: PathBuf,
    lines: io::Lines,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self { path: path.to_owned(), lines: io::Lines::open(path)? })
    }

    /// Lines from memory; `name` stands for the path in errors.
    pub(crate) fn of(text: &'static str, name: &str) -> Self {
        Self { path: name.into(), lines: io::Lines::of(name, text) }
    }

    /// The next line that is not empty.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line<'_>>, Error> {
        let line = self.lines.next_filled_line()?;
        Ok(line.map(|line| Line { path: &self.path, number: line.number, text: line.text }))
    }
}

/// A line of a file.
pub(crate) struct Line<'a> {
    pub(crate) path: &'a Path,
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) text: &'a str,
}

impl Line<'_> {
    /// An [`Error::Malformed`] that quotes `found`.
    pub(crate) fn malformed(&self, expected: &'static str, found: &str) -> Error {
        let found = format!("\"{}\"", shown(found));
        Error::Malformed { path: self.path.to_owned(), line: self.number, expected, found }
    }
}

/// Numbers texts in the order of their first appearance; equal texts share a number.
#[derive(Default)]
pub(crate) struct Interner {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Interner {
    pub(crate) fn number(&mut self, text: &str) -> usize {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.texts.len();
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }

    /// The distinct texts; a text's number is its index.
    pub(crate) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

/// SHA-256 of the values, each on a line, in hexadecimal.
pub(crate) fn sha256(values: impl Iterator<Item = Value>) -> String {
    let digest = values.fold(Sha256::new(), |digest, value| digest.chain_update(format!("{value}\n")));
    hexadecimal(digest.finalize())
}
