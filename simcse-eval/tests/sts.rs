//! The same pairs in every layout that they are published in.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use proptest::prelude::*;
use simcse_eval::{Error, EvaluationSet, Sts, StsOptions};

/// Split, genre, file, year, id, score and two sentences.
const PAIRS: [[&str; 8]; 8] = [
    ["dev", "main-captions", "MSRvid", "2012test", "0001", "5.0", "how can i install ubuntu", "how can i install it"],
    ["dev", "main-captions", "MSRvid", "2012test", "0004", "4.75", "wifi driver error", "error of the \"wifi\" driver"],
    ["dev", "main-captions", "MSRvid", "2012test", "0005", "0.5", "update the kernel", "\"close the folder"],
    ["dev", "main-captions", "MSRvid", "2012test", "0006", "2.0", "boot windows, now", "boot ubuntu in windows"],
    ["dev", "main-news", "MSRpar", "2013", "0007", "0.0", "usb disk password", "how can i"],
    ["dev", "main-news", "MSRpar", "2013", "0009", "3.5", "open the file", "open a file in the folder"],
    ["dev", "main-forums", "deft", "2014", "0012", "1.5", "screen sound", "sound update"],
    ["dev", "main-forums", "deft", "2014", "0014", "4.2", "network boot", "boot to the network"],
];

fn read_with(name: &str, content: impl AsRef<[u8]>, columns: &str, split: Option<&str>) -> Result<Sts, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    let columns = (!columns.is_empty()).then(|| columns.parse().unwrap());
    Sts::read_with(&path, &StsOptions { columns, split: split.map(str::to_owned) })
}

fn read(name: &str, content: impl AsRef<[u8]>) -> Result<Sts, Error> {
    read_with(name, content, "", None)
}

/// The digest of what is scored: equal for equal pairs, whatever the layout.
#[track_caller]
fn digest(name: &str, content: impl AsRef<[u8]>, columns: &str) -> String {
    read_with(name, content, columns, None).unwrap().sha256().unwrap()
}

#[track_caller]
fn refusal(name: &str, content: impl AsRef<[u8]>, columns: &str) -> String {
    read_with(name, content, columns, None).unwrap_err().to_string()
}

/// Lines of tab-separated fields, below a header unless it is empty.
fn tabs(header: &str, row: impl Fn(usize, &[&str; 8]) -> Vec<String>) -> String {
    let mut text = header.replace(' ', "\t");
    if !text.is_empty() {
        text.push('\n');
    }
    for (index, pair) in PAIRS.iter().enumerate() {
        let _ = writeln!(text, "{}", row(index, pair).join("\t"));
    }
    text
}

fn owned(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

fn classic() -> String {
    tabs("", |_, pair| owned(&pair[1..]))
}

fn expected() -> String {
    digest("sts-dev.csv", classic(), "")
}

/// `index genre filename year old_index source1 source2 sentence1 sentence2 score`
fn glue(header: &str) -> String {
    tabs(header, |index, [_, genre, file, year, id, score, a, b]| {
        owned(&[&index.to_string(), genre, file, year, id, "none", "none", a, b, score])
    })
}

/// Twelve columns, of which four are sentences and one is the score.
fn sick(header: &str) -> String {
    tabs(header, |index, [.., score, a, b]| {
        let number = (index + 1).to_string();
        owned(&[&number, a, b, "NEUTRAL", score, "A_entails_B", "B_neutral_A", a, b, "FLICKR", "FLICKR", "TEST"])
    })
}

fn csv(header: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows = PAIRS.iter().map(|[.., score, a, b]| format!("{},{},{score}\n", quoted(a), quoted(b)));
    header.to_owned() + &rows.collect::<String>()
}

const GLUE: &str = "index genre filename year old_index source1 source2 sentence1 sentence2 score";
const SBERT: &str = "split genre dataset year sid score sentence1 sentence2";
const SICK: &str = "pair_ID sentence_A sentence_B entailment_label relatedness_score entailment_AB entailment_BA \
                    sentence_A_original sentence_B_original sentence_A_dataset sentence_B_dataset SemEval_set";

#[test]
fn the_classic_file_is_read_as_published() {
    let sts = read("sts-dev.csv", classic()).unwrap();
    assert_eq!((sts.pairs.len(), sts.pairs[1].score), (8, 4.75));
    assert_eq!(sts.texts()[3], "error of the \"wifi\" driver");
    // Some lines name their sources in two more fields.
    let longer = classic().replace("install it\n", "install it\thttp://a\thttp://b\n");
    assert_eq!(digest("sts-dev.csv", longer, ""), expected());
}

#[test]
fn names_in_the_first_line_are_read() {
    let expected = expected();
    assert_eq!(digest("dev.tsv", glue(GLUE), ""), expected);
    assert_eq!(digest("stsbenchmark.tsv", tabs(SBERT, |_, pair| owned(pair)), ""), expected);
    assert_eq!(digest("SICK.txt", sick(SICK), ""), expected);
    assert_eq!(digest("pairs.csv", csv("sentence1,sentence2,score\n"), ""), expected);
    assert_eq!(digest("pairs.csv", csv("\u{feff}Sentence1,\"Sentence2\", Score \n"), ""), expected);
    assert_eq!(digest("p.tsv", tabs("score a b", |_, pair| owned(&pair[5..])), ""), expected);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(tabs(SBERT, |_, pair| owned(pair)).as_bytes()).unwrap();
    assert_eq!(digest("stsbenchmark.tsv.gz", gzip.finish().unwrap(), ""), expected);
}

#[test]
fn json_keys_are_names() {
    let line = |[.., score, a, b]: &[&str; 8]| {
        serde_json::json!({ "sentence1": a, "sentence2": b, "score": score.parse::<f64>().unwrap() }).to_string() + "\n"
    };
    let text: String = PAIRS.iter().map(line).collect();
    assert_eq!(digest("test.jsonl", &text, ""), expected());
    assert_eq!(digest("test.jsonl", text.replace("\"score\"", "\"gold\""), "gold,sentence1,sentence2"), expected());
    let unscored = read("test.jsonl", text.clone() + r#"{"sentence1": "a", "sentence2": "b", "score": null}"#).unwrap();
    assert_eq!((unscored.pairs.len(), unscored.skipped), (8, 1));
    let found = refusal("test.jsonl", text + r#"{"sentence1": ["a"], "sentence2": "b", "score": 1}"#, "");
    assert!(found.ends_with("test.jsonl, line 9: expected two sentences, found a value that is not text"), "{found}");
}

#[test]
fn types_decide_where_one_answer_is_possible() {
    let expected = expected();
    assert_eq!(digest("dev.tsv", glue(""), ""), expected);
    assert_eq!(digest("stsbenchmark.tsv", tabs("", |_, pair| owned(pair)), ""), expected);
    assert_eq!(digest("a-b-score.tsv", tabs("", |_, [.., s, a, b]| owned(&[a, b, s])), ""), expected);
    assert_eq!(digest("a-score-b.tsv", tabs("", |_, [.., s, a, b]| owned(&[a, s, b])), ""), expected);
    assert_eq!(digest("no-header.csv", csv(""), ""), expected);
    let judged = |index: usize, [.., s, a, b]: &[&str; 8]| owned(&[&(index + 1).to_string(), a, b, s, "NEUTRAL"]);
    assert_eq!(digest("SICK_test_annotated.txt", tabs("", judged), ""), expected);
    // The score of three fields may have any range.
    let percent = read("p.tsv", "80\ta\tb\n\tc\td\n-7\te\tf\n").unwrap();
    assert_eq!((percent.pairs[1].score, percent.skipped), (-7.0, 1));
}

#[test]
fn what_is_merely_possible_is_refused() {
    let found = refusal("SICK.txt", sick(""), "");
    assert!(
        found.ends_with(
            "SICK.txt: expected one column of scores and two of sentences (name them in the first line, as score, \
             sentence1 and sentence2, or with --columns SCORE,A,B), found numbers from 0 to 5 in column 5 and text in \
             columns 2, 3, 8 and 9"
        ),
        "{found}"
    );
    let found = refusal("twice.tsv", tabs("", |_, [.., s, a, b]| owned(&[a, b, s, s])), "");
    assert!(found.ends_with("found numbers from 0 to 5 in columns 3 and 4 and text in columns 1 and 2"), "{found}");
    let found = refusal("indexed.tsv", tabs("", |i, [.., a, b]| owned(&[&i.to_string(), a, b])), "");
    assert!(found.contains("--columns"), "{found}");
    let found = refusal("pairs.tsv", tabs("", |_, [.., a, b]| owned(&[a, b])), "");
    assert!(found.ends_with("found numbers from 0 to 5 in no column and text in columns 1 and 2"), "{found}");
    // GLUE's test set has no scores; other names are not guessed.
    let found =
        refusal("test.tsv", tabs("index sentence1 sentence2", |i, [.., a, b]| owned(&[&i.to_string(), a, b])), "");
    assert!(found.ends_with("found columns index, sentence1, sentence2"), "{found}");
    let found = refusal("pairs.csv", csv("sentence1,sentence2,label\n"), "");
    assert!(found.ends_with("found columns sentence1, sentence2, label"), "{found}");
}

#[test]
fn columns_are_named_or_numbered() {
    let expected = expected();
    assert_eq!(digest("SICK.txt", sick(""), "5,2,3"), expected);
    assert_eq!(digest("SICK.txt", sick(SICK), "5,2,3"), expected, "the first line is a header");
    assert_eq!(digest("SICK.txt", sick(SICK), "relatedness_score, sentence_A_original,SENTENCE_B"), expected);
    assert_eq!(digest("sts-dev.csv", classic(), "5,6,7"), expected);
    assert_eq!(digest("pairs.csv", csv("left,right,gold\n"), "gold,left,right"), expected);
    for (columns, missing) in [("score,a,b", "score"), ("5,2,13", "13"), ("0,1,2", "0")] {
        let found = refusal("SICK.txt", sick(""), columns);
        assert!(
            found.contains(&format!("SICK.txt: expected a column `{missing}` (--columns), found 1, how")),
            "{found}"
        );
    }
}

#[test]
fn one_split_is_scored() {
    let all = tabs(SBERT, |index, pair| {
        let mut pair = owned(pair);
        pair[0] = ["train", "dev", "test"][index % 3].to_owned();
        pair
    });
    let found = refusal("stsbenchmark.tsv", &all, "");
    assert!(
        found.ends_with("stsbenchmark.tsv: expected the pairs of one split, found dev, test, train (--split)"),
        "{found}"
    );
    let without_header = all.split_once('\n').unwrap().1;
    for text in [&all, without_header] {
        let test = read_with("stsbenchmark.tsv", text, "", Some("Test")).unwrap();
        assert_eq!(test.pairs.iter().map(|pair| pair.score).collect::<Vec<_>>(), [0.5, 3.5]);
        assert!(matches!(read("stsbenchmark.tsv", text), Err(Error::Splits { .. })));
    }
    let found = read_with("stsbenchmark.tsv", all, "", Some("trial")).unwrap_err().to_string();
    assert!(found.contains("expected the split `trial`, found dev, test, train"), "{found}");
    let found = read_with("sts-dev.csv", classic(), "", Some("dev")).unwrap_err().to_string();
    assert!(found.contains("expected the split `dev`, found none"), "{found}");
}

#[test]
fn odd_lines_are_errors() {
    let found = refusal("dev.tsv", glue(GLUE) + "8\ta\tb\n", "");
    assert!(found.ends_with("dev.tsv, line 10: expected 10 fields, found 3"), "{found}");
    let found = refusal("p.tsv", tabs("", |_, [.., s, a, b]| owned(&[s, a, b])) + "high\ta b\tc d\n", "");
    assert!(found.ends_with("p.tsv, line 9: expected a finite number as score, found \"high\""), "{found}");
    let found = refusal("sts-dev.csv", classic() + "g\tf\t2012\t1\t5\n", "");
    assert!(found.ends_with("sts-dev.csv, line 9: expected at least 7 fields, found 5"), "{found}");
    let found = refusal("pairs.csv", csv("sentence1,sentence2,score\n") + "a,\"b,1\n", "");
    assert!(found.ends_with("pairs.csv, line 10: expected a closing quote, found the end of the file"), "{found}");
    let found = refusal("empty.tsv", "", "");
    assert!(found.ends_with("expected at least one pair with a score, found none (lines left out: 0)"), "{found}");
}

/// Column 0 is the score, 1 and 2 are the sentences; the others are what files have besides.
fn column(column: usize, index: usize) -> String {
    let [split, genre, file, year, id, score, a, b] = PAIRS[index];
    match column {
        0 => score.to_owned(),
        1 => a.to_owned(),
        2 => b.to_owned(),
        3 => split.to_owned(),
        4 => genre.to_owned(),
        5 => file.to_owned(),
        6 => year.to_owned(),
        7 => id.to_owned(),
        8 => index.to_string(),
        9 => "none".to_owned(),
        _ => String::new(),
    }
}

/// The score, the two sentences, and any others.
fn columns_in_any_order() -> impl Strategy<Value = Vec<usize>> {
    let others = prop::sample::subsequence((3..11).collect::<Vec<usize>>(), 0..8);
    others.prop_flat_map(|others| Just([vec![0, 1, 2], others].concat()).prop_shuffle())
}

proptest! {
    /// Without a header, columns in any order and number are read as what they are, or refused.
    #[test]
    fn no_layout_is_misread(columns in columns_in_any_order()) {
        let row = |index: usize, _: &[&str; 8]| columns.iter().map(|&number| column(number, index)).collect();
        match read("pairs.tsv", tabs("", row)) {
            Ok(sts) => {
                prop_assert_eq!(sts.pairs.len(), PAIRS.len());
                for (pair, [.., score, a, b]) in sts.pairs.iter().zip(PAIRS) {
                    let mut sentences = pair.sentences.map(|text| sts.texts()[text].as_str());
                    let mut expected = [a, b];
                    sentences.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!((pair.score, sentences), (score.parse().unwrap(), expected), "{:?}", columns);
                }
            }
            Err(Error::Columns { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    /// Whatever a file holds, it is read or refused, and what is read is consistent.
    #[test]
    fn no_file_is_a_panic(
        text in "([0-5.,\"\t\n]|a b|score|sentence1|\\{\"a\": |\\}){0,40}",
        name in "f\\.(tsv|csv|jsonl|txt)",
        columns in "(|1,2,3|3,1,2|score,sentence1,a)",
    ) {
        if let Ok(sts) = read_with(&name, text, &columns, None) {
            prop_assert!(sts.pairs.iter().all(|pair| pair.score.is_finite()));
            prop_assert!(sts.pairs.iter().flat_map(|pair| pair.sentences).all(|text| text < sts.texts().len()));
        }
    }
}
