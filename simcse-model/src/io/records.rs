//! Records of a text file: fields separated by tabs or commas, or JSON lines.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use crate::io::json::json_kind;
use crate::io::lines::{LineError, Lines, MAX_LINE};
use crate::io::text::excerpt;

/// The longest piece of foreign text that a message quotes, in characters.
const QUOTED: usize = 80;

/// Why there is no next record. `name` is the file as given, or "standard input", escaped for a
/// terminal.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read as lines of text.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A record is not in the file's format.
    #[error("{name}, line {line}: expected {expected}, found {found}")]
    Malformed {
        /// The file.
        name: String,
        /// The record's first line, from 1.
        line: u64,
        /// What the format requires.
        expected: String,
        /// What the record has instead, escaped and cut.
        found: String,
    },
    /// The file does not have the column, or it is not clear which column is meant.
    #[error("{name}: expected {expected}, found {found}")]
    Column {
        /// The file.
        name: String,
        /// What there should have been, and how to say which column is meant.
        expected: String,
        /// The columns that there are, escaped and cut.
        found: String,
    },
}

/// How the fields of a record are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// Fields separated by tabs. Quotes are part of the text, as in the published STS files.
    Tabs,
    /// Fields separated by commas. A field in double quotes may contain commas, line breaks, and
    /// quotes, which are doubled. Python: `csv.reader`.
    Commas,
    /// A JSON value per line: an object, whose keys name the columns, an array, or a string.
    Json,
}

impl RecordFormat {
    /// The format that a file's extension, before `.gz`, promises: `.tsv`, `.csv`, `.jsonl`,
    /// `.ndjson` or `.json`.
    #[must_use]
    pub fn of_extension(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let (_, extension) = name.rsplit_once('.')?;
        match extension {
            "tsv" => Some(Self::Tabs),
            "csv" => Some(Self::Commas),
            "jsonl" | "ndjson" | "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The format of a file whose first line is `line`. A tab takes precedence over commas even in
    /// a `.csv`, because the published STS-B files are tab-separated under that name.
    fn of_first_line(path: &Path, line: &str) -> Self {
        match Self::of_extension(path) {
            Some(Self::Json) => Self::Json,
            Some(Self::Tabs) => Self::Tabs,
            _ if line.contains('\t') => Self::Tabs,
            Some(Self::Commas) => Self::Commas,
            _ if line.trim_start().starts_with('{') => Self::Json,
            _ => Self::Commas,
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's first line, from 1.
    pub line: u64,
    /// The fields, not trimmed. `None` only in JSON, for a missing key, `null`, and values that are
    /// neither text nor a number.
    pub fields: Vec<Option<String>>,
}

/// The records of a file, one after another; blank lines are skipped.
///
/// ```
/// use simcse_model::io::Records;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("pairs.csv");
/// # std::fs::write(&path, "id,text\n7,\"slow, \"\"very\"\" slow\"\n")?;
///
/// let mut records = Records::open(&path)?;
/// records.next_record()?;
/// let record = records.next_record()?.expect("a second record");
/// assert_eq!(record.line, 2);
/// assert_eq!(record.fields[1].as_deref(), Some(r#"slow, "very" slow"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Records {
    name: String,
    source: Source,
    keys: Option<Vec<String>>,
}

enum Source {
    /// A file without a line that is not blank.
    Empty,
    Tabs(PeekedLines),
    Commas(Box<csv::Reader<LineBytes>>),
    Json(PeekedLines),
}

impl Records {
    /// Opens a file, plain or gzip; `-` is standard input. Its extension and first line decide how
    /// it is read.
    ///
    /// # Errors
    /// [`RecordError::Line`], and [`RecordError::Malformed`] for a first line that is not JSON in a
    /// file that should be.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let mut lines = Lines::open(path)?;
        let name = lines.name().to_owned();
        let Some(first) = lines.next_filled_line()? else {
            return Ok(Self { name, source: Source::Empty, keys: None });
        };
        let format = RecordFormat::of_first_line(path, first.text);
        let first = (first.number, first.text.to_owned());
        let keys = match format {
            RecordFormat::Json => keys(&parse_json(&name, first.0, &first.1)?),
            RecordFormat::Tabs | RecordFormat::Commas => None,
        };
        let source = match format {
            RecordFormat::Tabs => Source::Tabs(PeekedLines { first: Some(first), lines }),
            RecordFormat::Json => Source::Json(PeekedLines { first: Some(first), lines }),
            RecordFormat::Commas => {
                let bytes = LineBytes::new(lines, &first);
                let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
                Source::Commas(Box::new(reader))
            }
        };
        Ok(Self { name, source, keys })
    }

    /// What errors call the file, escaped for a terminal.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the records are written; `None` for an empty file.
    #[must_use]
    pub fn format(&self) -> Option<RecordFormat> {
        match &self.source {
            Source::Empty => None,
            Source::Tabs(_) => Some(RecordFormat::Tabs),
            Source::Commas(_) => Some(RecordFormat::Commas),
            Source::Json(_) => Some(RecordFormat::Json),
        }
    }

    /// The keys of the first JSON object, which name the fields of every record, in their order.
    /// `None` for records without keys, whose first may or may not be a header.
    #[must_use]
    pub fn keys(&self) -> Option<&[String]> {
        self.keys.as_deref()
    }

    /// The next record, `None` after the last.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn next_record(&mut self) -> Result<Option<Record>, RecordError> {
        match &mut self.source {
            Source::Empty => Ok(None),
            Source::Tabs(lines) => Ok(lines.next_line()?.map(|(line, text)| Record {
                line,
                fields: text.split('\t').map(|field| Some(field.to_owned())).collect(),
            })),
            Source::Json(lines) => {
                let Some((line, text)) = lines.next_line()? else {
                    return Ok(None);
                };
                let value = parse_json(&self.name, line, &text)?;
                let fields = json_fields(value, self.keys.as_deref())
                    .map_err(|(expected, found)| malformed(&self.name, line, expected, found))?;
                Ok(Some(Record { line, fields }))
            }
            Source::Commas(reader) => next_csv(reader, &self.name),
        }
    }
}

fn malformed(name: &str, line: u64, expected: impl Into<String>, found: impl fmt::Display) -> RecordError {
    RecordError::Malformed { name: name.to_owned(), line, expected: expected.into(), found: excerpt(found, QUOTED) }
}

/// Lines of which the first has been read already.
struct PeekedLines {
    first: Option<(u64, String)>,
    lines: Lines,
}

impl PeekedLines {
    fn next_line(&mut self) -> Result<Option<(u64, String)>, LineError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let line = self.lines.next_filled_line()?;
        Ok(line.map(|line| (line.number, line.text.to_owned())))
    }
}

fn parse_json(name: &str, line: u64, text: &str) -> Result<Value, RecordError> {
    serde_json::from_str(text).map_err(|error| {
        let found = error.to_string().replace("line 1 ", "");
        malformed(name, line, "a JSON value per line", found)
    })
}

fn keys(value: &Value) -> Option<Vec<String>> {
    Some(value.as_object()?.keys().cloned().collect())
}

/// The fields of a JSON value, in the order of `keys` if the first value had keys. The error says
/// what was expected and found.
fn json_fields(value: Value, keys: Option<&[String]>) -> Result<Vec<Option<String>>, (&'static str, &'static str)> {
    match (keys, value) {
        (Some(keys), Value::Object(mut object)) => {
            Ok(keys.iter().map(|key| object.get_mut(key).map(Value::take).and_then(scalar)).collect())
        }
        (None, Value::Array(values)) => Ok(values.into_iter().map(scalar).collect()),
        (None, Value::String(text)) => Ok(vec![Some(text)]),
        (Some(_), value) => Err(("a JSON object, as in the first line", json_kind(&value))),
        (None, value) => Err(("a JSON array or string, as in the first line", json_kind(&value))),
    }
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A line after the last one. A CSV reader takes the end of the file for a closing quote, so an
/// open quote would swallow the rest of the file without an error; with this line, it swallows the
/// line, too, which is how it is detected. Control characters keep it apart from text.
const END_OF_FILE: &str = "\u{1}end of file\u{1}";

/// The bytes of validated lines, one line at a time, for a CSV reader.
struct LineBytes {
    lines: Lines,
    bytes: Vec<u8>,
    /// How many of `bytes` have been read.
    read: usize,
    ended: bool,
    /// The number of the line that `bytes` holds.
    line: u64,
    /// The first line of the record that is being read, once it is known. The CSV reader's own
    /// count is off after blank lines and `\r\n`.
    record_line: Option<u64>,
    /// Bytes of the record so far.
    record_bytes: usize,
}

impl LineBytes {
    /// `first` is a line, and its number, that has been read from `lines` already.
    fn new(lines: Lines, first: &(u64, String)) -> Self {
        let bytes = [&first.1, lines.end()].concat().into_bytes();
        Self { lines, bytes, read: 0, ended: false, line: first.0, record_line: Some(first.0), record_bytes: 0 }
    }

    /// The first line of the record that has been read. A lone `\r` ends a record, too, so several
    /// may be on one line.
    fn record_line(&self) -> u64 {
        self.record_line.unwrap_or(self.line)
    }

    fn end_record(&mut self) {
        self.record_line = None;
        self.record_bytes = 0;
    }

    fn refill(&mut self) -> Result<(), RecordError> {
        self.bytes.clear();
        self.read = 0;
        if self.record_bytes > MAX_LINE {
            let expected = format!("a record of at most {} MiB", MAX_LINE >> 20);
            let line = self.record_line();
            return Err(malformed(self.lines.name(), line, expected, "a longer one: is a quote not closed?"));
        }
        if let Some(line) = self.lines.next_line()? {
            self.line = line.number;
            if self.record_line.is_none() && !line.text.is_empty() {
                self.record_line = Some(line.number);
            }
            self.bytes.extend_from_slice(line.text.as_bytes());
            self.bytes.extend_from_slice(self.lines.end().as_bytes());
        } else if !self.ended {
            self.ended = true;
            self.bytes.extend_from_slice(b"\n");
            self.bytes.extend_from_slice(END_OF_FILE.as_bytes());
        }
        Ok(())
    }
}

impl Read for LineBytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.bytes.len() && !self.ended {
            self.refill().map_err(io::Error::other)?;
        }
        let taken = (&self.bytes[self.read..]).read(out)?;
        self.read += taken;
        self.record_bytes += taken;
        Ok(taken)
    }
}

/// The next record of a CSV file.
fn next_csv(reader: &mut csv::Reader<LineBytes>, name: &str) -> Result<Option<Record>, RecordError> {
    let mut fields = csv::StringRecord::new();
    let found = reader.read_record(&mut fields).map_err(|error| csv_error(error, name))?;
    // A file may hold such a line, too, and goes on after it.
    let ended = reader.get_ref().ended;
    if !found || ended && fields.iter().eq([END_OF_FILE]) {
        return Ok(None);
    }
    let line = reader.get_ref().record_line();
    reader.get_mut().end_record();
    if ended && fields.iter().next_back().is_some_and(|field| field.ends_with(END_OF_FILE)) {
        return Err(malformed(name, line, "a closing quote", "the end of the file"));
    }
    Ok(Some(Record { line, fields: fields.iter().map(|field| Some(field.to_owned())).collect() }))
}

/// Lines are valid UTF-8 and records may differ in length, so every error comes from [`LineBytes`].
fn csv_error(error: csv::Error, name: &str) -> RecordError {
    let read = |source| RecordError::Line(LineError::Read { name: name.to_owned(), source });
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.downcast::<RecordError>().unwrap_or_else(read),
        kind => read(io::Error::other(format!("{kind:?}"))),
    }
}

#[cfg(test)]
#[path = "tests/records.rs"]
mod tests;
