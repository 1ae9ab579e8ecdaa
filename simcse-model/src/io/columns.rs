//! The texts of a file: its lines, or the columns of a table that hold sentences.

use std::path::Path;

use crate::io::lines::{Line, Lines, is_standard_input, source_name};
use crate::io::records::{Record, RecordError, RecordFormat, Records};
use crate::io::text::excerpt;

/// Names that columns of sentences usually have: those of sentence-transformers, of SimCSE's own
/// files, and of data sets on the Hugging Face hub.
const USUAL_NAMES: [&str; 8] = ["text", "sentence", "sent0", "anchor", "title", "question", "query", "content"];

/// Names that the first two columns of a table of examples usually have, and what those of further
/// ones, its hard negatives, begin with: SimCSE's own files, and sentence-transformers' data sets.
const USUAL_EXAMPLES: [([&str; 2], &str); 2] = [(["sent0", "sent1"], "hard_neg"), (["anchor", "positive"], "negative")];

/// What a table of pairs has nothing besides: next to other columns, such as a score, its sentences
/// need not belong together.
const PAIRS: [&str; 2] = ["sentence1", "sentence2"];

/// The longest list of columns that a message shows, in characters.
const LISTED: usize = 200;

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
        self.source = Source::Table(Table { records, columns, width, shown });
        Ok(())
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
                table.take_texts(record, &mut self.texts)?;
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
    /// Moves the texts of a record to `texts`.
    fn take_texts(&self, mut record: Record, texts: &mut [String]) -> Result<(), RecordError> {
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
        Ok(())
    }
}

/// The columns to read.
struct Chosen {
    columns: Vec<usize>,
    /// Whether by their names and not by their numbers.
    by_name: bool,
}

/// The columns that texts can be in.
struct TextColumns {
    /// What errors call the file.
    file: String,
    /// The keys of JSON objects, or the fields of the first record.
    names: Vec<String>,
    is_json: bool,
    has_keys: bool,
}

impl TextColumns {
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

    /// The columns that the user names: all by their names, or all by their numbers.
    fn named(&self, given: &[String]) -> Result<Chosen, RecordError> {
        let missing = |column: &str| self.error(format!("a column `{}`", excerpt(column, LISTED)));
        let by_name: Vec<_> = given.iter().map(|column| self.index_of(column)).collect();
        if by_name.iter().any(Option::is_some) || self.has_keys {
            let of = |(index, column): (Option<usize>, &String)| index.ok_or_else(|| missing(column));
            let columns = by_name.into_iter().zip(given).map(of).collect::<Result<_, _>>()?;
            return Ok(Chosen { columns, by_name: true });
        }
        let of_number = |column: &String| {
            let number = column.parse::<usize>().ok().filter(|number| (1..=self.names.len()).contains(number));
            number.map(|number| number - 1).ok_or_else(|| missing(column))
        };
        Ok(Chosen { columns: given.iter().map(of_number).collect::<Result<_, _>>()?, by_name: false })
    }

    /// The index of the column of this name.
    fn index_of(&self, column: &str) -> Option<usize> {
        self.names.iter().position(|name| self.can_have_names() && name.trim() == column)
    }

    /// The only column with a usual name; JSON strings need none.
    fn usual(&self) -> Result<Chosen, RecordError> {
        let names = self.names.iter().enumerate();
        let usual: Vec<usize> =
            names.filter(|(_, name)| self.can_have_names() && is_usual(name)).map(|(index, _)| index).collect();
        match usual[..] {
            [_] => Ok(Chosen { columns: usual, by_name: true }),
            _ if !self.can_have_names() && self.names.len() == 1 => Ok(Chosen { columns: vec![0], by_name: false }),
            _ => Err(self.error(
                "one column named text, sentence or the like (or --text-column with a name or a number)".to_owned(),
            )),
        }
    }

    /// The columns of examples of several texts, if they have the usual names.
    fn usual_examples(&self) -> Option<Chosen> {
        let names: Vec<_> = self.names.iter().map(|name| name.trim().to_lowercase()).collect();
        let is_labeled = names.iter().any(|name| name == "label" || name.ends_with("score"));
        if !self.can_have_names() || is_labeled {
            return None;
        }
        let both = |pair: [&str; 2]| {
            let [first, second] = pair.map(|name| names.iter().position(|found| found == name));
            Some(vec![first?, second?])
        };
        let usual = USUAL_EXAMPLES.iter().find_map(|&(pair, negatives)| {
            let mut columns = both(pair)?;
            columns.extend((0..names.len()).filter(|&index| names[index].starts_with(negatives)));
            Some(columns)
        });
        let columns = usual.or_else(|| both(PAIRS).filter(|_| names.len() == PAIRS.len()))?;
        Some(Chosen { columns, by_name: true })
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
