//! Tables with one column of sentences, with several, and files of lines.

use super::*;

type NumberedTexts = Vec<(u64, String)>;

/// The texts of a file with their line numbers, and the warnings after the last.
fn read(name: &str, content: &str, column: Option<&str>) -> Result<(NumberedTexts, Vec<String>), RecordError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    let mut texts = Texts::open(&path, column)?;
    let mut all = Vec::new();
    while let Some(line) = texts.next_text()? {
        all.push((line.number, line.text.to_owned()));
    }
    Ok((all, texts.warnings()))
}

/// The texts of a file that is read without a warning.
#[track_caller]
fn texts(name: &str, content: &str, column: Option<&str>) -> Vec<String> {
    let (texts, warnings) = read(name, content, column).unwrap();
    assert_eq!(warnings, [""; 0]);
    texts.into_iter().map(|(_, text)| text).collect()
}

#[track_caller]
fn error(name: &str, content: &str, column: Option<&str>) -> String {
    read(name, content, column).unwrap_err().to_string()
}

const NLI: &str = "sent0,sent1,hard_neg\n\"one, two\",three,four\nfive,six,\"seven\"\n";

#[test]
fn usual_names_are_found() {
    assert_eq!(texts("nli.csv", NLI, None), ["one, two", "five"]);
    assert_eq!(texts("f.tsv", "id\t Text \n1\t\"a\n2\t b\n", None), ["\"a", " b"]);
    assert_eq!(texts("f.jsonl", "{\"id\": 1, \"text\": \"a\\nb\"}\n{\"text\": \"c\"}\n", None), ["a\nb", "c"]);
    assert_eq!(texts("f.jsonl", "\"text\"\n\"b\"\n", None), ["text", "b"]);
    assert_eq!(texts("f.csv", "", None), [""; 0]);
    let (numbered, _) = read("f.csv", "\ntext\n\n\"a\nb\"\nc\n", None).unwrap();
    assert_eq!(numbered, [(4, "a\nb".to_owned()), (6, "c".to_owned())]);
}

#[test]
fn a_column_is_named_or_numbered() {
    assert_eq!(texts("nli.csv", NLI, Some("hard_neg")), ["four", "seven"]);
    assert_eq!(texts("pairs.tsv", "a b\tc\nd\te\n", Some("2")), ["c", "e"]);
    assert_eq!(texts("f.csv", "2,1\nx,y\n", Some("1")), ["y"], "a name goes before a number");
    assert_eq!(texts("f.jsonl", "{\"text\": \"a\", \"b\": 3}\n", Some("b")), ["3"]);
    assert_eq!(texts("f.jsonl", "[\"a\", \"b\"]\n[\"c\", \"d\"]\n", Some("2")), ["b", "d"]);
}

#[test]
fn lines_of_other_files_are_untouched() {
    assert_eq!(texts("f.txt", " a,b\t\n\n\"c\n", None), [" a,b\t", "", "\"c"]);
}

#[test]
fn what_cannot_be_told_is_refused() {
    let found = error("pairs.tsv", "how to boot\tboot\n", None);
    assert!(found.ends_with(
        "pairs.tsv: expected one column named text, sentence or the like (or --text-column with a name or a number), \
         found how to boot, boot"
    ));
    assert!(error("f.csv", "title,text\n1,2\n", None).ends_with("found title, text"), "two usual names");
    assert!(error("f.csv", "one sentence\n", None).ends_with("found one sentence"));
    assert!(error("f.jsonl", "[\"text\", \"b\"]\n", None).ends_with("found text, b"));
    assert!(error("f.jsonl", "{\"a\": 1}\n", None).ends_with("found a"));
    for column in ["text", "0", "4", "-1"] {
        let found = error("nli.csv", NLI, Some(column));
        let expected = format!("nli.csv: expected a column `{column}`, found sent0, sent1, hard_neg");
        assert!(found.ends_with(&expected), "{found}");
    }
    assert!(error("f.jsonl", "{\"a\": 1}\n", Some("1")).ends_with("expected a column `1`, found a"));
    let found = error("f.txt", "a\tb\n", Some("2"));
    assert!(found.contains("f.txt: expected a .csv, .tsv or .jsonl file because a column is named"), "{found}");
}

#[test]
fn records_without_the_column_are_errors() {
    let found = error("f.csv", "id,text\n1,a\n\n2\n", None);
    assert!(found.ends_with("f.csv, line 4: expected 2 fields, as in the first line, found 1"), "{found}");
    let found = error("f.csv", "id,text\n1,a, b\n", None);
    assert!(found.ends_with("line 2: expected 2 fields, as in the first line, found 3"), "{found}");
    let found = error("f.jsonl", "{\"text\": \"a\"}\n{\"text\": null}\n", None);
    assert!(found.ends_with("line 2: expected a string in `text`, found none"), "{found}");
    let found = error("f.jsonl", "[\"a\", \"b\"]\n[\"c\"]\n", Some("2"));
    assert!(found.ends_with("line 2: expected a string in column 2, found none"), "{found}");
}

#[test]
fn headers_and_quotes_that_are_read_as_text_warn() {
    let warnings = |name: &str, content: &str, column| read(name, content, column).unwrap().1;
    let header = ["line 1 looks like a header, and is read like every other line"];
    assert_eq!(warnings("f.txt", "sentence\nslow boot\n", None), header);
    assert_eq!(warnings("f.txt", "\"id\",\"text\"\n1,slow boot\n", None), header);
    assert_eq!(warnings("nli.csv", NLI, Some("1")), header);
    assert_eq!(warnings("f.txt", "slow text\nslow boot\nid,\n", None), [""; 0]);

    let quotes = "every sentence is in quotes, which are read as part of it; a .csv file is read without them";
    assert_eq!(warnings("f.txt", "\"a b\"\n\"c\"\n", None), [quotes]);
    assert_eq!(warnings("f.tsv", "id\ttext\n1\t\"a b\"\n2\t\"c\"\n", None), [quotes]);
    assert_eq!(warnings("f.txt", "\"a b\"\n\"c\"d\n", None), [""; 0]);
}

/// The columns that are read by default, and their texts.
fn examples(name: &str, content: &str, columns: &[&str]) -> (Vec<String>, Vec<Vec<String>>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
    let mut texts = Texts::open_columns(&path, &columns).unwrap();
    let mut found = Vec::new();
    while let Some(texts) = texts.next_texts().unwrap() {
        found.push(texts.to_vec());
    }
    (texts.column_names().to_vec(), found)
}

#[test]
fn columns_of_examples_are_found_by_their_usual_names() {
    let columns = |header: &str| {
        let count = header.split(',').count();
        examples("in.csv", &format!("{header}\n{}\n", vec!["x"; count].join(",")), &[]).0
    };
    assert_eq!(columns("sent0,sent1,hard_neg"), ["sent0", "sent1", "hard_neg"]);
    assert_eq!(columns("hard_neg,sent1,id,sent0"), ["sent0", "sent1", "hard_neg"]);
    assert_eq!(columns("Anchor, Positive"), ["Anchor", "Positive"]);
    assert_eq!(columns("anchor,positive,negative_1,negative_2"), ["anchor", "positive", "negative_1", "negative_2"]);
    assert_eq!(columns("sentence1,sentence2"), ["sentence1", "sentence2"]);
    // A score says how well two sentences belong together.
    assert_eq!(columns("anchor,positive,score"), ["anchor"]);
    assert_eq!(columns("sent0,label,sent1"), ["sent0"]);
    assert_eq!(columns("anchor,negative"), ["anchor"]);
    assert_eq!(columns("id,text"), ["text"]);
}

#[test]
fn several_columns_are_read_in_the_order_in_which_they_are_named() {
    let table = "a,b,c\none,\"two, 2\",\n1,2,3\n";
    let expected = vec![vec!["".to_owned(), "one".to_owned()], vec!["3".to_owned(), "1".to_owned()]];
    assert_eq!(examples("in.csv", table, &["c", "a"]), (vec!["c".to_owned(), "a".to_owned()], expected));
    let by_number = examples("in.tsv", "one\ttwo\nthree\tfour\n", &["2", "1"]);
    assert_eq!(by_number.1, [["two", "one"], ["four", "three"]]);
    assert!(by_number.0.is_empty());
    let json = "{\"anchor\": \"one\", \"positive\": \"two\"}\n{\"anchor\": \"three\", \"positive\": null}\n";
    assert_eq!(examples("in.jsonl", json, &[]).1, [["one", "two"], ["three", ""]]);
}

#[test]
fn a_column_that_is_missing_among_several_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.csv");
    std::fs::write(&path, "a,b\none,two\n").unwrap();
    let error = |columns: &[&str]| {
        let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
        Texts::open_columns(&path, &columns).err().unwrap().to_string()
    };
    assert!(error(&["a", "c"]).ends_with("expected a column `c`, found a, b"));
    assert!(error(&["1", "3"]).ends_with("expected a column `3`, found a, b"));
}

#[test]
fn other_fields_are_kept_with_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let others = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut texts = Texts::open(&path, None).unwrap().with_other_fields();
        let mut found = Vec::new();
        while let Some(line) = texts.next_text().unwrap() {
            let text = line.text.to_owned();
            found.push((text, texts.other_fields().to_vec()));
        }
        found
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = vec![
        ("slow, boot".to_owned(), vec![pair("id", "7"), pair("lang", "en")]),
        ("wifi".to_owned(), vec![pair("id", "8"), pair("lang", "")]),
    ];
    assert_eq!(others("t.csv", "id,text,lang\n7,\"slow, boot\",en\n8,wifi,\n"), expected);
    let json = "{\"id\": 7, \"text\": \"slow\", \"tags\": [1], \"lang\": \"en\"}\n{\"text\": \"boot\", \"new\": 1}\n";
    let expected = vec![("slow".to_owned(), vec![pair("id", "7"), pair("lang", "en")]), ("boot".to_owned(), vec![])];
    assert_eq!(others("t.jsonl", json), expected);
    assert_eq!(others("t.txt", "id,7\n"), [("id,7".to_owned(), vec![])]);
}
