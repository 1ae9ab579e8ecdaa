//! The questions that training must leave out because models are scored on them.

use std::collections::HashSet;
use std::path::Path;

use simcse_model::Named;

use crate::data::askubuntu::{Annotations, text_file, titles_of};
use crate::data::samples::each_sample_of;
use crate::data::split::Split;
use crate::error::Error;

/// What a training run must not see: the questions of the development and test sets and all their
/// candidates, including those of queries that an evaluation leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldOut {
    /// Question ids; empty for a file.
    pub ids: HashSet<String>,
    /// Trimmed titles: a training question with another id but one of these titles is held out,
    /// too.
    pub titles: HashSet<String>,
}

impl HeldOut {
    /// Reads both splits of a directory, or a file.
    ///
    /// # Errors
    /// Unreadable files (a directory must have both `dev.txt` and `test.txt`) and malformed lines.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut held_out = Self::default();
        if path.is_dir() {
            for split in Split::ALL {
                held_out.ids.extend(Annotations::read(&path.join(split.file_name()))?.ids());
            }
            if let Some(text_file) = text_file(path) {
                let titles = titles_of(&text_file, &held_out.ids)?.into_values();
                held_out.titles = titles.map(|title| title.trim().to_owned()).collect();
            }
        } else {
            each_sample_of(path, |sample| {
                let texts = sample.candidates.into_iter().chain([sample.query]);
                held_out.titles.extend(texts.map(|text| text.trim().to_owned()));
            })?;
        }
        Ok(held_out)
    }

    /// Whether training must leave out the question.
    #[must_use]
    pub fn contains(&self, id: &str, title: &str) -> bool {
        self.ids.contains(id) || self.titles.contains(title.trim())
    }
}
