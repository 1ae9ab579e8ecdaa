//! Lines of plain or gzip-compressed text, read into one buffer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::io::text::printable;

/// The longest line that is read, in bytes, without its line ending. Anything longer is not a line
/// of text, and it must not fill the memory.
pub const MAX_LINE: usize = 16 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a line could not be read. `name` is the file as given, or "standard input", escaped for a
/// terminal.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// A file is missing, unreadable, or damaged gzip.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// The operating system's or the decompressor's error.
        source: io::Error,
    },
    /// A file whose name ends in `.gz` does not begin like gzip.
    #[error("{name}: expected gzip, as the name says, found something else")]
    NotGzip {
        /// The file.
        name: String,
    },
    /// The path is a directory.
    #[error("{name}: expected a text file, found a directory")]
    Directory {
        /// The directory.
        name: String,
    },
    /// The file begins like UTF-16: with a byte-order mark, or with exactly one zero byte in the
    /// first two.
    #[error("{name}: expected UTF-8 text, found what looks like UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`")]
    Utf16 {
        /// The file.
        name: String,
    },
    /// A line is not UTF-8.
    #[error("{name}, line {line}: expected UTF-8 text, found byte 0x{byte:02x} at position {position}")]
    Utf8 {
        /// The file.
        name: String,
        /// The line's number, from 1.
        line: u64,
        /// The first byte that is not UTF-8.
        byte: u8,
        /// That byte's position in the line, from 1.
        position: usize,
    },
    /// A line is longer than [`MAX_LINE`].
    #[error("{name}, line {line}: expected at most {} MiB, found a longer line", MAX_LINE >> 20)]
    TooLong {
        /// The file.
        name: String,
        /// The line's number, from 1.
        line: u64,
    },
    /// The file has become shorter since it was opened.
    #[error(
        "{name}: expected the {opened} bytes that it had when it was opened, found {now}: \
         it was changed while being read"
    )]
    Shrunk {
        /// The file.
        name: String,
        /// Its length when it was opened, in bytes.
        opened: u64,
        /// Its length now, in bytes.
        now: u64,
    },
}

/// What errors call a source of lines: the path, escaped for a terminal, or "standard input" for
/// `-`.
///
/// ```
/// use std::path::Path;
/// use simcse_model::io::source_name;
///
/// assert_eq!(source_name(Path::new("-")), "standard input");
/// assert_eq!(source_name(Path::new("texts.txt")), "texts.txt");
/// ```
#[must_use]
pub fn source_name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { printable(path.display()) }
}

/// Whether `path` is `-`, which stands for standard input.
#[must_use]
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The lines of a UTF-8 text, one at a time.
///
/// Lines end with `\n` or `\r\n` and nothing else; the last one may lack its ending. A byte-order
/// mark at the beginning of the text is dropped.
///
/// ```
/// use simcse_model::io::Lines;
///
/// let mut lines = Lines::of("greetings", "hello\n\ngood night\n");
/// let mut found = Vec::new();
/// while let Some(line) = lines.next_filled_line()? {
///     found.push((line.number, line.text.to_owned()));
/// }
/// assert_eq!(found, [(1, "hello".to_owned()), (3, "good night".to_owned())]);
/// # Ok::<(), simcse_model::io::LineError>(())
/// ```
pub struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    /// A regular file and its length when it was opened.
    file: Option<(File, u64)>,
    text: String,
    number: u64,
    /// How the line ended: `\n`, `\r\n`, or nothing at the end of the file.
    end: &'static str,
}

/// A line without its line ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// Its text, untrimmed.
    pub text: &'a str,
}

impl Lines {
    /// Opens a plain or gzip-compressed file; `-` is standard input.
    ///
    /// # Errors
    /// [`LineError::Read`], [`LineError::NotGzip`], [`LineError::Directory`].
    pub fn open(path: &Path) -> Result<Self, LineError> {
        let name = source_name(path);
        if is_standard_input(path) {
            return Self::new(name, io::stdin().lock(), false);
        }
        let opened = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file.try_clone()?, file, metadata))
        };
        let (twin, file, metadata) = opened().map_err(|source| LineError::Read { name: name.clone(), source })?;
        if metadata.is_dir() {
            return Err(LineError::Directory { name });
        }
        let named_gzip = path.extension().is_some_and(|extension| extension == "gz");
        let file_and_length = metadata.is_file().then_some((twin, metadata.len()));
        Ok(Self { file: file_and_length, ..Self::new(name, BufReader::with_capacity(1 << 16, file), named_gzip)? })
    }

    /// Lines of a text in memory; `name` is what errors call it.
    #[must_use]
    pub fn of(name: &str, text: &'static str) -> Self {
        Self::of_reader(name.to_owned(), Box::new(text.as_bytes()))
    }

    /// Gzip is recognized by its first two bytes. A file whose name says gzip must be gzip.
    fn new(name: String, mut source: impl BufRead + 'static, named_gzip: bool) -> Result<Self, LineError> {
        // `BufRead::fill_buf` cannot be used to peek, because a pipe may deliver its first byte
        // alone. So the first two bytes are consumed and then chained in front of the rest.
        let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
        let read = source.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut magic);
        if let Err(source) = read {
            return Err(LineError::Read { name, source });
        }
        let gzip = magic == GZIP_MAGIC;
        if named_gzip && !gzip {
            return Err(LineError::NotGzip { name });
        }
        let source = Cursor::new(magic).chain(source);
        let reader: Box<dyn BufRead> =
            if gzip { Box::new(BufReader::new(MultiGzDecoder::new(source))) } else { Box::new(source) };
        Ok(Self::of_reader(name, reader))
    }

    fn of_reader(name: String, reader: Box<dyn BufRead>) -> Self {
        Self { name, reader, file: None, text: String::new(), number: 0, end: "" }
    }

    /// The next line; `None` after the last one.
    ///
    /// # Errors
    /// See [`LineError`].
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, LineError> {
        Ok(self.advance()?.then_some(Line { number: self.number, text: &self.text }))
    }

    /// The next line that is not empty; `None` after the last one.
    ///
    /// # Errors
    /// See [`LineError`].
    pub fn next_filled_line(&mut self) -> Result<Option<Line<'_>>, LineError> {
        while self.advance()? {
            if !self.text.is_empty() {
                return Ok(Some(Line { number: self.number, text: &self.text }));
            }
        }
        Ok(None)
    }

    /// What errors call the source.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How the line that was read last ended: `\n`, `\r\n`, or nothing at the end of the file.
    pub(crate) fn end(&self) -> &'static str {
        self.end
    }

    /// Reads a line into `text`; `false` after the last one.
    fn advance(&mut self) -> Result<bool, LineError> {
        // The previous line's buffer is reused, so a text of a million lines costs one allocation.
        let mut line = std::mem::take(&mut self.text).into_bytes();
        line.clear();
        let most = (MAX_LINE + "\r\n".len()) as u64;
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut line);
        if read.map_err(|source| LineError::Read { name: self.name.clone(), source })? == 0 {
            return self.check_length().map(|()| false);
        }
        self.number += 1;
        if self.number == 1 && looks_like_utf16(&line) {
            return Err(LineError::Utf16 { name: self.name.clone() });
        }
        self.end = "";
        if line.pop_if(|end| *end == b'\n').is_some() {
            self.end = if line.pop_if(|end| *end == b'\r').is_some() { "\r\n" } else { "\n" };
        }
        if line.len() > MAX_LINE {
            return Err(LineError::TooLong { name: self.name.clone(), line: self.number });
        }
        self.text = String::from_utf8(line).map_err(|error| LineError::Utf8 {
            name: self.name.clone(),
            line: self.number,
            byte: error.as_bytes()[error.utf8_error().valid_up_to()],
            position: error.utf8_error().valid_up_to() + 1,
        })?;
        if self.number == 1 && self.text.starts_with(BYTE_ORDER_MARK) {
            self.text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        Ok(true)
    }

    /// Called at the end of the text: from a file that shrank while it was read, only part was
    /// read.
    fn check_length(&self) -> Result<(), LineError> {
        let Some((file, opened)) = &self.file else {
            return Ok(());
        };
        let metadata = file.metadata().map_err(|source| LineError::Read { name: self.name.clone(), source })?;
        let opened = *opened;
        let now = metadata.len();
        if now < opened { Err(LineError::Shrunk { name: self.name.clone(), opened, now }) } else { Ok(()) }
    }
}

/// In UTF-8 text neither of the first two bytes is zero, but in UTF-16 one of them is if the text
/// begins with an ASCII character.
fn looks_like_utf16(beginning: &[u8]) -> bool {
    match *beginning {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (first == 0) != (second == 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_source_may_deliver_byte_by_byte() {
        let text = "\u{feff}one\r\n\u{feff}two";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        for bytes in [text.as_bytes().to_vec(), gzip.finish().unwrap()] {
            let source = BufReader::with_capacity(1, Cursor::new(bytes));
            let mut lines = Lines::new("test".to_owned(), source, false).unwrap();
            assert_eq!(lines.next_line().unwrap(), Some(Line { number: 1, text: "one" }));
            assert_eq!(lines.next_line().unwrap(), Some(Line { number: 2, text: "\u{feff}two" }));
            assert_eq!(lines.next_line().unwrap(), None);
        }
    }

    #[test]
    fn empty_lines_are_counted_and_can_be_skipped() {
        let mut lines = Lines::of("test", "\n\r\none\n \n");
        assert_eq!(lines.next_filled_line().unwrap(), Some(Line { number: 3, text: "one" }));
        assert_eq!(lines.next_filled_line().unwrap(), Some(Line { number: 4, text: " " }));
        assert_eq!(lines.next_filled_line().unwrap(), None);
    }

    #[test]
    fn the_longest_line_is_read_and_a_longer_one_is_refused() {
        for (more, end, fits) in [(0, "\r\n", true), (0, "\n", true), (1, "\n", false), (1, "", false), (0, "", true)] {
            let text = "x".repeat(MAX_LINE + more) + end + "y";
            let mut lines = Lines::new("test".to_owned(), Cursor::new(text.into_bytes()), false).unwrap();
            // Without a line ending, the y is part of the line.
            assert_eq!(lines.next_line().is_ok(), fits && !end.is_empty(), "{more} {end:?}");
        }
    }
}
