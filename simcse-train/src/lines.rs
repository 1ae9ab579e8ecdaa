//! Lines of plain or gzip-compressed text, one buffer for all of them.

use std::io::{BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use crate::data::DataError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Hands out the lines of `source`, ends included, a byte-order mark dropped. Gzip is known by its first two bytes;
/// what is `named_gzip` must be gzip. `name` is for errors.
pub(crate) fn for_each_line(
    mut source: impl BufRead,
    named_gzip: bool,
    name: &str,
    mut take: impl FnMut(&str),
) -> Result<(), DataError> {
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
        take(marked.unwrap_or(text));
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
            for_each_line(source, false, "test", |line| lines.push(line.to_owned())).unwrap();
            assert_eq!(lines, ["one\n", "\u{feff}two"]);
        }
    }
}
