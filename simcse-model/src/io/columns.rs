//! The texts of a file: its lines, or the column of a table that holds sentences.

use std::path::Path;

use crate::io::lines::{Line, Lines, is_standard_input, source_name};
use crate::io::records::{Record, RecordError, RecordFormat, Records};
use crate::io::text::excerpt;

/// Names that columns of sentences usually have: those of sentence-transformers, of SimCSE's own
/// files, and of data sets on the Hugging Face hub.
const USUAL_NAMES: [&str; 8] = ["text", "sentence", "sent0", "anchor", "title", "question", "query", "content"];

/// The longest list of columns that a message shows, in characters.
const LISTED: usize = 200;

/// The texts of a file, one after another. A `.csv`, `.tsv` or `.jsonl` file has one per record,
/// any other file one per line; each may be compressed (`.gz`).
///
/// ```
/// use simcse_model::io::Texts;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("titles.csv");
/// # std::fs::write(&path, "id,text\n7,\"slow, slow boot\"\n")?;
///
/// let mut texts = Texts::open(&path, None)?;
/// assert_eq!(texts.next_text()?.map(|line| line.text), Some("slow, slow boot"));
/// assert_eq!(texts.next_text()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Texts {
    source: Source,
    /// The first record of a table, if it is a text and not a header.
    first: Option<Record>,
    text: String,
    looks_like_header: bool,
    count: u64,
    quoted: u64,
}

enum Source {
    Lines(Lines),
    Table(Table),
}

/// A table and its column of texts.
struct Table {
    records: Records,
    column: usize,
    /// Fields of a record, if all have the same number.
    width: Option<usize>,
    /// What errors call the column.
    shown: String,
}

impl Texts {
    /// Opens a file; `-` is standard input, one text per line.
    ///
    /// `column` selects the column of a table: by its name in the first line, by its key in JSON
    /// objects, or by its number from 1 in a table without names. By default it is the only column
    /// with one of the usual names: `text`, `sentence`, `sent0`, `anchor`, `title`, `question`,
    /// `query` or `content`.
    ///
    /// # Errors
    /// [`RecordError`]: an unreadable file, a table without the column or with several that it
    /// could be, and a column of a file that is not a table.
    pub fn open(path: &Path, column: Option<&str>) -> Result<Self, RecordError> {
        let table = !is_standard_input(path) && RecordFormat::of_extension(path).is_some();
        let (source, first, looks_like_header) = match (table, column) {
            (true, _) => {
                let mut records = Records::open(path)?;
                match records.next_record()? {
                    Some(first) => choose(records, first, column)?,
                    None => (Source::Lines(Lines::of("", "")), None, false),
                }
            }
            (false, None) => (Source::Lines(Lines::open(path)?), None, false),
            (false, Some(column)) => {
                return Err(RecordError::Column {
                    name: source_name(path),
                    expected: "a .csv, .tsv or .jsonl file because a column is named (--text-column)".to_owned(),
                    found: format!("a file of lines, and column {}", excerpt(column, LISTED)),
                });
            }
        };
        Ok(Self { source, first, text: String::new(), looks_like_header, count: 0, quoted: 0 })
    }

    /// The next text, not trimmed, and the number of its (first) line; `None` after the last.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn next_text(&mut self) -> Result<Option<Line<'_>>, RecordError> {
        let line = match &mut self.source {
            Source::Lines(lines) => {
                let line = lines.next_line()?;
                self.looks_like_header |= self.count == 0 && line.is_some_and(|line| is_header(line.text));
                line
            }
            Source::Table(table) => {
                let record = match self.first.take() {
                    Some(first) => Some(first),
                    None => table.records.next_record()?,
                };
                match record {
                    Some(record) => {
                        let number = record.line;
                        self.text = table.take_text(record)?;
                        Some(Line { number, text: &self.text })
                    }
                    None => None,
                }
            }
        };
        if let Some(line) = line {
            self.count += 1;
            self.quoted += u64::from(is_quoted(line.text));
        }
        Ok(line)
    }

    /// Warnings about the texts so far, one line each: a first line that looks like a header, and
    /// quotes around every text.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.looks_like_header {
            warnings.push("line 1 looks like a header, and is read like every other line".to_owned());
        }
        if self.count > 1 && self.quoted == self.count {
            warnings.push(
                "every sentence is in quotes, which are read as part of it; a .csv file is read without them"
                    .to_owned(),
            );
        }
        warnings
    }
}

impl Table {
    /// The text of a record.
    fn take_text(&self, mut record: Record) -> Result<String, RecordError> {
        let malformed = |expected, found| {
            let name = self.records.name().to_owned();
            RecordError::Malformed { name, line: record.line, expected, found }
        };
        let found = record.fields.len();
        if let Some(width) = self.width.filter(|width| *width != found) {
            return Err(malformed(format!("{width} fields, as in the first line"), found.to_string()));
        }
        match record.fields.get_mut(self.column).and_then(Option::take) {
            Some(text) => Ok(text),
            None => Err(malformed(format!("a string in {}", self.shown), "none".to_owned())),
        }
    }
}

/// The column of texts, given the first record. Returns that record, too, if it is not a header,
/// and whether it looks like one.
fn choose(
    records: Records,
    first: Record,
    column: Option<&str>,
) -> Result<(Source, Option<Record>, bool), RecordError> {
    let columns = Columns::of(&records, &first);
    let (column, is_name) = match column {
        Some(column) => columns.named(column)?,
        None => columns.usual()?,
    };
    let shown = match columns.names.get(column) {
        Some(name) if is_name => format!("`{}`", excerpt(name, LISTED)),
        _ => format!("column {}", column + 1),
    };
    let width = (!columns.is_json).then_some(columns.names.len());
    let looks_like_header = !is_name && columns.can_have_names() && columns.names.iter().any(|name| is_usual(name));
    let is_header = is_name && !columns.has_keys;
    let first = (!is_header).then_some(first);
    Ok((Source::Table(Table { records, column, width, shown }), first, looks_like_header))
}

/// The columns that a text can be in.
struct Columns {
    /// What errors call the file.
    file: String,
    /// The keys of JSON objects, or the fields of the first record.
    names: Vec<String>,
    is_json: bool,
    has_keys: bool,
}

impl Columns {
    fn of(records: &Records, first: &Record) -> Self {
        let fields = || first.fields.iter().map(|field| field.clone().unwrap_or_default()).collect();
        Self {
            file: records.name().to_owned(),
            names: records.keys().map_or_else(fields, <[String]>::to_vec),
            is_json: records.format() == Some(RecordFormat::Json),
            has_keys: records.keys().is_some(),
        }
    }

    /// Whether columns may have names: those of JSON arrays have none.
    fn can_have_names(&self) -> bool {
        self.has_keys || !self.is_json
    }

    /// The index of the column that the user names, and whether by its name and not by its number.
    fn named(&self, column: &str) -> Result<(usize, bool), RecordError> {
        let named = self.names.iter().position(|name| self.can_have_names() && name.trim() == column);
        if let Some(index) = named {
            return Ok((index, true));
        }
        let number = column.parse::<usize>().ok().filter(|number| (1..=self.names.len()).contains(number));
        match number {
            Some(number) if !self.has_keys => Ok((number - 1, false)),
            _ => Err(self.error(format!("a column `{}`", excerpt(column, LISTED)))),
        }
    }

    /// The index of the only column with a usual name, and whether it has one: JSON strings need
    /// none.
    fn usual(&self) -> Result<(usize, bool), RecordError> {
        let names = self.names.iter().enumerate();
        let usual: Vec<usize> =
            names.filter(|(_, name)| self.can_have_names() && is_usual(name)).map(|(index, _)| index).collect();
        match usual[..] {
            [index] => Ok((index, true)),
            _ if !self.can_have_names() && self.names.len() == 1 => Ok((0, false)),
            _ => Err(self.error(
                "one column named text, sentence or the like (or --text-column with a name or a number)".to_owned(),
            )),
        }
    }

    fn error(&self, expected: String) -> RecordError {
        let names: Vec<_> = self.names.iter().map(|name| name.trim()).collect();
        RecordError::Column { name: self.file.clone(), expected, found: excerpt(names.join(", "), LISTED) }
    }
}

fn is_usual(name: &str) -> bool {
    USUAL_NAMES.contains(&name.trim().to_lowercase().as_str())
}

/// Whether a line of text looks like the header of a table: single words, one of which is a usual
/// name.
fn is_header(line: &str) -> bool {
    let mut names = line.split(['\t', ',']).map(|name| name.trim().trim_matches('"'));
    let words = names.clone().all(|name| !name.is_empty() && !name.contains(char::is_whitespace));
    words && names.any(is_usual)
}

fn is_quoted(text: &str) -> bool {
    text.len() > 1 && text.starts_with('"') && text.ends_with('"')
}

#[cfg(test)]
#[path = "tests/columns.rs"]
mod tests;
