//! A corpus on disk: its vectors, its records, and what they were made with.
//!
//! | file | content |
//! |---|---|
//! | `index.json` | [`Description`]: the model, the number of rows, and where they come from |
//! | `vectors.bin` | the rows of [`Vectors`], one after the other |
//! | `records.jsonl` | a JSON object for each row: its `text`, and the other fields of its record |
//!
//! `index.json` is replaced in one go when what it describes is on disk, and what is beyond its
//! numbers does not count. So a process that is killed while it writes loses what it had not
//! described yet, and nothing else.
//!
//! This file knows files. It must not know models.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use simcse_model::Named;
use simcse_model::io::{create_directory, write_bytes};

use crate::error::Error;
use crate::search::vectors::{Storage, Vectors};

const INDEX: &str = "index.json";
const VECTORS: &str = "vectors.bin";
const RECORDS: &str = "records.jsonl";
/// The key of a record's text.
const TEXT: &str = "text";
/// The version of this format.
const FORMAT: u32 = 1;
/// The longest `index.json`, in bytes.
const MAX_DESCRIPTION: u64 = 1 << 24;

/// What an index holds, and what it was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The version of the format.
    format: u32,
    /// The model that encoded the texts, as the user named it.
    pub model: String,
    /// SHA-256 of its weights.
    pub model_sha256: String,
    /// What else its embeddings depend on, in words: how it pools, and the length that it cuts at.
    pub model_settings: String,
    /// What was put in front of each text.
    pub prompt: String,
    /// How values are stored: a name of [`Storage`].
    storage: String,
    /// Values of a vector.
    pub dimension: usize,
    /// Rows that are complete.
    pub rows: usize,
    /// Bytes of `records.jsonl` that belong to these.
    records_bytes: u64,
    /// Where the rows come from, in order.
    pub sources: Vec<Source>,
}

/// A file that was indexed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// As the user named it.
    pub name: String,
    /// Its rows so far.
    pub rows: usize,
    /// Whether these are all.
    pub is_complete: bool,
}

/// A model that encodes an index's texts or queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexModel {
    /// As the user named it.
    pub name: String,
    /// As [`Description::model_sha256`].
    pub sha256: String,
    /// As [`Description::model_settings`].
    pub settings: String,
}

impl IndexModel {
    /// Why `other` gives other embeddings than this model, whatever their names: what is expected,
    /// and what the other one has.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<(String, String)> {
        if self.sha256 != other.sha256 {
            return Some((format!("weights with the digest {}", self.sha256), other.sha256.clone()));
        }
        (self.settings != other.settings).then(|| (self.settings.clone(), other.settings.clone()))
    }
}

impl Description {
    /// The model that encoded the texts.
    #[must_use]
    pub fn index_model(&self) -> IndexModel {
        let [name, sha256, settings] = [&self.model, &self.model_sha256, &self.model_settings].map(String::clone);
        IndexModel { name, sha256, settings }
    }

    /// An index without rows.
    #[must_use]
    pub fn new(model: IndexModel, prompt: &str, storage: Storage, dimension: usize) -> Self {
        let IndexModel { name, sha256, settings } = model;
        Self {
            format: FORMAT,
            model: name,
            model_sha256: sha256,
            model_settings: settings,
            prompt: prompt.to_owned(),
            storage: storage.name().to_owned(),
            dimension,
            rows: 0,
            records_bytes: 0,
            sources: Vec::new(),
        }
    }

    /// How values are stored.
    #[must_use]
    pub fn storage(&self) -> Storage {
        Storage::from_name(&self.storage).unwrap_or_default()
    }

    /// Reads the description in `directory`.
    fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(INDEX);
        let damaged =
            |expected: &str, found: String| Error::Index { path: path.clone(), expected: expected.to_owned(), found };
        let file = File::open(&path).map_err(|error| damaged("the description of an index", error.to_string()))?;
        let mut bytes = Vec::new();
        file.take(MAX_DESCRIPTION).read_to_end(&mut bytes).map_err(Error::io(&path))?;
        let read: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged("the description of an index", error.to_string()))?;
        if read.format != FORMAT {
            return Err(damaged(&format!("format {FORMAT}"), read.format.to_string()));
        }
        if let Err(unknown) = Storage::from_name(&read.storage) {
            return Err(damaged(&format!("storage {}", unknown.expected), read.storage));
        }
        if read.dimension == 0 || read.sources.iter().map(|source| source.rows).sum::<usize>() != read.rows {
            return Err(damaged("rows that come from its sources", format!("{} rows", read.rows)));
        }
        Ok(read)
    }

    fn row_bytes(&self) -> u64 {
        self.storage().bytes(self.dimension) as u64
    }
}

/// A record of a corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(Map<String, Value>);

impl Record {
    /// A text, and the names and values of its record's other fields.
    #[must_use]
    pub fn new(text: &str, fields: &[(String, String)]) -> Self {
        let mut map = Map::new();
        map.insert(TEXT.to_owned(), text.into());
        for (name, value) in fields.iter().filter(|(name, _)| name != TEXT) {
            map.insert(name.clone(), value.as_str().into());
        }
        Self(map)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get(TEXT).and_then(Value::as_str).unwrap_or_default()
    }

    /// The value of another field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Everything, the text first.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// An index that is read.
#[derive(Debug)]
pub struct Index {
    /// What it holds.
    pub description: Description,
    directory: PathBuf,
    vectors: File,
    records: Vec<u8>,
    /// Where the records begin, and where the last one ends.
    starts: Vec<u64>,
}

impl Index {
    /// Opens an index and reads its records, but not its vectors.
    ///
    /// # Errors
    /// [`Error::Index`] if something is missing, or does not fit together.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let description = Description::read(directory)?;
        let path = directory.join(RECORDS);
        let file = File::open(&path).map_err(Error::io(&path))?;
        let mut records = Vec::new();
        file.take(description.records_bytes).read_to_end(&mut records).map_err(Error::io(&path))?;
        let ends = records.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at as u64 + 1);
        let starts: Vec<u64> = std::iter::once(0).chain(ends).collect();
        if starts.len() != description.rows + 1 || starts.last() != Some(&description.records_bytes) {
            let expected = format!("{} records in {} bytes", description.rows, description.records_bytes);
            let found = format!("{} in {}", starts.len() - 1, records.len());
            return Err(Error::Index { path, expected, found });
        }
        let path = directory.join(VECTORS);
        let vectors = File::open(&path).map_err(Error::io(&path))?;
        let (length, needed) = (vectors.metadata().map_err(Error::io(&path))?.len(), description.rows as u64);
        if length < needed * description.row_bytes() {
            let expected = format!("{} bytes for {needed} rows", needed * description.row_bytes());
            return Err(Error::Index { path, expected, found: length.to_string() });
        }
        Ok(Self { description, directory: directory.to_owned(), vectors, records, starts })
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.description.rows
    }

    /// The bytes that all vectors take.
    #[must_use]
    pub fn vector_bytes(&self) -> u64 {
        self.description.rows as u64 * self.description.row_bytes()
    }

    /// The record of a row.
    ///
    /// # Errors
    /// [`Error::Index`] if it is not a JSON object with a text.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn record(&self, row: usize) -> Result<Record, Error> {
        let bytes = &self.records[self.starts[row] as usize..self.starts[row + 1] as usize];
        let damaged = |found: String| {
            let path = self.directory.join(RECORDS);
            Error::Index { path, expected: format!("an object with a text in line {}", row + 1), found }
        };
        let map: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        match map.get(TEXT) {
            Some(Value::String(_)) => Ok(Record(map)),
            _ => Err(damaged("none".to_owned())),
        }
    }

    /// Reads the vectors of some rows.
    ///
    /// # Errors
    /// If they cannot be read; [`Error::Index`] if a value is not finite.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn vectors(&mut self, rows: Range<usize>) -> Result<Vectors, Error> {
        /// Bytes that are read at a time.
        const PART: usize = 1 << 24;
        assert!(rows.end <= self.rows(), "rows of the index");
        let path = self.directory.join(VECTORS);
        let size = self.description.row_bytes();
        let mut vectors = Vectors::new(self.description.storage(), self.description.dimension);
        vectors.reserve(rows.len());
        self.vectors.seek(SeekFrom::Start(rows.start as u64 * size)).map_err(Error::io(&path))?;
        let step = (PART / size as usize).max(1);
        let mut bytes = Vec::new();
        for start in rows.clone().step_by(step) {
            bytes.resize(step.min(rows.end - start) * size as usize, 0);
            self.vectors.read_exact(&mut bytes).map_err(Error::io(&path))?;
            vectors.push_bytes(&bytes);
        }
        if !vectors.is_finite() {
            let expected = "finite values".to_owned();
            return Err(Error::Index { path, expected, found: "NaN or infinity".to_owned() });
        }
        Ok(vectors)
    }
}

/// An index that grows.
#[derive(Debug)]
pub struct IndexWriter {
    /// What it holds so far, whether it is on disk or not.
    pub description: Description,
    directory: PathBuf,
    vectors: File,
    records: File,
}

impl IndexWriter {
    /// Creates an index, or goes on with the one that is there, which must have been made with the
    /// same model, prompt and storage. What was written after its last [`commit`](Self::commit) is
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Index`] if the index that is there is another one, or if another process writes to
    /// it.
    pub fn open(directory: &Path, wanted: &Description) -> Result<Self, Error> {
        create_directory(directory).map_err(Error::io(directory))?;
        let path = directory.join(VECTORS);
        let open = |path: &Path| OpenOptions::new().read(true).append(true).create(true).open(path);
        let vectors = open(&path).map_err(Error::io(&path))?;
        if vectors.try_lock().is_err() {
            let expected = "an index that no other process writes to".to_owned();
            return Err(Error::Index { path, expected, found: "one that is locked".to_owned() });
        }
        let description = match directory.join(INDEX).exists() {
            true => Description::read(directory)?,
            false => wanted.clone(),
        };
        let refuse = |expected, found| Err(Error::Index { path: directory.join(INDEX), expected, found });
        if let Some((expected, found)) = wanted.index_model().difference(&description.index_model()) {
            return refuse(expected, found);
        }
        if wanted.prompt != description.prompt {
            return refuse(format!("the prompt {}", wanted.prompt), description.prompt);
        }
        if wanted.storage != description.storage {
            return refuse(format!("values stored as {}", wanted.storage), description.storage);
        }
        let path = directory.join(RECORDS);
        let records = open(&path).map_err(Error::io(&path))?;
        let bytes = description.rows as u64 * description.row_bytes();
        for (file, name, bytes) in [(&vectors, VECTORS, bytes), (&records, RECORDS, description.records_bytes)] {
            let path = directory.join(name);
            let length = file.metadata().map_err(Error::io(&path))?.len();
            if length < bytes {
                let expected = format!("{bytes} bytes or more");
                return Err(Error::Index { path, expected, found: length.to_string() });
            }
            file.set_len(bytes).map_err(Error::io(&path))?;
        }
        Ok(Self { description, directory: directory.to_owned(), vectors, records })
    }

    /// Starts a new source.
    pub fn begin(&mut self, name: &str) {
        self.description.sources.push(Source { name: name.to_owned(), rows: 0, is_complete: false });
    }

    /// Adds rows to the last source.
    ///
    /// # Errors
    /// If they cannot be written.
    ///
    /// # Panics
    /// If there is not one vector for each record, of the right kind, or no source.
    pub fn append(&mut self, records: &[Record], vectors: &Vectors) -> Result<(), Error> {
        assert_eq!(records.len(), vectors.len(), "a vector for each record");
        assert_eq!(vectors.width(), self.description.dimension, "vectors of the index's width");
        assert_eq!(vectors.storage(), self.description.storage(), "vectors of the index's storage");
        let path = self.directory.join(VECTORS);
        self.vectors.write_all(&vectors.to_bytes(0..vectors.len())).map_err(Error::io(&path))?;
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, &record.0).expect("a map of strings is JSON");
            lines.push(b'\n');
        }
        let path = self.directory.join(RECORDS);
        self.records.write_all(&lines).map_err(Error::io(&path))?;
        self.description.records_bytes += lines.len() as u64;
        self.description.rows += records.len();
        self.description.sources.last_mut().expect("a source has begun").rows += records.len();
        Ok(())
    }

    /// Makes what was added part of the index. `is_complete` says whether the last source is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn commit(&mut self, is_complete: bool) -> Result<(), Error> {
        let sync = |file: &File, name: &str| file.sync_data().map_err(Error::io(&self.directory.join(name)));
        sync(&self.vectors, VECTORS)?;
        sync(&self.records, RECORDS)?;
        if let Some(source) = self.description.sources.last_mut() {
            source.is_complete = is_complete;
        }
        let text = serde_json::to_vec_pretty(&self.description).map_err(io::Error::other);
        let path = self.directory.join(INDEX);
        Ok(write_bytes(&path, &text.map_err(Error::io(&path))?)?)
    }
}

#[cfg(test)]
#[path = "tests/index.rs"]
mod tests;
