use std::fs;

use super::*;

const PAIRS: Layout<2> = Layout {
    what: "pairs",
    names: &[["anchor", "positive"], ["sent0", "sent1"]],
    forbidden: Some((&["score"], "see `eval sts`")),
};

fn read(name: &str, content: &str, columns: &str, split: Option<&str>) -> Result<Vec<[String; 2]>, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    let columns = (!columns.is_empty()).then(|| columns.parse().unwrap());
    let options = RowOptions { columns, split: split.map(str::to_owned) };
    read_rows(&path, &PAIRS, &options)
}

fn ok(name: &str, content: &str, columns: &str) -> Vec<String> {
    read(name, content, columns, None).unwrap().into_iter().map(|pair| pair.join("|")).collect()
}

fn refusal(name: &str, content: &str, columns: &str) -> String {
    read(name, content, columns, None).unwrap_err().to_string()
}

#[test]
fn columns_have_their_names_in_every_format() {
    for (name, content) in [
        ("p.csv", "id,Anchor,positive\n1,\"a, b\",c\n2,d,\"e\"\"f\"\n"),
        ("p.tsv", "positive\tid\tanchor\nc\t1\ta, b\ne\"f\t2\td\n"),
        ("p.jsonl", "{\"sent0\":\"a, b\",\"sent1\":\"c\"}\n\n{\"sent1\":\"e\\\"f\",\"sent0\":\"d\"}\n"),
    ] {
        assert_eq!(ok(name, content, ""), ["a, b|c", "d|e\"f"], "{name}");
    }
    assert_eq!(ok("empty.csv", "", ""), [""; 0]);
    assert_eq!(ok("p.tsv", "a\tb\nc\td\n", "2,1"), ["b|a", "d|c"]);
    assert_eq!(ok("p.jsonl", "[\"a\",\"b\"]\n", "1,2"), ["a|b"]);
    assert_eq!(ok("p.csv", "x,y,score\na,b,1\n", "y,X"), ["b|a"]);
}

#[test]
fn splits_are_chosen() {
    let content = "anchor,positive,split\na,b,train\nc,d,test\n";
    assert_eq!(read("p.csv", content, "", Some("test")).unwrap(), [["c", "d"]]);
    assert!(refusal("p.csv", content, "").contains("expected the pairs of one split, found test, train (--split)"));
}

#[test]
fn what_is_unclear_is_refused() {
    for (content, columns, expected) in [
        ("x,y\na,b\n", "", "expected one set of columns for pairs, such as anchor, positive (or --columns"),
        ("anchor,positive,sent0,sent1\na,b,c,d\n", "", "found columns anchor, positive, sent0, sent1"),
        ("anchor,positive,score\na,b,1\n", "", "expected pairs (see `eval sts`; --columns reads it anyway), found"),
        ("anchor,positive\na,b\n", "anchor", "expected 2 columns (--columns), found 1"),
        ("anchor,positive\na,b\n", "anchor,z", "expected a column `z` (--columns)"),
        ("anchor,positive\na,b\n", "0,1", "expected a column `0` (--columns)"),
        ("anchor,positive\na,b\nc\n", "", "line 3: expected 2 fields, as in the first line, found 1"),
    ] {
        let message = refusal("p.csv", content, columns);
        assert!(message.contains(expected), "{message}");
    }
    let message = refusal("p.jsonl", "{\"anchor\":\"a\",\"positive\":null}\n", "");
    assert!(message.ends_with("line 1: expected pairs, found a value that is not text"), "{message}");
}
