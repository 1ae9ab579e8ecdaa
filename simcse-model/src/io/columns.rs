//! The texts of a file: its lines, or the columns of a table that hold sentences.

use std::path::Path;

use crate::io::choice::{Chosen, LISTED, TextColumns, is_usual};
use crate::io::lines::{Line, Lines, is_standard_input, source_name};
use crate::io::records::{Record, RecordError, RecordFormat, Records};
use crate::io::text::excerpt;

/// The texts of a file, one after another. A `.csv`, `.tsv` or `.jsonl` file has one or several per
/// record, any other file one per line; each may be compressed (`.gz`).
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
    names: Vec<String>,
    /// Those of the last record or line.
    texts: Vec<String>,
    /// The names and values of the last record's other fields, if they are wanted.
    others: Option<Vec<(String, String)>>,
    looks_like_header: bool,
    count: u64,
    quoted: u64,
}

enum Source {
    Lines(Lines),
    Table(Table),
}

/// A table and its columns of texts.
struct Table {
    records: Records,
    columns: Vec<usize>,
    /// The names of all columns; empty if they have none.
    names: Vec<String>,
    /// Fields of a record, if all have the same number.
    width: Option<usize>,
    /// What errors call the first of the columns.
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
        let given: Vec<String> = column.into_iter().map(str::to_owned).collect();
        Self::select(path, |columns| if given.is_empty() { columns.usual() } else { columns.named(&given) }, &given)
    }

    /// [`Texts::open`] of one or several columns. By default, these are `sent0`, `sent1` and
    /// `hard_neg`, or `anchor`, `positive` and all whose names begin with `negative`, with as many
    /// of the negatives as there are; `sentence1` and `sentence2`, if there is no other column; or
    /// else the one that [`Texts::open`] would read. In a table with a column named `label` or
    /// `score`, no more than one is read by default.
    ///
    /// # Errors
    /// As [`Texts::open`].
    ///
    /// ```
    /// use simcse_model::io::Texts;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("pairs.csv");
    /// # std::fs::write(&path, "anchor,positive\nslow boot,\"boot, slowly\"\n")?;
    ///
    /// let mut pairs = Texts::open_columns(&path, &[])?;
    /// assert_eq!(pairs.column_names(), ["anchor", "positive"]);
    /// assert_eq!(pairs.next_texts()?.expect("a first pair"), ["slow boot", "boot, slowly"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_columns(path: &Path, columns: &[String]) -> Result<Self, RecordError> {
        let choose = |found: &TextColumns| match columns {
            [] => found.usual_examples().map_or_else(|| found.usual(), Ok),
            given => found.named(given),
        };
        Self::select(path, choose, columns)
    }

    /// `given` are the columns that the caller names.
    fn select(
        path: &Path,
        choose: impl FnOnce(&TextColumns) -> Result<Chosen, RecordError>,
        given: &[String],
    ) -> Result<Self, RecordError> {
        let table = !is_standard_input(path) && RecordFormat::of_extension(path).is_some();
        let mut texts = Self {
            source: Source::Lines(Lines::of("", "")),
            first: None,
            names: Vec::new(),
            texts: vec![String::new()],
            others: None,
            looks_like_header: false,
            count: 0,
            quoted: 0,
        };
        if table {
            let mut records = Records::open(path)?;
            if let Some(first) = records.next_record()? {
                texts.read_table(records, first, choose)?;
            }
        } else if given.is_empty() {
            texts.source = Source::Lines(Lines::open(path)?);
        } else {
            return Err(RecordError::Column {
                name: source_name(path),
                expected: "a .csv, .tsv or .jsonl file because a column is named (--text-column)".to_owned(),
                found: format!("a file of lines, and column {}", excerpt(given.join(","), LISTED)),
            });
        }
        Ok(texts)
    }

    /// Starts to read a table, given its first record, which is a text unless it is a header.
    fn read_table(
        &mut self,
        records: Records,
        first: Record,
        choose: impl FnOnce(&TextColumns) -> Result<Chosen, RecordError>,
    ) -> Result<(), RecordError> {
        let found = TextColumns::of(&records, &first);
        let Chosen { columns, by_name } = choose(&found)?;
        let name = |&column: &usize| found.names[column].trim().to_owned();
        self.names = if by_name { columns.iter().map(name).collect() } else { Vec::new() };
        let shown = match self.names.first() {
            Some(name) => format!("`{}`", excerpt(name, LISTED)),
            None => format!("column {}", columns[0] + 1),
        };
        let width = (!found.is_json).then_some(found.names.len());
        self.looks_like_header = !by_name && found.can_have_names() && found.names.iter().any(|name| is_usual(name));
        let is_header = by_name && !found.has_keys;
        self.first = (!is_header).then_some(first);
        self.texts = vec![String::new(); columns.len()];
        let names = if by_name { found.names } else { Vec::new() };
        self.source = Source::Table(Table { records, columns, names, width, shown });
        Ok(())
    }

    /// Keeps the other fields of records, for [`other_fields`](Self::other_fields).
    #[must_use]
    pub fn with_other_fields(self) -> Self {
        Self { others: Some(Vec::new()), ..self }
    }

    /// The names and values of the fields of the last record that are not texts, as far as columns
    /// have names and fields have values that are strings or numbers.
    #[must_use]
    pub fn other_fields(&self) -> &[(String, String)] {
        self.others.as_deref().unwrap_or_default()
    }

    /// The number of texts in each record, at least one.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.texts.len()
    }

    /// The names of the columns that are read; empty for lines and for a table without names.
    #[must_use]
    pub fn column_names(&self) -> &[String] {
        &self.names
    }

    /// The next text, not trimmed, and the number of its (first) line; `None` after the last. If
    /// there are several columns, the text of the first.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn next_text(&mut self) -> Result<Option<Line<'_>>, RecordError> {
        let number = self.advance()?;
        Ok(number.map(|number| Line { number, text: &self.texts[0] }))
    }

    /// The texts of the next record or line, not trimmed; `None` after the last. If there are
    /// several columns, a JSON value that is missing or not text counts as empty.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn next_texts(&mut self) -> Result<Option<&[String]>, RecordError> {
        Ok(self.advance()?.map(|_| self.texts.as_slice()))
    }

    /// Reads the next texts and returns the number of their (first) line.
    fn advance(&mut self) -> Result<Option<u64>, RecordError> {
        let number = match &mut self.source {
            Source::Lines(lines) => {
                let Some(line) = lines.next_line()? else { return Ok(None) };
                self.looks_like_header |= self.count == 0 && is_header(line.text);
                self.texts[0].clear();
                self.texts[0].push_str(line.text);
                line.number
            }
            Source::Table(table) => {
                let record = match self.first.take() {
                    Some(first) => Some(first),
                    None => table.records.next_record()?,
                };
                let Some(record) = record else { return Ok(None) };
                let number = record.line;
                table.take_texts(record, &mut self.texts, self.others.as_mut())?;
                number
            }
        };
        self.count += 1;
        self.quoted += u64::from(self.texts.iter().all(|text| is_quoted(text)));
        Ok(Some(number))
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
    /// Moves the texts of a record to `texts`, and its other fields, with their names, to `others`.
    fn take_texts(
        &self,
        mut record: Record,
        texts: &mut [String],
        others: Option<&mut Vec<(String, String)>>,
    ) -> Result<(), RecordError> {
        let malformed = |expected, found| {
            let name = self.records.name().to_owned();
            RecordError::Malformed { name, line: record.line, expected, found }
        };
        let found = record.fields.len();
        if let Some(width) = self.width.filter(|width| *width != found) {
            return Err(malformed(format!("{width} fields, as in the first line"), found.to_string()));
        }
        let is_alone = texts.len() == 1;
        for (&column, text) in self.columns.iter().zip(texts) {
            let field = record.fields.get_mut(column).map(|field| if is_alone { field.take() } else { field.clone() });
            *text = match field.flatten() {
                None if is_alone => return Err(malformed(format!("a string in {}", self.shown), "none".to_owned())),
                field => field.unwrap_or_default(),
            };
        }
        if let Some(others) = others {
            others.clear();
            let fields = self.names.iter().zip(record.fields).enumerate();
            let named = fields.filter(|(column, _)| !self.columns.contains(column));
            others.extend(named.filter_map(|(_, (name, field))| Some((name.trim().to_owned(), field?))));
        }
        Ok(())
    }
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
