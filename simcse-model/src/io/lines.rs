//! Lines of plain or gzip-compressed text, one buffer for all of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::io::text::printable;

/// The longest line that is read, in bytes without its end: what is longer is no line of text, and must not fill the memory.
pub const MAX_LINE: usize = 16 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why there is no next line. `name` is the file as given, or "standard input", escaped for a terminal.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// A file is missing, unreadable or not the gzip that it should be.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file whose name ends in `.gz` does not begin as gzip does.
    #[error("{name}: expected gzip, as the name says, found something else")]
    NotGzip {
        /// The file.
        name: String,
    },
    /// A directory stands where a file should.
    #[error("{name}: expected a text file, found a directory")]
    Directory {
        /// The directory.
        name: String,
    },
    /// The file begins as UTF-16 does: with a byte-order mark, or with one zero byte among the first two.
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
        /// Its line, from 1.
        line: u64,
        /// The first byte that is not UTF-8.
        byte: u8,
        /// Its position in the line, from 1, in bytes.
        position: usize,
    },
    /// A line is longer than [`MAX_LINE`].
    #[error("{name}, line {line}: expected at most {} MiB, found a longer line", MAX_LINE >> 20)]
    TooLong {
        /// The file.
        name: String,
        /// Its line, from 1.
        line: u64,
    },
    /// The file has lost its end since it was opened.
    #[error(
        "{name}: expected the {opened} bytes that it had when it was opened, found {now}: it was changed meanwhile"
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

/// What errors call a file of lines: the path, escaped for a terminal, or "standard input" for `-`.
#[must_use]
pub fn source_name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { printable(path.display()) }
}

/// Whether `path` is `-`.
#[must_use]
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The lines of a UTF-8 text, one after the other. A line ends with `\n` or `\r\n`, nothing else ends one, and the last
/// need not; a byte-order mark before the first is dropped.
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

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// What it says, not trimmed.
    pub text: &'a str,
}

impl Lines {
    /// Opens a file, plain or gzip (by its first two bytes); `-` is standard input.
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

    /// Lines from memory; `name` is what errors call them.
    #[must_use]
    pub fn of(name: &str, text: &'static str) -> Self {
        Self::of_reader(name.to_owned(), Box::new(text.as_bytes()))
    }

    /// Gzip is known by its first two bytes; what is `named_gzip` must be gzip.
    fn new(name: String, mut source: impl BufRead + 'static, named_gzip: bool) -> Result<Self, LineError> {
        // A pipe may give its first byte alone, so the magic number is taken out and put before the rest.
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

    /// The next line, `None` after the last.
    ///
    /// # Errors
    /// See [`LineError`].
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, LineError> {
        Ok(self.advance()?.then_some(Line { number: self.number, text: &self.text }))
    }

    /// The next line that is not empty, `None` after the last.
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

    /// Reads a line into `text`; `false` after the last.
    fn advance(&mut self) -> Result<bool, LineError> {
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

    /// At the end: a file that shrank while it was read gave half of its text.
    fn check_length(&self) -> Result<(), LineError> {
        let Some((file, opened)) = &self.file else {
            return Ok(());
        };
        let metadata = file.metadata().map_err(|source| LineError::Read { name: self.name.clone(), source })?;
        let (opened, now) = (*opened, metadata.len());
        if now < opened { Err(LineError::Shrunk { name: self.name.clone(), opened, now }) } else { Ok(()) }
    }
}

/// No text begins with a zero byte or has one behind its first character.
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
    fn a_source_may_come_byte_by_byte() {
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
    fn empty_lines_count_and_may_be_passed_over() {
        let mut lines = Lines::of("test", "\n\r\none\n \n");
        assert_eq!(lines.next_filled_line().unwrap(), Some(Line { number: 3, text: "one" }));
        assert_eq!(lines.next_filled_line().unwrap(), Some(Line { number: 4, text: " " }));
        assert_eq!(lines.next_filled_line().unwrap(), None);
    }

    #[test]
    fn the_longest_line_is_read_and_a_longer_one_refused() {
        for (more, end, fits) in [(0, "\r\n", true), (0, "\n", true), (1, "\n", false), (1, "", false), (0, "", true)] {
            let text = "x".repeat(MAX_LINE + more) + end + "y";
            let mut lines = Lines::new("test".to_owned(), Cursor::new(text.into_bytes()), false).unwrap();
            // without an end, the y is one more
            assert_eq!(lines.next_line().is_ok(), fits && !end.is_empty(), "{more} {end:?}");
        }
    }
}
