use std::fs;

use super::*;

const QUERIES_TEXT: &str = "{\"_id\":\"q1\",\"text\":\"one\"}\n{\"_id\":\"q2\",\"text\":\"two\",\"metadata\":{}}\n";
const CORPUS_TEXT: &str = "{\"_id\":\"d2\",\"title\":\"A title\",\"text\":\"and text\"}\n{\"_id\":\"d1\",\"text\":\" text \"}\n\
                           {\"_id\":\"d3\",\"title\":\"\",\"text\":\"more\"}\n";

fn read(queries: &str, corpus: &str, qrels: &str) -> Result<Beir, Error> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("qrels")).unwrap();
    for (name, content) in [("queries.jsonl", queries), ("corpus.jsonl", corpus), ("qrels/test.tsv", qrels)] {
        if !content.is_empty() {
            fs::write(dir.path().join(name), content).unwrap();
        }
    }
    Beir::read(dir.path(), None)
}

#[track_caller]
fn refused(queries: &str, corpus: &str, qrels: &str, expected: &str) {
    let message = read(queries, corpus, qrels).err().expect("an error").to_string();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn titles_are_joined_and_documents_sorted() {
    let qrels = "query-id\tcorpus-id\tscore\nq2\td1\t1\nq2\td9\t2\nq1\td3\t0\n";
    let found = read(QUERIES_TEXT, CORPUS_TEXT, qrels).unwrap();
    let pair = |(id, text): &(String, String)| format!("{id} {text}");
    assert_eq!(found.corpus.iter().map(pair).collect::<Vec<_>>(), ["d1 text", "d2 A title and text", "d3 more"]);
    assert_eq!(found.queries.iter().map(pair).collect::<Vec<_>>(), ["q2 two"]);
    assert_eq!(found.relevant, [BTreeSet::from(["d1".to_owned(), "d9".to_owned()])]);
    assert_eq!(found.without_positives, 1);
    let headless = read(QUERIES_TEXT, CORPUS_TEXT, "q1\td1\t1\n").unwrap();
    assert_eq!(headless.queries.len(), 1);
}

#[test]
fn what_is_wrong_is_named() {
    let qrels = "q1\td1\t1\n";
    refused("", CORPUS_TEXT, qrels, "expected queries.jsonl or queries.jsonl.gz");
    refused(QUERIES_TEXT, "", qrels, "expected corpus.jsonl or corpus.jsonl.gz");
    refused(
        QUERIES_TEXT,
        CORPUS_TEXT,
        "",
        "qrels: expected test.tsv or test.tsv.gz (--split), found an empty directory",
    );
    refused(QUERIES_TEXT, "{\"_id\":1,\"text\":\"\"}\n", qrels, "corpus.jsonl, line 1: expected a JSON object");
    let twice = CORPUS_TEXT.replace("d3", "d1");
    refused(QUERIES_TEXT, &twice, qrels, "line 3: expected a different _id in each line, found \"d1\" again");
    refused(QUERIES_TEXT, CORPUS_TEXT, "q1\td1\t1\nq7\td1\t1\n", "line 2: expected the id of a query in ");
    refused(QUERIES_TEXT, CORPUS_TEXT, "q1\td1\t1\nq1\td1\tx\n", "line 2: expected a number as score in field 3");
    refused(QUERIES_TEXT, CORPUS_TEXT, "q1 d1 1\n", "line 1: expected query id, document id and score");
    refused(QUERIES_TEXT, CORPUS_TEXT, "q1\td1\t0\n", "at least one query with a relevant document, found none");
}
