//! Whatever a file of sentences holds, there is one outcome, documented in docs/input.md: sentences
//! and counts, or one clear error.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use simcse_model::io::{Lines, MAX_LINE};
use simcse_train::Examples;

const MIN_LENGTH: usize = 3;

enum Outcome {
    /// The sentences; the number of lines skipped; the number of sentences equal to an earlier one.
    Read(&'static [&'static str], u64, usize),
    /// The number of sentences; of lines skipped; of sentences equal to an earlier one.
    Count(usize, u64, usize),
    /// How the message ends, after the file's name.
    Refused(&'static str),
    /// Refused because of a line, a byte in it, and the byte's position.
    NotUtf8(u64, u8, u64),
}
use Outcome::{Count, NotUtf8, Read as Sees, Refused};

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes.as_ref()).unwrap();
    gzip.finish().unwrap()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

/// `bytes` with one bit of the byte at `from_end` flipped.
fn broken(mut bytes: Vec<u8>, from_end: usize) -> Vec<u8> {
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    bytes
}

const NONE: &str = ": expected sentences of at least 3 characters, found none (too short: 0)";
const LONG_FIRST: &str = ", line 1: expected at most 16 MiB, found a longer line";
const LONG_SECOND: &str = ", line 2: expected at most 16 MiB, found a longer line";
const NOT_GZIP: &str = ": expected gzip, as the name says, found something else";
const UTF16: &str = ": expected UTF-8 text, found what looks like UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`";

/// Name, the file's extension, bytes, outcome.
#[rustfmt::skip]
fn rows() -> Vec<(&'static str, &'static str, Vec<u8>, Outcome)> {
    let cut = |mut bytes: Vec<u8>, by: usize| { bytes.truncate(bytes.len() - by); bytes };
    let text = "one\ntwo\n";
    vec![
        // Line endings.
        ("an empty file", "txt", vec![], Refused(NONE)),
        ("empty lines only", "txt", b"\n\n".to_vec(), Refused("(too short: 2)")),
        ("no last newline", "txt", b"one\ntwo".to_vec(), Sees(&["one", "two"], 0, 0)),
        ("CRLF", "txt", b"one\r\n\r\ntwo\r\n".to_vec(), Sees(&["one", "two"], 1, 0)),
        ("a lone CR", "txt", b"one\rtwo\n".to_vec(), Sees(&["one\rtwo"], 0, 0)),
        ("CR CR LF", "txt", b"one\r\r\ntwo\r".to_vec(), Sees(&["one", "two"], 0, 0)),
        ("LF CR", "txt", b"one\n\rtwo\n\r".to_vec(), Sees(&["one", "two"], 1, 0)),
        ("U+2028 between words", "txt", "one\u{2028}two\n".into(), Sees(&["one\u{2028}two"], 0, 0)),
        ("U+2029 between words", "txt", "one\u{2029}two\n".into(), Sees(&["one\u{2029}two"], 0, 0)),
        ("U+0085 between words", "txt", "one\u{85}two\n".into(), Sees(&["one\u{85}two"], 0, 0)),
        ("U+2028 and U+0085 at an end", "txt", "one\u{2028}\n\u{85}two\n".into(), Sees(&["one", "two"], 0, 0)),
        ("form feed and vertical tab", "txt", "one\u{c}two\n\u{b}six\n".into(), Sees(&["one\u{c}two", "six"], 0, 0)),
        // Encodings.
        ("a byte-order mark", "txt", "\u{feff}one\ntwo\n".into(), Sees(&["one", "two"], 0, 0)),
        ("only a byte-order mark", "txt", "\u{feff}".into(), Refused("(too short: 1)")),
        ("a second byte-order mark", "txt", "one\n\u{feff}two\n".into(), Sees(&["one", "\u{feff}two"], 0, 0)),
        ("UTF-16, little-endian", "txt", utf16("\u{feff}one\n", u16::to_le_bytes), Refused(UTF16)),
        ("UTF-16, big-endian", "txt", utf16("\u{feff}one\n", u16::to_be_bytes), Refused(UTF16)),
        ("UTF-16 without a byte-order mark, little-endian", "txt", utf16("one\n", u16::to_le_bytes), Refused(UTF16)),
        ("UTF-16 without a byte-order mark, big-endian", "txt", utf16("one\n", u16::to_be_bytes), Refused(UTF16)),
        ("UTF-32", "txt", b"\xff\xfe\0\0o\0\0\0".to_vec(), Refused(UTF16)),
        ("Latin-1", "txt", b"one\ncaf\xe9 au lait\n".to_vec(), NotUtf8(2, 0xe9, 4)),
        ("an overlong encoding", "txt", b"one\xc0\x80\n".to_vec(), NotUtf8(1, 0xc0, 4)),
        ("a lone surrogate", "txt", b"\xed\xa0\x80\n".to_vec(), NotUtf8(1, 0xed, 1)),
        ("half a character at the end", "txt", b"one\ncaf\xc3".to_vec(), NotUtf8(2, 0xc3, 4)),
        ("a wrong byte after a byte-order mark", "txt", b"\xef\xbb\xbfa\xff\n".to_vec(), NotUtf8(1, 0xff, 5)),
        // Characters.
        ("NUL in a line", "txt", b"one\0two\nsix\0\n".to_vec(), Sees(&["one\0two", "six\0"], 0, 0)),
        ("NULs only", "txt", vec![0; 9], Count(1, 0, 0)),
        ("control characters", "txt", b"\x1b[2Jone\x07\n".to_vec(), Sees(&["\x1b[2Jone\x07"], 0, 0)),
        ("whitespace only", "txt", " \t \n\u{3000}\u{a0}\u{2003}\n".into(), Refused("(too short: 2)")),
        ("whitespace around", "txt", "\u{3000}one \t\n\u{a0}two\u{2003}\n".into(), Sees(&["one", "two"], 0, 0)),
        ("tabs and spaces within", "txt", "a\t b\n".into(), Sees(&["a\t b"], 0, 0)),
        ("zero-width characters", "txt", "\u{200b}\u{200d}\u{2060}\n".into(), Sees(&["\u{200b}\u{200d}\u{2060}"], 0, 0)),
        ("right to left", "txt", "שלום\n\u{202e}مرحبا\n".into(), Sees(&["שלום", "\u{202e}مرحبا"], 0, 0)),
        ("emoji", "txt", "\u{1f44d}\u{1f44d}\n\u{1f469}\u{200d}\u{1f467}\n".into(), Sees(&["\u{1f469}\u{200d}\u{1f467}"], 1, 0)),
        ("combining marks", "txt", "cafe\u{301}\ncaf\u{e9}\n".into(), Sees(&["cafe\u{301}", "caf\u{e9}"], 0, 0)),
        // Lengths and repetitions.
        ("only short lines", "txt", b"a\nbc\n  d \n".to_vec(), Refused("(too short: 3)")),
        ("characters, not bytes", "txt", "\u{e4}\u{f6}\u{fc}\n\u{e4}\u{f6}\n".into(), Sees(&["\u{e4}\u{f6}\u{fc}"], 1, 0)),
        ("duplicates", "txt", b"one\ntwo\n one\nOne\none\n".to_vec(), Sees(&["one", "two", "one", "One", "one"], 0, 2)),
        ("200,000 duplicates", "txt", "the same sentence\n".repeat(200_000).into(), Count(200_000, 0, 199_999)),
        ("a line of 16 MiB", "txt", vec![b'x'; MAX_LINE], Count(1, 0, 0)),
        ("a line longer than 16 MiB", "txt", [b"one\n", &vec![b'x'; MAX_LINE + 1][..], b"\n"].concat(), Refused(LONG_SECOND)),
        // Gzip.
        ("gzip", "gz", gzip(text), Sees(&["one", "two"], 0, 0)),
        ("gzip under another name", "txt", gzip(text), Sees(&["one", "two"], 0, 0)),
        ("gzip of nothing", "gz", gzip(""), Refused(NONE)),
        ("two gzip members", "gz", [gzip("one\ntw"), gzip("o\nsix")].concat(), Sees(&["one", "two", "six"], 0, 0)),
        ("gzip of gzip", "gz", gzip(gzip(text)), NotUtf8(1, 0x8b, 2)),
        ("gzip of UTF-16", "gz", gzip(utf16("one\n", u16::to_le_bytes)), Refused(UTF16)),
        ("plain text named gzip", "gz", text.into(), Refused(NOT_GZIP)),
        ("an empty file named gzip", "gz", vec![], Refused(NOT_GZIP)),
        ("only the first bytes of gzip", "txt", vec![0x1f, 0x8b], Refused(": unexpected end of file")),
        ("gzip truncated in its text", "gz", cut(gzip(text), 10), Refused(": incomplete deflate stream")),
        ("gzip truncated in its checksum", "gz", cut(gzip(text), 3), Refused(": unexpected end of file")),
        ("gzip with a wrong checksum", "gz", broken(gzip(text), 5), Refused(": corrupt gzip stream does not have a matching checksum")),
        ("gzip followed by text", "gz", [gzip(text), b"more than a header\n".to_vec()].concat(), Refused(": invalid gzip header")),
        ("gzip of a line of 64 MiB", "gz", gzip(vec![b' '; 64 << 20]), Refused(LONG_FIRST)),
        ("zip", "zip", b"PK\x03\x04\x14\0\0\0\x08\0\xe5A".to_vec(), NotUtf8(1, 0xe5, 11)),
        ("xz", "xz", b"\xfd7zXZ\0\0".to_vec(), NotUtf8(1, 0xfd, 1)),
    ]
}

fn all(sentences: &Examples) -> Vec<&str> {
    sentences.texts().collect()
}

#[test]
fn every_file_has_the_documented_outcome() {
    let rows = rows();
    assert!(rows.len() >= 40);
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (case, extension, bytes, outcome) in rows {
        let path = dir.path().join("in").with_extension(extension);
        fs::write(&path, bytes).unwrap();
        let found = Examples::read(&path, MIN_LENGTH).map_err(|error| error.to_string());
        let counts = |read: &Examples| (read.skipped(), read.duplicates());
        let right = match (&found, outcome) {
            (Ok(read), Sees(sentences, skipped, equal)) => all(read) == sentences && counts(read) == (skipped, equal),
            (Ok(read), Count(sentences, skipped, equal)) => read.len() == sentences && counts(read) == (skipped, equal),
            (Err(error), Refused(end)) => error.contains(&*path.to_string_lossy()) && error.ends_with(end),
            (Err(error), NotUtf8(line, byte, position)) => error.ends_with(&format!(
                "in.{extension}, line {line}: expected UTF-8 text, found byte {byte:#04x} at position {position}"
            )),
            _ => false,
        };
        if !right {
            wrong.push((case, found.map(|read| (read.len(), counts(&read)))));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_table_gives_one_sentence_per_record_whatever_its_cells_contain() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let csv = "id,text\n1,\"one, or\ntwo\"\n2,\" \"\"three\"\" \"\n3,no\n4,\"\"\n";
    for path in [put("in.csv", csv.as_bytes()), put("in.csv.gz", &gzip(csv))] {
        let read = Examples::read(&path, MIN_LENGTH).unwrap();
        assert_eq!(all(&read), ["one, or\ntwo", "\"three\""]);
        assert_eq!((read.skipped(), read.warnings()), (2, &[][..]));
    }
    let path = put("in.jsonl", b"{\"a\": \"one\", \"b\": \"six\"}\n{\"a\": \"two\", \"b\": \"ten\"}\n");
    assert_eq!(all(&Examples::read_columns(&path, &["b".to_owned()], MIN_LENGTH).unwrap()), ["six", "ten"]);
    let error = Examples::read(&path, MIN_LENGTH).unwrap_err().to_string();
    assert!(error.contains("--text-column") && error.ends_with("found a, b"), "{error}");
    let error = Examples::read(put("header.csv", b"id,text\n"), MIN_LENGTH).unwrap_err().to_string();
    assert!(error.ends_with(NONE), "{error}");
}

#[test]
fn a_header_in_a_file_of_lines_and_quotes_around_all_of_them_are_warned_about() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let warnings = |text: &str| {
        fs::write(file.path(), text).unwrap();
        Examples::read(file.path(), MIN_LENGTH).unwrap().warnings().to_vec()
    };
    assert!(warnings("one\n\"two\"\n").is_empty());
    assert!(warnings("text\none\n")[0].starts_with("line 1 looks like a header"));
    assert!(warnings("\"one\"\n\"two\"\n")[0].starts_with("every sentence is in quotes"));
    let error = Examples::read_columns(file.path(), &["text".to_owned()], MIN_LENGTH).unwrap_err().to_string();
    assert!(error.contains("expected a .csv, .tsv or .jsonl file"), "{error}");
}

#[test]
fn a_path_that_is_not_a_text_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = |path: &Path| Examples::read(path, MIN_LENGTH).unwrap_err().to_string();
    assert!(message(dir.path()).ends_with(": expected a text file, found a directory"));
    assert!(message(&dir.path().join("none\u{1b}")).contains(r"none\u{1b}: No such file"));
    let file = dir.path().join("in.txt");
    fs::write(&file, "one\n").unwrap();
    assert!(message(&file.join("below")).contains("in.txt/below: Not a directory"));
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_read_and_endless_lines_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in");
    let link = dir.path().join("link");
    let pipe = dir.path().join("pipe");
    fs::write(&file, "one\n").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(all(&Examples::read(&link, MIN_LENGTH).unwrap()), ["one"]);
    fs::remove_file(&file).unwrap();
    assert!(Examples::read(&link, MIN_LENGTH).unwrap_err().to_string().contains("No such file"));

    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let other_end = pipe.clone();
    let writer = std::thread::spawn(move || fs::write(other_end, gzip("one\ntwo")).unwrap());
    assert_eq!(all(&Examples::read(&pipe, MIN_LENGTH).unwrap()), ["one", "two"]);
    writer.join().unwrap();

    // A line of 1 GiB: reading stops once it is longer than a line may be.
    let writer = std::thread::spawn(move || {
        let mut pipe = File::options().write(true).open(pipe).unwrap();
        let megabyte = vec![b'x'; 1 << 20];
        let mut written = 0;
        while written < 1 << 30 && pipe.write_all(&megabyte).is_ok() {
            written += megabyte.len();
        }
        written
    });
    let error = Examples::read(dir.path().join("pipe"), MIN_LENGTH).unwrap_err().to_string();
    assert!(error.ends_with("line 1: expected at most 16 MiB, found a longer line"), "{error}");
    assert!(writer.join().unwrap() < 32 << 20);
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(file.path()).is_ok() {
        println!("skipped: permissions do not apply to this user");
        return;
    }
    let error = Examples::read(file.path(), MIN_LENGTH).unwrap_err().to_string();
    assert!(error.contains("Permission denied"), "{error}");
}

/// Writes a file of 40,000 lines, and returns a reader that has read the first one.
fn started(path: &Path) -> Lines {
    fs::write(path, "a line of the file\n".repeat(40_000)).unwrap();
    let mut lines = Lines::open(path).unwrap();
    assert_eq!(lines.next_line().unwrap().unwrap().text, "a line of the file");
    lines
}

/// The number of lines that are left, or the error.
fn rest(mut lines: Lines) -> Result<usize, String> {
    let mut count = 0;
    while lines.next_line().map_err(|error| error.to_string())?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn a_file_that_grows_is_read_to_its_new_end_and_one_that_shrinks_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.txt");
    let lines = started(&path);
    File::options().append(true).open(&path).unwrap().write_all(b"one more\n").unwrap();
    assert_eq!(rest(lines), Ok(40_000));

    for length in [0, 10, 400_000] {
        let lines = started(&path);
        File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        let error = rest(lines).unwrap_err();
        let expected =
            format!("expected the 760000 bytes that it had when it was opened, found {length}: it was changed");
        assert!(error.contains(&expected), "{error}");
    }

    // If another file takes its name, the reader keeps reading the old one.
    let lines = started(&path);
    fs::write(dir.path().join("other"), "short\n").unwrap();
    fs::rename(dir.path().join("other"), &path).unwrap();
    assert_eq!(rest(lines), Ok(39_999));
    let mut text = String::new();
    File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "short\n");
}
