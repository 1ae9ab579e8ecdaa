//! Where [`Examples`] come from: files, texts in memory, one example at a time, or other examples.

use std::path::Path;
use std::sync::Arc;

use simcse_model::io::{RecordError, Texts, source_name};
use simcse_tensor::rng::Philox;

use crate::data::epoch_cache::EpochCache;
use crate::data::equal_texts::EqualTexts;
use crate::data::examples::{Examples, Shared, digest};

/// The last word of the random generator's counter for the sentences to hold out. Batches and
/// dropout have others.
const HOLD_OUT: u32 = u32::from_le_bytes(*b"held");

/// Why there are no sentences to train on. `name` is the file as given, or "standard input", with
/// control characters escaped.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file cannot be read as lines of text, or as a table with a column of sentences.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No sentence is long enough, or no example has all of its texts.
    #[error(
        "{name}: expected {} of at least {min_length} characters, found none ({}: {skipped})",
        if *columns == 1 { "sentences".to_owned() } else { format!("rows of {columns} texts") },
        if *columns == 1 { "too short" } else { "left out" }
    )]
    Empty {
        /// The file.
        name: String,
        /// The minimum length, in characters.
        min_length: usize,
        /// How many sentences are shorter, or rows are not complete.
        skipped: u64,
        /// Texts per example.
        columns: usize,
    },
    /// Several files do not have examples of the same kind.
    #[error("{name}: expected examples of {expected} texts, as in the first file, found {found}")]
    Columns {
        /// A file.
        name: String,
        /// Texts per example in the first file.
        expected: usize,
        /// Texts per example in this file.
        found: usize,
    },
    /// Too few different sentences to hold some of them out.
    #[error("{name}: expected at least {expected} different sentences, found {found}")]
    HoldOut {
        /// The file.
        name: String,
        /// Those to hold out, and two to train on.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// There are more texts than 32-bit indices can number.
    #[error("{name}: expected fewer than {} texts, found more", u32::MAX)]
    TooMany {
        /// The file.
        name: String,
    },
}

impl Examples {
    /// Reads the examples of a UTF-8 file, plain or gzip (recognized by its first two bytes): one
    /// per record of a `.csv`, `.tsv` or `.jsonl` file, one sentence per line of any other; `-` is
    /// standard input.
    ///
    /// The columns of a table decide what its examples are. Columns with usual names, such as
    /// `anchor`, `positive` and `negative`, make examples of several texts; otherwise, there must
    /// be one column of sentences with a usual name, such as `text`: see [`Texts::open_columns`].
    ///
    /// A byte-order mark is dropped and texts are trimmed of whitespace. Examples with a text that
    /// is empty or shorter than `min_length` characters are skipped and counted.
    ///
    /// # Errors
    /// [`DataError::Record`] if the file is not lines of text, or not a table with such columns;
    /// [`DataError::Empty`]; [`DataError::TooMany`].
    pub fn read(path: impl AsRef<Path>, min_length: usize) -> Result<Self, DataError> {
        Self::read_columns(path, &[], min_length)
    }

    /// [`Examples::read`] of a table whose texts are in these columns, if any are given: each is a
    /// name in the first line, a JSON key, or a number from 1.
    ///
    /// # Errors
    /// As [`Examples::read`].
    ///
    /// ```
    /// use simcse_train::Examples;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("pairs.csv");
    /// # std::fs::write(&path, "sent0,sent1\nslow boot,\"boot, slowly\"\n")?;
    ///
    /// let pairs = Examples::read(&path, 1)?;
    /// assert_eq!(pairs.column_names(), ["sent0", "sent1"]);
    /// let sentences = Examples::read_columns(&path, &["sent1".to_owned()], 1)?;
    /// assert_eq!((sentences.columns(), sentences.get(0, 0)), (1, "boot, slowly"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_columns(path: impl AsRef<Path>, columns: &[String], min_length: usize) -> Result<Self, DataError> {
        let path = path.as_ref();
        Self::read_files(&[path], columns, |_| min_length, &source_name(path))
    }

    /// [`Examples::read_columns`] of several files, in order, as if they were one. `min_length` is
    /// called with the number of texts in each example. Errors that concern no single file call
    /// them `name`.
    ///
    /// # Errors
    /// As [`Examples::read`]; [`DataError::Columns`] if the files have different numbers of
    /// columns.
    ///
    /// # Panics
    /// If there are no files.
    pub fn read_files<P: AsRef<Path>>(
        files: &[P],
        columns: &[String],
        min_length: impl Fn(usize) -> usize,
        name: &str,
    ) -> Result<Self, DataError> {
        let (first, rest) = files.split_first().expect("a file to read");
        let mut texts = Texts::open_columns(first.as_ref(), columns)?;
        let mut builder = ExamplesBuilder::of_columns(texts.columns(), min_length(texts.columns()));
        builder.column_names = texts.column_names().to_vec();
        builder.push_all(&mut texts)?;
        for file in rest.iter().map(AsRef::as_ref) {
            let mut texts = Texts::open_columns(file, columns)?;
            if texts.columns() != builder.columns {
                return Err(DataError::Columns {
                    name: source_name(file),
                    expected: builder.columns,
                    found: texts.columns(),
                });
            }
            builder.push_all(&mut texts)?;
        }
        builder.finish(name)
    }

    /// Takes sentences from memory by the rules of [`Examples::read`]. Errors call them `name`.
    ///
    /// # Errors
    /// [`DataError::Empty`], [`DataError::TooMany`].
    pub fn from_texts<S: AsRef<str>>(
        name: &str,
        texts: impl IntoIterator<Item = S>,
        min_length: usize,
    ) -> Result<Self, DataError> {
        let mut builder = ExamplesBuilder::new(min_length);
        texts.into_iter().for_each(|text| builder.push(text.as_ref()));
        builder.finish(name)
    }

    /// Splits off `count` different sentences, drawn with `seed` from the first texts of the
    /// examples, with every example that has one of them: the examples that remain, and one of each
    /// sentence that was drawn, in order.
    ///
    /// # Errors
    /// [`DataError::HoldOut`] if fewer than two different examples would remain.
    ///
    /// ```
    /// use simcse_train::Examples;
    ///
    /// let titles = ["boot from usb", "no sound", "boot from usb", "dark screen"];
    /// let sentences = Examples::from_texts("four titles", titles, 3)?;
    /// let (rest, held_out) = sentences.hold_out(1, 42)?;
    /// assert_eq!(held_out.len(), 1);
    /// assert!(rest.texts().all(|title| title != held_out[0]));
    /// # Ok::<(), simcse_train::Error>(())
    /// ```
    pub fn hold_out(&self, count: usize, seed: u64) -> Result<(Self, Vec<String>), DataError> {
        let Shared { name, columns, column_names, equal, skipped, warnings, .. } = &*self.0;
        let groups = &equal.groups;
        let too_few = |found| DataError::HoldOut { name: name.clone(), expected: count + 2, found };
        let first = |index: &u32| groups[*index as usize] == *index;
        let mut drawn: Vec<u32> = (0..groups.len() as u32).step_by(*columns).filter(first).collect();
        let different = drawn.len();
        if different < count + 2 {
            return Err(too_few(different));
        }
        let philox = Philox::new(seed);
        let key = |index: u32| (philox.block([index, 0, 0, HOLD_OUT]), index);
        drawn.select_nth_unstable_by_key(count, |&index| key(index));
        drawn.truncate(count);
        drawn.sort_unstable();
        let held_out = drawn.iter().map(|&index| self.text(index as usize).to_owned()).collect();

        let mut rest = ExamplesBuilder::of_columns(*columns, 0);
        for (index, groups) in groups.chunks_exact(*columns).enumerate() {
            if groups.iter().all(|group| drawn.binary_search(group).is_err()) {
                rest.push_example(&self.select(&[index as u32]));
            }
        }
        if rest.ends.len() < 2 * columns {
            return Err(too_few(different));
        }
        rest.skipped = *skipped;
        rest.warnings.clone_from(warnings);
        rest.column_names.clone_from(column_names);
        Ok((rest.finish(name)?, held_out))
    }
}

/// Collects [`Examples`] one at a time.
///
/// ```
/// use simcse_train::data::builder::ExamplesBuilder;
///
/// let mut builder = ExamplesBuilder::of_columns(2, 1);
/// builder.push_example(&["boot from usb", "How do I start from a USB stick?"]);
/// builder.push_example(&["no sound", ""]);
/// let pairs = builder.finish("pairs")?;
/// assert_eq!((pairs.len(), pairs.columns(), pairs.skipped()), (1, 2, 1));
/// # Ok::<(), simcse_train::Error>(())
/// ```
#[derive(Debug)]
pub struct ExamplesBuilder {
    columns: usize,
    column_names: Vec<String>,
    text: String,
    ends: Vec<u64>,
    skipped: u64,
    min_length: usize,
    warnings: Vec<String>,
}

impl ExamplesBuilder {
    /// A builder of sentences that skips those of fewer than `min_length` characters.
    #[must_use]
    pub fn new(min_length: usize) -> Self {
        Self::of_columns(1, min_length)
    }

    /// A builder of examples of `columns` texts that skips those with a text of fewer than
    /// `min_length` characters.
    ///
    /// # Panics
    /// If `columns` is 0.
    #[must_use]
    pub fn of_columns(columns: usize, min_length: usize) -> Self {
        assert_ne!(columns, 0, "an example has texts");
        Self {
            columns,
            column_names: Vec::new(),
            text: String::new(),
            ends: Vec::new(),
            skipped: 0,
            min_length,
            warnings: Vec::new(),
        }
    }

    /// Adds a sentence, trimmed of whitespace. If it is empty or too short, it is counted as
    /// skipped.
    ///
    /// # Panics
    /// If examples have several texts.
    pub fn push(&mut self, sentence: &str) {
        self.push_example(&[sentence]);
    }

    /// Adds an example, with its texts trimmed of whitespace. If one of them is empty or too short,
    /// the example is counted as skipped.
    ///
    /// # Panics
    /// If the number of texts is not that of the columns.
    pub fn push_example<S: AsRef<str>>(&mut self, texts: &[S]) {
        assert_eq!(texts.len(), self.columns, "texts of an example");
        let texts = || texts.iter().map(|text| text.as_ref().trim());
        let is_short = |text: &str| text.is_empty() || text.chars().take(self.min_length).count() < self.min_length;
        if texts().any(is_short) {
            self.skipped += 1;
            return;
        }
        for text in texts() {
            self.text.push_str(text);
            self.ends.push(self.text.len() as u64);
        }
    }

    /// Adds all examples of a file, and its warnings.
    fn push_all(&mut self, texts: &mut Texts) -> Result<(), DataError> {
        while let Some(texts) = texts.next_texts()? {
            self.push_example(texts);
        }
        for warning in texts.warnings() {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        Ok(())
    }

    /// The examples. Errors call them `name`.
    ///
    /// # Errors
    /// [`DataError::Empty`], [`DataError::TooMany`].
    pub fn finish(mut self, name: &str) -> Result<Examples, DataError> {
        let Self { min_length, skipped, columns, .. } = self;
        let name = name.to_owned();
        if self.ends.is_empty() {
            return Err(DataError::Empty { name, min_length, skipped, columns });
        }
        if self.ends.len() >= u32::MAX as usize {
            return Err(DataError::TooMany { name });
        }
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        let Self { column_names, text, ends, warnings, .. } = self;
        let (equal, sha256) = rayon::join(|| EqualTexts::of(&text, &ends), || digest(&text, &ends));
        Ok(Examples(Arc::new(Shared {
            name,
            columns,
            column_names,
            text,
            ends,
            equal,
            sha256,
            skipped,
            warnings,
            epochs: EpochCache::default(),
        })))
    }
}

#[cfg(test)]
#[path = "tests/builder.rs"]
mod tests;
