//! The examples of a training run, and which of their texts are equal.
//!
//! An example is one text, a sentence; or several, of which the first is an anchor, the second its
//! positive, and the others are hard negatives. All examples of a run have the same number of
//! texts: its columns.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use simcse_model::io::hexadecimal;

use crate::data::epoch_cache::EpochCache;
use crate::data::equal_texts::{EqualTexts, slice};

/// Examples by index. Clones share them.
///
/// Besides the text itself, each text takes 12 bytes and a bit of memory: where it ends in the one
/// string that holds all texts, its group of equal texts, and whether there are others in it. The
/// order of an epoch takes 4 bytes per example.
///
/// ```
/// use simcse_train::Examples;
///
/// let titles = ["boot from usb ", "no sound", "boot from usb"];
/// let sentences = Examples::from_texts("three titles", titles, 3)?;
/// assert_eq!((sentences.len(), sentences.columns(), sentences.duplicates()), (3, 1, 1));
/// assert_eq!(sentences.get(0, 0), "boot from usb");
/// assert_eq!(sentences.groups(), [0, 1, 0]);
///
/// let error = Examples::from_texts("two lines", ["no", " "], 3).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "two lines: expected sentences of at least 3 characters, found none (too short: 2)"
/// );
/// # Ok::<(), simcse_train::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Examples(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) columns: usize,
    pub(crate) column_names: Vec<String>,
    /// The texts, end to end. Text `c` of example `i` has index `columns · i + c`.
    pub(crate) text: String,
    pub(crate) ends: Vec<u64>,
    pub(crate) equal: EqualTexts,
    pub(crate) sha256: String,
    pub(crate) skipped: u64,
    pub(crate) warnings: Vec<String>,
    pub(crate) epochs: EpochCache,
}

impl Examples {
    /// The number of examples, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.ends.len() / self.0.columns
    }

    /// The number of texts in each example.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.0.columns
    }

    /// The names of the columns of the table that the examples were read from, if they have names.
    #[must_use]
    pub fn column_names(&self) -> &[String] {
        &self.0.column_names
    }

    /// Where the examples come from, with control characters escaped.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Text `column` of example `index`.
    ///
    /// # Panics
    /// If `index` or `column` is out of range.
    #[must_use]
    pub fn get(&self, index: usize, column: usize) -> &str {
        assert!(column < self.0.columns, "column {column} of {}", self.0.columns);
        self.text(self.0.columns * index + column)
    }

    /// Text `index`, counting those of all examples.
    pub(crate) fn text(&self, index: usize) -> &str {
        slice(&self.0.text, &self.0.ends, index)
    }

    /// The texts of all examples, one example after another.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        (0..self.0.ends.len()).map(|index| self.text(index))
    }

    /// The texts of the examples with these indices, one example after another.
    ///
    /// # Panics
    /// If an index is out of range.
    #[must_use]
    pub fn select(&self, indices: &[u32]) -> Vec<&str> {
        let columns = self.0.columns;
        let of_example = |&index: &u32| (0..columns).map(move |column| self.get(index as usize, column));
        indices.iter().flat_map(of_example).collect()
    }

    /// The number of examples that were skipped because one of their texts is missing or too short.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.0.skipped
    }

    /// The number of texts that are equal to an earlier one.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.0.equal.duplicates
    }

    /// For each text, the index of the first text that is equal to it. Text `c` of example `i` has
    /// index `columns · i + c`.
    #[must_use]
    pub fn groups(&self) -> &[u32] {
        &self.0.equal.groups
    }

    /// The number of examples that have no text in common, counting each in order if it has none in
    /// common with those counted before.
    #[must_use]
    pub fn distinct(&self) -> usize {
        let mut taken = vec![false; self.groups().len()];
        let mut count = 0;
        for groups in self.groups().chunks_exact(self.0.columns) {
            if groups.iter().all(|&group| !taken[group as usize]) {
                groups.iter().for_each(|&group| taken[group as usize] = true);
                count += 1;
            }
        }
        count
    }

    /// Warnings about the file that the examples were read from, one line each: a first line that
    /// looks like a header, and quotes around every sentence.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// The SHA-256 of the texts in order, each followed by a line feed, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }
}

/// [`Examples::sha256`] of the texts that end at `ends`.
pub(crate) fn digest(text: &str, ends: &[u64]) -> String {
    let mut hasher = Sha256::new();
    for index in 0..ends.len() {
        hasher.update(slice(text, ends, index));
        hasher.update(b"\n");
    }
    hexadecimal(hasher.finalize())
}
