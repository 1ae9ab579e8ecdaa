//! A table of sentences as `.csv`, `.tsv` and `.jsonl`: whatever column is chosen, the texts are the
//! fields of the records.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use simcse_fuzz::{bounded, file};
use simcse_model::io::{Record, RecordError, RecordFormat, Records, Texts};

fuzz_target!(|bytes: &[u8]| {
    for name in ["in.csv", "in.tsv", "in.jsonl"] {
        let path = file(name, bytes);
        let records = bounded(bytes, || records(&path));
        for column in [None, Some("1"), Some("2"), Some("text")] {
            let Ok(texts) = bounded(bytes, || texts(&path, column)) else { continue };
            let records = records.as_ref().expect("whoever reads a column has read all records");
            assert!(texts.len() == records.len() || texts.len() + 1 == records.len(), "a header at most is no text");
            let same_end = &records[records.len() - texts.len()..];
            for (record, (line, text)) in same_end.iter().zip(&texts) {
                assert_eq!(record.line, *line);
                assert!(record.fields.iter().flatten().any(|field| field == text));
            }
        }
    }
});

fn records(path: &Path) -> Result<Vec<Record>, RecordError> {
    let content = std::fs::read(path).expect("the input");
    let mut reader = Records::open(path)?;
    let mut all: Vec<Record> = Vec::new();
    while let Some(record) = reader.next_record()? {
        // A lone carriage return ends a record of a .csv file, but not a line.
        assert!(record.line > 0 && record.line >= all.last().map_or(0, |last| last.line));
        all.push(record);
    }
    let is_plain = !content.starts_with(&[0x1f, 0x8b]);
    if is_plain && reader.format() == Some(RecordFormat::Tabs) {
        // Only blank lines are skipped; they may have tabs.
        let tabs = content.iter().filter(|&&byte| byte == b'\t').count();
        assert!(all.iter().map(|record| record.fields.len() - 1).sum::<usize>() <= tabs);
    }
    Ok(all)
}

fn texts(path: &Path, column: Option<&str>) -> Result<Vec<(u64, String)>, RecordError> {
    let mut texts = Texts::open(path, column)?;
    let mut all = Vec::new();
    while let Some(line) = texts.next_text()? {
        all.push((line.number, line.text.to_owned()));
    }
    Ok(all)
}
