//! Lines of plain or gzip-compressed files, and texts numbered so that each is encoded once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, shown};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The lines of a UTF-8 file without their ends (`\n` or `\r\n`), numbered from 1. A byte-order mark is dropped, gzip
/// is known by its first two bytes.
pub(crate) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let open = || {
            let mut file = BufReader::new(File::open(path)?);
            let gzip = file.fill_buf()?.starts_with(&GZIP_MAGIC);
            Ok(if gzip {
                Box::new(BufReader::new(MultiGzDecoder::new(file))) as Box<dyn BufRead>
            } else {
                Box::new(file)
            })
        };
        let reader = open().map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), reader, line: Vec::new(), number: 0 })
    }

    /// Lines from memory; `name` stands for the path in errors.
    pub(crate) fn of(text: &'static str, name: &str) -> Self {
        Self { path: name.into(), reader: Box::new(text.as_bytes()), line: Vec::new(), number: 0 }
    }

    /// The next line that is not empty.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line<'_>>, Error> {
        loop {
            self.line.clear();
            let read = self.reader.read_until(b'\n', &mut self.line);
            if read.map_err(|source| Error::Read { path: self.path.clone(), source })? == 0 {
                return Ok(None);
            }
            self.number += 1;
            while self.line.last().is_some_and(|end| matches!(end, b'\n' | b'\r')) {
                self.line.pop();
            }
            if self.number == 1 && self.line.starts_with("\u{feff}".as_bytes()) {
                self.line.drain(..3);
            }
            if !self.line.is_empty() {
                break;
            }
        }
        let line = |text| Line { path: &self.path, number: self.number, text };
        match str::from_utf8(&self.line) {
            Ok(text) => Ok(Some(line(text))),
            Err(_) => Err(line("").malformed("UTF-8 text", &String::from_utf8_lossy(&self.line))),
        }
    }
}

/// A line of a file.
pub(crate) struct Line<'a> {
    pub(crate) path: &'a Path,
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) text: &'a str,
}

impl Line<'_> {
    /// An [`Error::Malformed`] that quotes `found`.
    pub(crate) fn malformed(&self, expected: &'static str, found: &str) -> Error {
        let found = format!("\"{}\"", shown(found));
        Error::Malformed { path: self.path.to_owned(), line: self.number, expected, found }
    }
}

/// Numbers texts in the order of their first appearance; equal texts share a number.
#[derive(Default)]
pub(crate) struct Interner {
    numbers: HashMap<String, usize>,
    texts: Vec<String>,
}

impl Interner {
    pub(crate) fn number(&mut self, text: &str) -> usize {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.texts.len();
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }

    /// The distinct texts; a text's number is its index.
    pub(crate) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(bytes: &[u8]) -> Result<Vec<(u64, String)>, Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut lines = Lines::open(file.path())?;
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            all.push((line.number, line.text.to_owned()));
        }
        Ok(all)
    }

    #[test]
    fn plain_and_gzip_lines_lose_mark_and_ends() {
        let text = b"\xef\xbb\xbfone\r\n\n two\t";
        let expected = [(1, "one".to_owned()), (3, " two\t".to_owned())];
        assert_eq!(lines(text).unwrap(), expected);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(lines(&gzip).unwrap(), expected);
        assert!(matches!(lines(&gzip[..gzip.len() - 9]), Err(Error::Read { .. })), "a cut gzip file");
    }

    #[test]
    fn invalid_utf8_names_its_line() {
        let error = lines(b"fine\nnot \xff\x1b fine\n").unwrap_err().to_string();
        assert!(error.ends_with("line 2: expected UTF-8 text, found \"not \u{fffd}\\u{1b} fine\""), "{error}");
    }
}
