//! The sentences to encode: counted before the work starts, then read in chunks.

use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::{fs, mem};

use simcse_model::SentenceEncoder;
use simcse_model::io::{RecordError, Texts, is_standard_input, source_name};

use crate::report;

/// Bytes of text to encode at a time, unless one text is longer.
const CHUNK_BYTES: usize = 1 << 20;

/// A file of sentences, or standard input.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    /// The column of a table that holds the sentences.
    pub(crate) column: Option<String>,
}

/// Sentences to encode together.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(crate) texts: Vec<String>,
    /// The number of each text's line.
    pub(crate) lines: Vec<u64>,
}

impl Input {
    /// What errors call the input.
    pub(crate) fn name(&self) -> String {
        source_name(&self.path)
    }

    /// Reads a regular file once before the work starts, so that a line that is not UTF-8 is
    /// reported at once, and the progress bar has an end. `None` for what can be read only once.
    pub(crate) fn count(&self) -> Result<Option<u64>, RecordError> {
        if !self.is_read_twice() {
            return Ok(None);
        }
        let mut texts = self.open()?;
        let mut count = 0;
        while texts.next_text()?.is_some() {
            count += 1;
        }
        self.warn(&texts.warnings());
        Ok(Some(count))
    }

    /// Sends all sentences except the first `skipped` in chunks, until the receiver is gone, and
    /// returns the warnings about them.
    pub(crate) fn send(&self, skipped: usize, chunks: &SyncSender<Chunk>) -> Result<Vec<String>, RecordError> {
        let mut texts = self.open()?;
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        for _ in 0..skipped {
            if texts.next_text()?.is_none() {
                break;
            }
        }
        while let Some(line) = texts.next_text()? {
            bytes += line.text.len();
            chunk.texts.push(line.text.to_owned());
            chunk.lines.push(line.number);
            if chunk.texts.len() == SentenceEncoder::ENCODED_SENTENCES || bytes >= CHUNK_BYTES {
                if chunks.send(mem::take(&mut chunk)).is_err() {
                    return Ok(Vec::new());
                }
                bytes = 0;
            }
        }
        if !chunk.texts.is_empty() {
            let _ = chunks.send(chunk);
        }
        Ok(texts.warnings())
    }

    /// Prints warnings about an input that could not be read before the work started.
    pub(crate) fn warn_late(&self, warnings: &[String]) {
        if !self.is_read_twice() {
            self.warn(warnings);
        }
    }

    fn open(&self) -> Result<Texts, RecordError> {
        Texts::open(&self.path, self.column.as_deref())
    }

    /// Whether its sentences can be read more than once.
    pub(crate) fn is_read_twice(&self) -> bool {
        let special = || fs::metadata(&self.path).is_ok_and(|file| !file.is_file() && !file.is_dir());
        !is_standard_input(&self.path) && !special()
    }

    fn warn(&self, warnings: &[String]) {
        for warning in warnings {
            report::warn(&format!("{}: {warning}", self.name()));
        }
    }
}
