//! The sentences of a training run, and which of them are equal.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use simcse_model::io::hexadecimal;
use simcse_model::io::{RecordError, Texts, source_name};
use simcse_tensor::rng::Philox;

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
    /// No sentence is long enough.
    #[error("{name}: expected sentences of at least {min_length} characters, found none (too short: {skipped})")]
    Empty {
        /// The file.
        name: String,
        /// The minimum length, in characters.
        min_length: usize,
        /// How many sentences are shorter.
        skipped: u64,
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
    /// There are more sentences than 32-bit indices can number.
    #[error("{name}: expected fewer than {} sentences, found more", u32::MAX)]
    TooMany {
        /// The file.
        name: String,
    },
}

/// Sentences by index. Clones share them.
///
/// Besides the text, a sentence takes 12 bytes of memory: where it ends in the one string that
/// holds all sentences, and its group of equal sentences.
///
/// ```
/// use simcse_train::Examples;
///
/// let titles = ["boot from usb ", "no sound", "boot from usb"];
/// let sentences = Examples::from_texts("three titles", titles, 3)?;
/// assert_eq!((sentences.len(), sentences.duplicates()), (3, 1));
/// assert_eq!(sentences.get(0), "boot from usb");
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
pub struct Examples(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: String,
    text: String,
    ends: Vec<u64>,
    groups: Vec<u32>,
    skipped: u64,
    duplicates: usize,
    warnings: Vec<String>,
}

impl Examples {
    /// Reads the sentences of a UTF-8 file, plain or gzip (recognized by its first two bytes): one
    /// per record of a `.csv`, `.tsv` or `.jsonl` file, one per line of any other; `-` is standard
    /// input. A table must have one column with a usual name, such as `text`: see [`Texts::open`].
    ///
    /// A byte-order mark is dropped, sentences are trimmed of whitespace, and those of fewer than
    /// `min_length` characters are skipped and counted.
    ///
    /// # Errors
    /// [`DataError::Record`] if the file is not lines of text, or not a table with such a column;
    /// [`DataError::Empty`]; [`DataError::TooMany`].
    pub fn read(path: impl AsRef<Path>, min_length: usize) -> Result<Self, DataError> {
        Self::read_column(path, None, min_length)
    }

    /// [`Examples::read`] of a table whose sentences are in `column`, if it is given: a name in
    /// the first line, a JSON key, or a number from 1.
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
    /// let sentences = Examples::read_column(&path, Some("sent1"), 1)?;
    /// assert_eq!(sentences.get(0), "boot, slowly");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_column(path: impl AsRef<Path>, column: Option<&str>, min_length: usize) -> Result<Self, DataError> {
        let path = path.as_ref();
        let mut texts = Texts::open(path, column)?;
        let mut builder = ExamplesBuilder::new(min_length);
        while let Some(line) = texts.next_text()? {
            builder.push(line.text);
        }
        builder.warnings = texts.warnings();
        builder.finish(&source_name(path))
    }

    /// Takes texts from memory by the rules of [`Examples::read`]. Errors call them `name`.
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

    /// The number of sentences, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Where the sentences come from, with control characters escaped.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sentence `index`.
    ///
    /// # Panics
    /// If `index` is out of range.
    #[must_use]
    pub fn get(&self, index: usize) -> &str {
        slice(&self.0.text, &self.0.ends, index)
    }

    /// The sentences with these indices.
    ///
    /// # Panics
    /// If an index is out of range.
    #[must_use]
    pub fn select(&self, indices: &[u32]) -> Vec<&str> {
        indices.iter().map(|&index| self.get(index as usize)).collect()
    }

    /// The number of sentences that were skipped because they are too short.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.0.skipped
    }

    /// The number of sentences that are equal to an earlier one.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.0.duplicates
    }

    /// For each sentence, the index of the first sentence that is equal to it.
    #[must_use]
    pub fn groups(&self) -> &[u32] {
        &self.0.groups
    }

    /// Warnings about the file that the sentences were read from, one line each: a first line that
    /// looks like a header, and quotes around every sentence.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// Splits off `count` different sentences, drawn with `seed`, with everything that is equal to
    /// them: the sentences that remain, and one of each that was drawn, in order.
    ///
    /// # Errors
    /// [`DataError::HoldOut`] if fewer than two different sentences would remain.
    ///
    /// ```
    /// use simcse_train::Examples;
    ///
    /// let titles = ["boot from usb", "no sound", "boot from usb", "dark screen"];
    /// let sentences = Examples::from_texts("four titles", titles, 3)?;
    /// let (rest, held_out) = sentences.hold_out(1, 42)?;
    /// assert_eq!(held_out.len(), 1);
    /// assert!((0..rest.len()).all(|index| rest.get(index) != held_out[0]));
    /// # Ok::<(), simcse_train::Error>(())
    /// ```
    pub fn hold_out(&self, count: usize, seed: u64) -> Result<(Self, Vec<String>), DataError> {
        let Shared { name, groups, skipped, warnings, .. } = &*self.0;
        let different = self.len() - self.duplicates();
        if different < count + 2 {
            return Err(DataError::HoldOut { name: name.clone(), expected: count + 2, found: different });
        }
        let philox = Philox::new(seed);
        let key = |index: u32| (philox.block([index, 0, 0, HOLD_OUT]), index);
        let first = |&index: &u32| groups[index as usize] == index;
        let mut drawn: Vec<u32> = (0..self.len() as u32).filter(first).collect();
        drawn.select_nth_unstable_by_key(count, |&index| key(index));
        drawn.truncate(count);
        drawn.sort_unstable();
        let held_out = self.select(&drawn).into_iter().map(str::to_owned).collect();

        let mut rest = ExamplesBuilder::new(0);
        for index in 0..self.len() {
            if drawn.binary_search(&groups[index]).is_err() {
                rest.push(self.get(index));
            }
        }
        rest.skipped = *skipped;
        rest.warnings.clone_from(warnings);
        Ok((rest.finish(name)?, held_out))
    }

    /// The SHA-256 of the sentences in order, each followed by a line feed, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for index in 0..self.len() {
            hasher.update(self.get(index));
            hasher.update(b"\n");
        }
        hexadecimal(hasher.finalize())
    }
}

/// Collects [`Examples`] one at a time.
///
/// ```
/// use simcse_train::data::examples::ExamplesBuilder;
///
/// let mut builder = ExamplesBuilder::new(5);
/// for title in ["boot from usb", "usb", "no sound"] {
///     builder.push(title);
/// }
/// let sentences = builder.finish("titles")?;
/// assert_eq!((sentences.len(), sentences.skipped()), (2, 1));
/// # Ok::<(), simcse_train::Error>(())
/// ```
#[derive(Debug)]
pub struct ExamplesBuilder {
    text: String,
    ends: Vec<u64>,
    skipped: u64,
    min_length: usize,
    warnings: Vec<String>,
}

impl ExamplesBuilder {
    /// A builder that skips sentences of fewer than `min_length` characters.
    #[must_use]
    pub fn new(min_length: usize) -> Self {
        Self { text: String::new(), ends: Vec::new(), skipped: 0, min_length, warnings: Vec::new() }
    }

    /// Adds a sentence, trimmed of whitespace. If it is empty or too short, it is counted as
    /// skipped.
    pub fn push(&mut self, sentence: &str) {
        let sentence = sentence.trim();
        if sentence.is_empty() || sentence.chars().take(self.min_length).count() < self.min_length {
            self.skipped += 1;
        } else {
            self.text.push_str(sentence);
            self.ends.push(self.text.len() as u64);
        }
    }

    /// The sentences. Errors call them `name`.
    ///
    /// # Errors
    /// [`DataError::Empty`], [`DataError::TooMany`].
    pub fn finish(mut self, name: &str) -> Result<Examples, DataError> {
        let Self { min_length, skipped, .. } = self;
        if self.ends.is_empty() {
            return Err(DataError::Empty { name: name.to_owned(), min_length, skipped });
        }
        if self.ends.len() >= u32::MAX as usize {
            return Err(DataError::TooMany { name: name.to_owned() });
        }
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        let groups = group_equal(&self.text, &self.ends);
        let duplicates = groups.iter().enumerate().filter(|&(index, &first)| first as usize != index).count();
        let name = name.to_owned();
        let Self { text, ends, warnings, .. } = self;
        Ok(Examples(Arc::new(Shared { name, text, ends, groups, skipped, duplicates, warnings })))
    }
}

fn slice<'a>(text: &'a str, ends: &[u64], index: usize) -> &'a str {
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &text[start as usize..ends[index] as usize]
}

/// For each sentence, the index of the first sentence that is equal to it.
///
/// Found with a hash table of indices that resolves collisions by linear probing. It compares
/// texts, never hashes alone, and takes 8 to 16 bytes per sentence, where a map from text to index
/// would take several times as much.
fn group_equal(text: &str, ends: &[u64]) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let hasher = RandomState::new();
    // At least two slots per sentence: probing stays short, and always ends at a free slot.
    let mask = (2 * ends.len()).next_power_of_two() - 1;
    let mut table = vec![FREE; mask + 1];
    (0..ends.len() as u32)
        .map(|index| {
            let sentence = slice(text, ends, index as usize);
            let mut slot = hasher.hash_one(sentence) as usize & mask;
            while table[slot] != FREE && slice(text, ends, table[slot] as usize) != sentence {
                slot = (slot + 1) & mask;
            }
            if table[slot] == FREE {
                table[slot] = index;
            }
            table[slot]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], suffix: &str) -> Result<Examples, DataError> {
        let mut file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Examples::read(file.path(), 3)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn all(sentences: &Examples) -> Vec<&str> {
        (0..sentences.len()).map(|index| sentences.get(index)).collect()
    }

    const TEXT: &[u8] = "\u{feff}äöü\r\n\u{3000} one two \t\n\nab\näöü\nlast".as_bytes();

    #[test]
    fn lines_are_trimmed_and_short_ones_counted() {
        for bytes in [TEXT.to_vec(), gzip(TEXT), [gzip(&TEXT[..9]), gzip(&TEXT[9..])].concat()] {
            let sentences = read(&bytes, ".txt").unwrap();
            assert_eq!(all(&sentences), ["äöü", "one two", "äöü", "last"]);
            assert_eq!((sentences.skipped(), sentences.duplicates()), (2, 1));
            assert_eq!(sentences.groups(), [0, 1, 0, 3]);
        }
    }

    #[test]
    fn the_digest_is_that_of_the_lines() {
        // printf 'one two\nlast\n' | sha256sum
        let sentences = Examples::from_texts("test", ["one two", "la", "last "], 3).unwrap();
        assert_eq!(sentences.sha256(), "322bf37e27931251dbc7c4eafd21890c0b95d076d5f7105193c0c7d676bf2d4f");
    }

    proptest! {
        #[test]
        fn groups_are_the_first_equal_sentences(texts in prop::collection::vec("[ab]{0,3}", 1..40)) {
            let Ok(sentences) = Examples::from_texts("test", &texts, 1) else { return Ok(()) };
            let kept: Vec<_> = texts.iter().filter(|text| !text.is_empty()).collect();
            prop_assert_eq!(&all(&sentences), &kept);
            for (index, &group) in sentences.groups().iter().enumerate() {
                prop_assert_eq!(kept.iter().position(|text| *text == kept[index]), Some(group as usize));
            }
        }
    }
}
