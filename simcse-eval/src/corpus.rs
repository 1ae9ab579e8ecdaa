//! The files of an AskUbuntu directory or `.jsonl` file, as they are; [`crate::askubuntu`] describes the layouts.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::askubuntu::Split;
use crate::error::{Error, shown};
use crate::text::{Line, Lines};

/// A line of a `.jsonl` file.
#[derive(Deserialize)]
pub(crate) struct Sample {
    pub(crate) query: String,
    pub(crate) positive: Vec<String>,
    pub(crate) negative: Vec<String>,
}

/// Reads the lines of a `.jsonl` file.
pub(crate) fn each_sample(mut lines: Lines, mut take: impl FnMut(Sample)) -> Result<(), Error> {
    while let Some(line) = lines.next_line()? {
        take(serde_json::from_str(line.text).map_err(|error| Error::Malformed {
            path: line.path.to_owned(),
            line: line.number,
            expected: r#"a JSON object {"query": "…", "positive": ["…"], "negative": ["…"]}"#,
            found: shown(&error.to_string().replace("line 1 ", "")),
        })?);
    }
    Ok(())
}

/// A line of `dev.txt` or `test.txt`.
pub(crate) struct Annotation {
    pub(crate) line: u64,
    pub(crate) query: String,
    pub(crate) candidates: Vec<String>,
    similar: HashSet<String>,
}

impl Annotation {
    /// Whether each candidate is similar to the query.
    pub(crate) fn relevant(&self) -> Vec<bool> {
        self.candidates.iter().map(|candidate| self.similar.contains(candidate)).collect()
    }

    fn parse(line: &Line) -> Result<Self, Error> {
        let [query, similar, candidates, scores] = line.text.splitn(5, '\t').collect::<Vec<_>>()[..] else {
            return Err(
                line.malformed("query id, similar ids, candidate ids and BM25 scores, separated by tabs", line.text)
            );
        };
        let query = query.trim();
        if query.is_empty() {
            return Err(line.malformed("a query id in field 1", line.text));
        }
        let distinct: HashSet<&str> = candidates.split_whitespace().collect();
        if let Some(stray) = similar.split_whitespace().find(|id| !distinct.contains(id)) {
            return Err(line.malformed("similar ids that are among the candidate ids", stray));
        }
        let candidates: Vec<String> = candidates.split_whitespace().map(str::to_owned).collect();
        if scores.split_whitespace().count() != candidates.len() {
            return Err(line.malformed("as many BM25 scores as candidate ids", scores));
        }
        let similar = similar.split_whitespace().map(str::to_owned).collect();
        Ok(Self { line: line.number, query: query.to_owned(), candidates, similar })
    }
}

/// `dev.txt` or `test.txt`.
pub(crate) struct Annotations {
    pub(crate) each: Vec<Annotation>,
}

impl Annotations {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut lines = Lines::open(path)?;
        let mut each = Vec::new();
        while let Some(line) = lines.next_line()? {
            each.push(Annotation::parse(&line)?);
        }
        Ok(Self { each })
    }

    /// The ids of all queries and candidates.
    pub(crate) fn ids(&self) -> HashSet<String> {
        self.each.iter().flat_map(|one| one.candidates.iter().chain([&one.query])).cloned().collect()
    }
}

/// The text file of a directory, the published compressed one first.
pub(crate) fn text_file(directory: &Path) -> Option<PathBuf> {
    let names = ["text_tokenized.txt.gz", "text_tokenized.txt"];
    names.map(|name| directory.join(name)).into_iter().find(|path| path.exists())
}

/// The titles of some ids; those that the file does not have are absent.
pub(crate) fn titles_of(text_file: &Path, ids: &HashSet<String>) -> Result<HashMap<String, String>, Error> {
    let mut titles = Titles { lines: Lines::open(text_file)? };
    let mut found = HashMap::with_capacity(ids.len());
    while let Some((line, id, title)) = titles.next_title()? {
        if !ids.contains(id) {
            continue;
        }
        match found.get(id) {
            None => _ = found.insert(id.to_owned(), title.to_owned()),
            Some(first) if first == title => {}
            Some(_) => {
                return Err(line.malformed("one title for each question id, and so no second for", id));
            }
        }
    }
    Ok(found)
}

/// The questions of a directory's text file, one after the other: an iterator of (id, title), or the first error.
pub struct Titles {
    lines: Lines,
}

impl Titles {
    /// Opens the text file of a directory.
    ///
    /// # Errors
    /// [`Error::NoTexts`] if there is none, [`Error::Line`] if it cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let path = text_file(directory).ok_or_else(|| Error::NoTexts { path: directory.to_owned() })?;
        Ok(Self { lines: Lines::open(&path)? })
    }

    /// The next line, its id and its title.
    fn next_title(&mut self) -> Result<Option<(Line<'_>, &str, &str)>, Error> {
        let Some(line) = self.lines.next_line()? else {
            return Ok(None);
        };
        let mut fields = line.text.split('\t');
        match (fields.next().map(str::trim), fields.next()) {
            (Some(id), Some(title)) if !id.is_empty() => Ok(Some((line, id, title))),
            _ => Err(line.malformed("question id, title and body, separated by tabs", line.text)),
        }
    }
}

impl Iterator for Titles {
    type Item = Result<(String, String), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let question = self.next_title().transpose()?;
        Some(question.map(|(_, id, title)| (id.to_owned(), title.to_owned())))
    }
}

/// What a training run must not see: the questions of development and test set, and their candidates, also those of
/// queries that evaluation leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldOut {
    /// Question ids; empty for a `.jsonl` file.
    pub ids: HashSet<String>,
    /// Titles, trimmed: a training question with other id and the same title is held out too.
    pub titles: HashSet<String>,
}

impl HeldOut {
    /// Of a directory, with both splits, or of a `.jsonl` file.
    ///
    /// # Errors
    /// Unreadable files (a directory must have both `dev.txt` and `test.txt`), lines not in the format.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut held_out = Self::default();
        if path.is_dir() {
            for split in [Split::Dev, Split::Test] {
                held_out.ids.extend(Annotations::read(&path.join(split.file_name()))?.ids());
            }
            if let Some(text_file) = text_file(path) {
                let titles = titles_of(&text_file, &held_out.ids)?.into_values();
                held_out.titles = titles.map(|title| title.trim().to_owned()).collect();
            }
        } else {
            each_sample(Lines::open(path)?, |sample| {
                let texts = sample.positive.into_iter().chain(sample.negative).chain([sample.query]);
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
