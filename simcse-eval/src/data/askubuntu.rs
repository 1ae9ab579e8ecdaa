//! An AskUbuntu directory in the layout of github.com/taolei87/askubuntu (Lei et al. 2016).
//!
//! | file | fields, separated by tabs |
//! |---|---|
//! | `text_tokenized.txt.gz` or `.txt` | question id, title, body (only titles are used) |
//! | `dev.txt`, `test.txt` | query id, similar ids, candidate ids, BM25 scores |
//!
//! Items of a list are separated by spaces.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use simcse_model::io::{Line, Lines};

use crate::error::{Error, shown};

/// A line of `dev.txt` or `test.txt`.
pub(crate) struct Annotation {
    /// The line's number, from 1.
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

    fn parse(path: &Path, line: Line) -> Result<Self, Error> {
        let malformed = |expected, found| Error::malformed(path, line.number, expected, found);
        let [query, similar, candidates, scores] = line.text.splitn(5, '\t').collect::<Vec<_>>()[..] else {
            return Err(malformed(
                "query id, similar ids, candidate ids and BM25 scores, separated by tabs",
                line.text,
            ));
        };
        let query = query.trim();
        if query.is_empty() {
            return Err(malformed("a query id in field 1", line.text));
        }
        let distinct: HashSet<&str> = candidates.split_whitespace().collect();
        if let Some(stray) = similar.split_whitespace().find(|id| !distinct.contains(id)) {
            return Err(malformed("similar ids that are among the candidate ids", stray));
        }
        let candidates: Vec<String> = candidates.split_whitespace().map(str::to_owned).collect();
        if scores.split_whitespace().count() != candidates.len() {
            return Err(malformed("as many BM25 scores as candidate ids", scores));
        }
        let similar = similar.split_whitespace().map(str::to_owned).collect();
        Ok(Self { line: line.number, query: query.to_owned(), candidates, similar })
    }
}

/// The lines of `dev.txt` or `test.txt`.
pub(crate) struct Annotations {
    pub(crate) each: Vec<Annotation>,
}

impl Annotations {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut lines = Lines::open(path)?;
        let mut each = Vec::new();
        while let Some(line) = lines.next_filled_line()? {
            each.push(Annotation::parse(path, line)?);
        }
        Ok(Self { each })
    }

    /// The ids of all queries and candidates.
    pub(crate) fn ids(&self) -> HashSet<String> {
        self.each.iter().flat_map(|one| one.candidates.iter().chain([&one.query])).cloned().collect()
    }
}

/// The text file of a directory; the published, compressed one takes precedence.
pub(crate) fn text_file(directory: &Path) -> Option<PathBuf> {
    let names = ["text_tokenized.txt.gz", "text_tokenized.txt"];
    names.map(|name| directory.join(name)).into_iter().find(|path| path.exists())
}

/// The titles of `ids`; ids that the file does not have are absent.
pub(crate) fn titles_of(text_file: &Path, ids: &HashSet<String>) -> Result<HashMap<String, String>, Error> {
    let mut titles = Titles { path: text_file.to_owned(), lines: Lines::open(text_file)? };
    let mut found = HashMap::with_capacity(ids.len());
    while let Some((line, id, title)) = titles.next_title()? {
        if !ids.contains(id) {
            continue;
        }
        match found.get(id) {
            None => _ = found.insert(id.to_owned(), title.to_owned()),
            Some(first) if first == title => {}
            Some(_) => {
                return Err(Error::Malformed {
                    path: text_file.to_owned(),
                    line,
                    expected: "one title for each question id".to_owned(),
                    found: format!("a second one for \"{}\"", shown(id)),
                });
            }
        }
    }
    Ok(found)
}

/// The questions in a directory's text file: an iterator over (id, title), which ends with the
/// first error.
///
/// ```
/// use simcse_eval::Titles;
/// # let dir = tempfile::tempdir()?;
/// # let directory = dir.path();
/// # std::fs::write(directory.join("text_tokenized.txt"), "7\tslow boot\tthe body\n")?;
///
/// let titles = Titles::open(directory)?.collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(titles, [("7".to_owned(), "slow boot".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Titles {
    path: PathBuf,
    lines: Lines,
}

impl Titles {
    /// Opens the text file of a directory.
    ///
    /// # Errors
    /// [`Error::NoTexts`] if there is none, [`Error::Line`] if it cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let path = text_file(directory).ok_or_else(|| Error::NoTexts { path: directory.to_owned() })?;
        let lines = Lines::open(&path)?;
        Ok(Self { path, lines })
    }

    /// The number, id and title of the next line.
    fn next_title(&mut self) -> Result<Option<(u64, &str, &str)>, Error> {
        let Some(line) = self.lines.next_filled_line()? else {
            return Ok(None);
        };
        let mut fields = line.text.split('\t');
        match (fields.next().map(str::trim), fields.next()) {
            (Some(id), Some(title)) if !id.is_empty() => Ok(Some((line.number, id, title))),
            _ => {
                let expected = "question id, title and body, separated by tabs";
                Err(Error::malformed(&self.path, line.number, expected, line.text))
            }
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
