//! Small files in every format, and files that are in none.

use std::io::Write;

use proptest::prelude::*;

use super::*;

fn open(name: &str, content: &[u8]) -> Result<Records, RecordError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    Records::open(&path)
}

/// Line numbers and fields; `-` stands for a field that is neither text nor a number.
fn all(name: &str, content: &str) -> Vec<(u64, Vec<String>)> {
    let mut records = open(name, content.as_bytes()).unwrap();
    let mut all = Vec::new();
    while let Some(Record { line, fields }) = records.next_record().unwrap() {
        all.push((line, fields.into_iter().map(|field| field.unwrap_or_else(|| "-".to_owned())).collect()));
    }
    all
}

fn record(line: u64, fields: &[&str]) -> (u64, Vec<String>) {
    (line, fields.iter().map(|field| (*field).to_owned()).collect())
}

#[track_caller]
fn error(name: &str, content: &str) -> String {
    let mut records = match open(name, content.as_bytes()) {
        Ok(records) => records,
        Err(error) => return error.to_string(),
    };
    loop {
        match records.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error"),
            Err(error) => return error.to_string(),
        }
    }
}

#[test]
fn tabs_separate_without_quoting() {
    let expected = [record(1, &["\"a", "b\"", ""]), record(4, &["c, d", "e"])];
    assert_eq!(all("f.tsv", "\u{feff}\"a\tb\"\t\r\n\n\r\nc, d\te"), expected);
    assert_eq!(all("f.csv", "a\tb,c\n"), [record(1, &["a", "b,c"])], "a tab decides against commas");
}

#[test]
fn a_lone_carriage_return_ends_a_record_of_commas() {
    // Python: list(csv.reader(open(name, newline="")))
    let expected = [record(1, &["a", "b"]), record(1, &["c", "d"]), record(2, &["e\rf", "g"])];
    assert_eq!(all("f.csv", "a,b\rc,d\n\"e\rf\",g\n"), expected);
    assert_eq!(all("f.tsv", "a\tb\rc\td\n"), [record(1, &["a", "b\rc", "d"])]);
}

#[test]
fn a_line_like_the_mark_of_the_end_of_the_file_does_not_end_it() {
    let text = format!("a,b\n{END_OF_FILE}\nc,{END_OF_FILE}\nd,e\n");
    let expected =
        [record(1, &["a", "b"]), record(2, &[END_OF_FILE]), record(3, &["c", END_OF_FILE]), record(4, &["d", "e"])];
    assert_eq!(all("f.csv", &text), expected);
}

#[test]
fn commas_separate_with_quoting() {
    let text = "\n\nid,text\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n\n2, d \"e\"\n3,\n";
    let expected = [
        record(3, &["id", "text"]),
        record(4, &["1", "a, \"b\"\r\nc"]),
        record(7, &["2", " d \"e\""]),
        record(8, &["3", ""]),
    ];
    assert_eq!(all("f.csv", text), expected);
    assert_eq!(all("f.txt", "one\ntwo"), [record(1, &["one"]), record(2, &["two"])]);
    assert_eq!(all("f.csv", ""), []);
}

#[test]
fn json_values_have_fields() {
    let text = "{\"a\": \"x\", \"b\": 1.50}\n\n{\"b\": null, \"c\": 2, \"a\": [1]}\n{\"a\": \"\"}\n";
    assert_eq!(all("f.jsonl", text), [record(1, &["x", "1.5"]), record(3, &["-", "-"]), record(4, &["", "-"])]);
    assert_eq!(open("f.jsonl", text.as_bytes()).unwrap().keys().unwrap(), ["a", "b"]);
    assert_eq!(all("f.json", "[\"x\", 2]\n[true]\n"), [record(1, &["x", "2"]), record(2, &["-"])]);
    assert_eq!(all("f.ndjson", "\"x\\ny\"\n"), [record(1, &["x\ny"])]);
    assert_eq!(open("f.txt", b" {\"a\": 1}\n").unwrap().format(), Some(RecordFormat::Json));
}

#[test]
fn extensions_name_formats_before_gz() {
    let format = |name: &str| RecordFormat::of_extension(Path::new(name));
    assert_eq!(format("dir/F.CSV.gz"), Some(RecordFormat::Commas));
    assert_eq!(format("f.tsv"), Some(RecordFormat::Tabs));
    assert_eq!(format("f.jsonl.gz"), Some(RecordFormat::Json));
    for name in ["f.txt", "csv", "f.gz", "-", "a.csv/f"] {
        assert_eq!(format(name), None, "{name}");
    }
}

#[test]
fn compressed_records_are_read() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"a,\"b\nc\"\n").unwrap();
    let mut records = open("f.csv.gz", &gzip.finish().unwrap()).unwrap();
    let record = records.next_record().unwrap().unwrap();
    assert_eq!(record.fields, [Some("a".to_owned()), Some("b\nc".to_owned())]);
    assert_eq!(records.next_record().unwrap(), None);
}

#[test]
fn errors_name_the_line() {
    let found = error("f.csv", "a,b\n1,\"open\n2,x\n");
    assert!(found.ends_with("f.csv, line 2: expected a closing quote, found the end of the file"), "{found}");
    let found = error("f.csv", "a,\"open");
    assert!(found.ends_with("line 1: expected a closing quote, found the end of the file"), "{found}");
    let found = error("f.csv", &format!("a\n\"open\n{}", "x\n".repeat(MAX_LINE / 2 + 2)));
    assert!(found.contains("expected a record of at most 16 MiB, found a longer one"), "{found}");
    let found = error("f.jsonl", "{\"a\": 1}\n{\"a\": \n");
    assert!(
        found.ends_with("f.jsonl, line 2: expected a JSON value per line, found EOF while parsing a value at column 6"),
        "{found}"
    );
    let found = error("f.jsonl", "{\"a\": 1}\n[1]\n");
    assert!(found.ends_with("line 2: expected a JSON object, as in the first line, found an array"), "{found}");
    let found = error("f.json", "[\n 1\n]\n");
    assert!(found.contains("f.json, line 1: expected a JSON value per line"), "{found}");
    let mut records = open("f.csv", b"a,\"b\nc\xff\"\n").unwrap();
    let found = records.next_record().unwrap_err().to_string();
    assert!(found.ends_with("f.csv, line 2: expected UTF-8 text, found byte 0xff at position 2"), "{found}");
}

proptest! {
    /// What a CSV writer writes is read back, whatever is in the fields, with the right lines.
    #[test]
    fn written_records_are_read(
        records in prop::collection::vec(prop::collection::vec("[ab\",\n\r é]{0,6}", 2..4), 1..6),
        crlf: bool,
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer =
            csv::WriterBuilder::new().flexible(true).terminator(terminator).quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        records.iter().for_each(|fields| writer.write_record(fields).unwrap());
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();

        let mut line = 1;
        let expected: Vec<_> = records
            .iter()
            .map(|fields| {
                let first = line;
                line += 1 + fields.iter().map(|field| field.matches('\n').count() as u64).sum::<u64>();
                (first, fields.clone())
            })
            .collect();
        prop_assert_eq!(all("f.csv", &text), expected);
    }
}
