//! Where embeddings go: to standard output, to a file that is replaced once it is complete, or to
//! the end of a file.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ndarray::{ArrayView1, ArrayView2};
use same_file::Handle;
use simcse_eval::ValueType;
use simcse_model::Named;
use simcse_model::io::{atomically, excerpt, is_standard_input, sync_parent};

use crate::commands::encode::arrow::ArrowFile;
use crate::commands::encode::format::{Layout, Numbers, Row, RowFormat};
use crate::error::Failure;
use crate::report::STANDARD_OUTPUT;

/// How often rows are made part of a file that grows.
const COMMIT: Duration = Duration::from_secs(5);
/// Bytes that are written at a time.
const BUFFER: usize = 1 << 20;

/// The format that an extension selects.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    Rows(RowFormat),
    /// Apache Arrow's, with the columns `text` and `embedding`, in batches.
    Arrow,
}

/// The value of `--output`.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    /// `-`: JSON lines.
    StandardOutput,
    File(PathBuf, Format),
}

impl Output {
    /// For the argument parser.
    pub(crate) fn parse(output: OsString) -> Result<Self, String> {
        if output == "-" {
            return Ok(Self::StandardOutput);
        }
        let path = PathBuf::from(output);
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Format::Rows(RowFormat::Npy),
            Some("jsonl") => Format::Rows(RowFormat::Jsonl),
            Some("safetensors") => Format::Rows(RowFormat::Safetensors),
            Some("arrow") => Format::Arrow,
            _ => return Err("expected a name ending in .npy, .jsonl, .safetensors or .arrow, or -".to_owned()),
        };
        if path.is_dir() {
            return Err("expected a file, found a directory".to_owned());
        }
        Ok(Self::File(path, format))
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::StandardOutput => STANDARD_OUTPUT.to_owned(),
            Self::File(path, _) => path.display().to_string(),
        }
    }

    /// Whether rows can be added to one that is there.
    pub(crate) fn grows(&self) -> bool {
        matches!(self, Self::File(_, Format::Rows(_)))
    }

    /// Refuses to overwrite the input while it is read, or to append to it forever.
    pub(crate) fn refuse(&self, input: &Path) -> Result<(), Failure> {
        let input = if is_standard_input(input) { Handle::stdin() } else { regular(input) };
        let output = match self {
            Self::StandardOutput => Handle::stdout(),
            Self::File(path, _) => regular(path),
        };
        let (Ok(input), Ok(output)) = (input, output) else {
            return Ok(()); // a missing or unreadable file is reported elsewhere
        };
        let is_file = output.as_file().metadata().is_ok_and(|metadata| metadata.is_file());
        if !is_file || input != output {
            return Ok(());
        }
        Err(Failure::Usage(format!("--output: expected a file other than the input, found the input: {}", self.name())))
    }
}

/// A handle of a regular file: opening anything else could block until it has a writer.
fn regular(path: &Path) -> io::Result<Handle> {
    if fs::metadata(path)?.is_file() { Handle::from_path(path) } else { Err(io::Error::other("not a regular file")) }
}

/// Rows on their way to a file or to standard output.
pub(crate) struct Sink {
    out: Out,
    name: String,
    rows: usize,
    /// When the rows became part of the file the last time, if that is to happen on the way.
    committed: Option<Instant>,
}

enum Out {
    StandardOutput(BufWriter<io::StdoutLock<'static>>, Layout),
    File(BufWriter<File>, Layout),
    Arrow(Box<ArrowFile>),
}

impl Sink {
    pub(crate) fn standard_output(numbers: Numbers) -> Self {
        let layout = Layout { format: RowFormat::Jsonl, numbers };
        let out = Out::StandardOutput(BufWriter::new(io::stdout().lock()), layout);
        Self { out, name: STANDARD_OUTPUT.to_owned(), rows: 0, committed: None }
    }

    /// A new file, which errors call `name`.
    fn create(file: File, name: &Path, format: Format, numbers: Numbers) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(BUFFER, file);
        let out = match format {
            Format::Arrow => Out::Arrow(Box::new(ArrowFile::create(file, numbers)?)),
            Format::Rows(format) => {
                let layout = Layout { format, numbers };
                file.write_all(&layout.header(0))?;
                Out::File(file, layout)
            }
        };
        Ok(Self { out, name: name.display().to_string(), rows: 0, committed: None })
    }

    /// The end of a file, with its last row; what follows the rows that its header states, or the
    /// last whole line, is cut off. A file that is missing is created.
    pub(crate) fn append(path: &Path, layout: Layout) -> Result<(Self, Option<Row>), Failure> {
        let failed = |error| Failure::writing(path.display())(error);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if file.try_lock().is_err() {
            let message = format!("{}: expected a file that nobody writes, found it locked", path.display());
            return Err(Failure::Failed(message));
        }
        let (rows, last) = match file.metadata().map_err(failed)?.len() {
            0 => {
                file.write_all(&layout.header(0)).and_then(|()| sync_parent(path)).map_err(failed)?;
                (0, None)
            }
            bytes => existing(&mut file, bytes, path, &layout)?,
        };
        let end = file.stream_position().map_err(failed)?;
        file.set_len(end).map_err(failed)?;
        let out = Out::File(BufWriter::with_capacity(BUFFER, file), layout);
        let name = path.display().to_string();
        Ok((Self { out, name, rows, committed: Some(Instant::now()) }, last))
    }

    /// The rows that are there.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Refuses a last row that is not that of `text` and its embedding, (C).
    pub(crate) fn check_last(&self, last: &Row, text: &str, embedding: ArrayView1<f32>) -> Result<(), Failure> {
        let Out::File(_, Layout { numbers, .. }) = &self.out else { return Ok(()) };
        let expected = numbers.quantize(embedding).to_f32();
        let differs = |what: &str| {
            Failure::Failed(format!(
                "{}, row {}: expected the {what} of sentence {}, \"{}\", found another: the sentences, the model or \
                 its options have changed",
                self.name,
                self.rows,
                self.rows,
                excerpt(text, 80)
            ))
        };
        if last.text.as_ref().is_some_and(|last| last != text) {
            return Err(differs("text"));
        }
        let bits = matches!(numbers.value_type, ValueType::Binary | ValueType::Ubinary);
        let largest = expected.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let rounding = if bits { 0.0 } else { largest / 100.0 };
        let pairs = expected.iter().zip(&last.embedding);
        let same = pairs.filter(|(a, b)| (*a - *b).abs() <= rounding).count();
        // Another processor rounds differently.
        if last.embedding.len() != expected.len() || 10 * same < 9 * expected.len() {
            return Err(differs("embedding"));
        }
        Ok(())
    }

    /// Writes the rows of `texts`, (S): `embeddings`, (S, C).
    pub(crate) fn write(&mut self, texts: &[String], embeddings: ArrayView2<f32>) -> Result<(), Failure> {
        let mut rows = texts.iter().zip(embeddings.rows());
        let written = match &mut self.out {
            Out::StandardOutput(out, layout) => {
                rows.try_for_each(|(text, row)| layout.write(out, text, row)).and_then(|()| out.flush())
            }
            Out::File(file, layout) => rows.try_for_each(|(text, row)| layout.write(file, text, row)),
            Out::Arrow(file) => file.write(texts, embeddings),
        };
        written.map_err(Failure::writing(&self.name))?;
        self.rows += texts.len();
        if self.committed.is_some_and(|committed| committed.elapsed() > COMMIT) {
            self.commit()?;
            self.committed = Some(Instant::now());
        }
        Ok(())
    }

    /// Makes all rows part of the file: they are on disk before the header counts them.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        self.try_commit().map_err(Failure::writing(&self.name))
    }

    fn try_commit(&mut self) -> io::Result<()> {
        let (writer, layout) = match &mut self.out {
            Out::StandardOutput(..) => return Ok(()),
            Out::Arrow(file) => return file.finish()?.sync_data(),
            Out::File(writer, layout) => (writer, layout),
        };
        writer.flush()?;
        let mut file = writer.get_ref();
        file.sync_data()?;
        let header = layout.header(self.rows);
        if !header.is_empty() {
            file.rewind()?;
            file.write_all(&header)?;
            file.seek(SeekFrom::End(0))?;
            file.sync_data()?;
        }
        Ok(())
    }
}

/// Counts the rows of a file of `bytes` bytes, and returns the last one; the file's position is
/// behind it.
fn existing(file: &mut File, bytes: u64, path: &Path, layout: &Layout) -> Result<(usize, Option<Row>), Failure> {
    let failed = |error| Failure::writing(path.display())(error);
    let damaged = |found: &str| {
        let expected = match layout.row_bytes() {
            None => "lines with a text and an embedding".to_owned(),
            Some(_) => format!(
                "embeddings of {} values as {}, written by this command",
                layout.numbers.dimension,
                layout.numbers.value_type.name()
            ),
        };
        Failure::Failed(format!("{}: expected {expected}, found {found}", path.display()))
    };
    let (rows, last) = match layout.row_bytes() {
        None => last_line(file).map_err(failed)?,
        Some(row) => {
            let mut header = vec![0; layout.header_bytes()];
            file.read_exact(&mut header).map_err(|_| damaged(&format!("{bytes} bytes")))?;
            let rows = layout.rows_of(&header).ok_or_else(|| damaged("another header"))?;
            let end = (header.len() + rows * row) as u64;
            if bytes < end {
                return Err(damaged(&format!("{bytes} bytes instead of {end}")));
            }
            let mut last = vec![0; row * rows.min(1)];
            file.seek(SeekFrom::Start(end - last.len() as u64)).map_err(failed)?;
            file.read_exact(&mut last).map_err(failed)?;
            (rows, last)
        }
    };
    match rows {
        0 => Ok((0, None)),
        _ => Ok((rows, Some(layout.read(&last).ok_or_else(|| damaged("another last line"))?))),
    }
}

/// Counts the whole lines of a file, and returns the last one; the file's position is behind it.
fn last_line(file: &mut File) -> io::Result<(usize, Vec<u8>)> {
    let mut reader = BufReader::with_capacity(BUFFER, &mut *file);
    let (mut count, mut end) = (0, 0);
    let (mut line, mut last) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        end += reader.read_until(b'\n', &mut line)? as u64;
        if line.last() != Some(&b'\n') {
            break;
        }
        count += 1;
        std::mem::swap(&mut line, &mut last);
    }
    file.seek(SeekFrom::Start(end - line.len() as u64))?;
    Ok((count, last))
}

/// Replaces a file by what `write` writes into a new one, or leaves it as it was.
pub(crate) fn replace<T>(
    path: &Path,
    format: Format,
    numbers: Numbers,
    write: impl FnOnce(&mut Sink) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut outcome = None;
    let written = atomically(path, |temporary| {
        let mut sink = Sink::create(File::create_new(temporary)?, path, format, numbers)?;
        let result = outcome.insert(write(&mut sink));
        // Removes the file; `outcome` says why.
        if result.is_err() { Err(io::Error::other("no rows")) } else { sink.try_commit() }
    });
    let outcome = outcome.transpose()?;
    written.and_then(|()| sync_parent(path)).map_err(Failure::writing(path.display()))?;
    Ok(outcome.expect("rows were written"))
}
