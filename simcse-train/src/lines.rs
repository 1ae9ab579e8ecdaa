//! Lines of plain or gzip-compressed text, one buffer for all of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::data::{DataError, escaped};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What errors call a file of sentences: the path, escaped for a terminal, or "standard input" for `-`.
pub fn source_name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { escaped(&path.to_string_lossy()) }
}

/// Whether `path` is `-`.
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Hands out the lines of a UTF-8 file, ends (`\n` or `\r\n`) included, plain or gzip (by its first two bytes, or by a
/// name in `.gz`), a byte-order mark dropped; `-` is standard input.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Directory`], [`DataError::Utf8`], and the first error of `take`.
pub fn for_each_line<E: From<DataError>>(path: &Path, take: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let name = source_name(path);
    if is_standard_input(path) {
        return read_lines(io::stdin().lock(), false, &name, take);
    }
    let unreadable = |source| DataError::Read { name: name.clone(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(DataError::Directory { name }.into());
    }
    let named_gzip = path.extension().is_some_and(|extension| extension == "gz");
    read_lines(BufReader::new(file), named_gzip, &name, take)
}

/// Gzip is known by its first two bytes; what is `named_gzip` must be gzip. `name` is for errors.
fn read_lines<E: From<DataError>>(
    mut source: impl BufRead,
    named_gzip: bool,
    name: &str,
    mut take: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let unreadable = |source| DataError::Read { name: name.to_owned(), source };
    // A pipe may give its first byte alone, so the magic number is taken out and put before the rest.
    let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
    source.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut magic).map_err(unreadable)?;
    let gzip = named_gzip || magic == GZIP_MAGIC;
    let source = Cursor::new(magic).chain(source);
    let mut reader: Box<dyn BufRead + '_> =
        if gzip { Box::new(BufReader::new(MultiGzDecoder::new(source))) } else { Box::new(source) };

    let (mut line, mut number) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
        number += 1;
        let text = str::from_utf8(&line).map_err(|error| DataError::Utf8 {
            name: name.to_owned(),
            line: number,
            byte: line[error.valid_up_to()],
            position: error.valid_up_to() + 1,
        })?;
        let marked = text.strip_prefix('\u{feff}').filter(|_| number == 1);
        take(marked.unwrap_or(text))?;
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_source_may_come_byte_by_byte() {
        let text = "\u{feff}one\n\u{feff}two";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        for bytes in [text.as_bytes(), &gzip.finish().unwrap()] {
            let mut lines = Vec::new();
            let source = BufReader::with_capacity(1, bytes);
            let push = |line: &str| {
                lines.push(line.to_owned());
                Ok::<_, DataError>(())
            };
            read_lines(source, false, "test", push).unwrap();
            assert_eq!(lines, ["one\n", "\u{feff}two"]);
        }
    }
}
