//! Tests of what is on disk.

use std::fs;

use ndarray::array;

use super::*;

fn description() -> Description {
    Description::new(model("abc", "mean pooling"), "", Storage::F16, 2)
}

fn model(sha256: &str, settings: &str) -> IndexModel {
    IndexModel { name: "a model".to_owned(), sha256: sha256.to_owned(), settings: settings.to_owned() }
}

fn record(text: &str) -> Record {
    Record::new(text, &[("id".to_owned(), format!("{text}!")), ("text".to_owned(), "not this".to_owned())])
}

fn vectors(rows: usize) -> Vectors {
    let mut vectors = Vectors::new(Storage::F16, 2);
    (0..rows).for_each(|row| vectors.push(array![[1.0, row as f32]].view()));
    vectors
}

/// An index with the texts `a` and `b`.
fn two(directory: &Path) -> IndexWriter {
    let mut writer = IndexWriter::open(directory, &description()).unwrap();
    writer.begin("first.txt");
    writer.append(&[record("a"), record("b")], &vectors(2)).unwrap();
    writer.commit(true).unwrap();
    writer
}

fn texts(directory: &Path) -> Vec<String> {
    let index = Index::open(directory).unwrap();
    (0..index.rows()).map(|row| index.record(row).unwrap().text().to_owned()).collect()
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    drop(two(dir.path()));
    let mut index = Index::open(dir.path()).unwrap();
    assert_eq!(index.record(1).unwrap().fields()["id"], "b!");
    assert_eq!((index.record(1).unwrap().text(), index.record(1).unwrap().get("none")), ("b", None));
    assert_eq!(index.vectors(1..2).unwrap().decoded(0..1), vectors(2).decoded(1..2));
    assert_eq!(index.vector_bytes(), 8);
    assert_eq!(index.description.sources, [Source { name: "first.txt".to_owned(), rows: 2, is_complete: true }]);
}

#[test]
fn an_index_grows_and_forgets_what_was_not_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = two(dir.path());
    writer.begin("second.txt");
    writer.append(&[record("c")], &vectors(1)).unwrap();
    writer.commit(false).unwrap();
    writer.append(&[record("lost")], &vectors(1)).unwrap();
    assert_eq!(texts(dir.path()), ["a", "b", "c"]);
    drop(writer);
    let mut writer = IndexWriter::open(dir.path(), &description()).unwrap();
    assert!(!writer.description.sources[1].is_complete);
    writer.append(&[record("d")], &vectors(1)).unwrap();
    writer.commit(true).unwrap();
    assert_eq!(texts(dir.path()), ["a", "b", "c", "d"]);
    assert_eq!(writer.description.sources[1].rows, 2);
}

#[test]
fn another_index_or_another_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let writer = two(dir.path());
    let message = |wanted: &Description| IndexWriter::open(dir.path(), wanted).unwrap_err().to_string();
    assert!(
        message(&description())
            .ends_with("expected an index that no other process writes to, found one that is locked")
    );
    drop(writer);
    let before = fs::read(dir.path().join(VECTORS)).unwrap();
    let same = || model("abc", "mean pooling");
    let of = |model, prompt, storage| Description::new(model, prompt, storage, 2);
    for (wanted, expected) in [
        (of(model("xyz", "mean pooling"), "", Storage::F16), "expected weights with the digest xyz, found abc"),
        (of(model("abc", "cls pooling"), "", Storage::F16), "expected cls pooling, found mean pooling"),
        (of(same(), "query: ", Storage::F16), "expected the prompt query: , found "),
        (of(same(), "", Storage::F32), "expected values stored as f32, found f16"),
    ] {
        assert!(message(&wanted).ends_with(expected), "{}", message(&wanted));
    }
    assert_eq!(fs::read(dir.path().join(VECTORS)).unwrap(), before);
}

#[test]
fn damage_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    drop(two(dir.path()));
    let good: Vec<_> = [INDEX, VECTORS, RECORDS].map(|name| (name, fs::read(dir.path().join(name)).unwrap())).into();
    let index = String::from_utf8(good[0].1.clone()).unwrap();
    let cases: [(&str, Vec<u8>, &str); 9] = [
        (INDEX, b"{".to_vec(), "index.json: expected the description of an index, found EOF"),
        (INDEX, index.replace("\"format\": 1", "\"format\": 2").into(), "index.json: expected format 1, found 2"),
        (INDEX, index.replace("\"f16\"", "\"f8\"").into(), "index.json: expected storage f32, f16 or int8, found f8"),
        (
            INDEX,
            index.replace("\"dimension\": 2", "\"dimension\": 0").into(),
            "index.json: expected rows that come from its sources",
        ),
        (
            INDEX,
            index.replace("\"dimension\": 2", "\"dimension\": 3").into(),
            "vectors.bin: expected 12 bytes for 2 rows, found 8",
        ),
        (VECTORS, vec![0; 7], "vectors.bin: expected 8 bytes for 2 rows, found 7"),
        (VECTORS, [&[0, 0x7c][..], &[0; 6]].concat(), "vectors.bin: expected finite values, found NaN or infinity"),
        (RECORDS, b"\n".to_vec(), "records.jsonl: expected 2 records in "),
        (RECORDS, vec![b' '; good[2].1.len()], "records.jsonl: expected 2 records in "),
    ];
    for (name, content, expected) in cases {
        fs::write(dir.path().join(name), content).unwrap();
        let error = Index::open(dir.path()).and_then(|mut index| index.vectors(0..2)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        good.iter().for_each(|(name, content)| fs::write(dir.path().join(name), content).unwrap());
    }
    let text = String::from_utf8(good[2].1.clone()).unwrap();
    fs::write(dir.path().join(RECORDS), text.replace("\"text\":\"a\"", "\"text\":[1]")).unwrap();
    let error = Index::open(dir.path()).unwrap().record(0).unwrap_err().to_string();
    assert!(error.ends_with("expected an object with a text in line 1, found none"), "{error}");
    fs::remove_file(dir.path().join(VECTORS)).unwrap();
    assert!(Index::open(dir.path()).unwrap_err().to_string().contains(VECTORS));
}
