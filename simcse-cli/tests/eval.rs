//! `simcse eval` on small data sets.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use common::{Workspace, encoder};
use serde_json::Value;
use simcse_eval::{EvaluationSet, Reranking, Split, Sts};

/// Scored, without positives, without negatives.
const RERANK: &str = r#"{"query": "how to install wifi", "positive": ["install the wifi ?"], "negative": ["slow boot", "the sound"]}
{"query": "slow boot", "positive": [], "negative": ["the sound"]}
{"query": "slow boot", "positive": ["boot slow ?"], "negative": []}
"#;

const STS: &str = "4.5\tslow boot\tboot slow\n\twifi\tsound\n0.5\tslow boot\tthe wifi\n2\thow to boot\tto boot\n";

/// Three queries of question ids, the last without negatives.
const IDS: &str = "1\t3\t2 3\t9 8\n2\t\t1 3\t9 8\n3\t1\t1\t9\n";

#[track_caller]
fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn askubuntu_prints_the_scores_of_the_library() {
    let workspace = Workspace::new();
    workspace.put("rerank.jsonl", RERANK);
    let stdout = workspace.stdout("eval askubuntu --model model --data rerank.jsonl --json");
    let report = json(&stdout);
    assert_eq!(keys(&report), ["map", "mrr@10", "ndcg@10", "p@1", "p@5", "queries", "left_out"]);
    let reranking = Reranking::read(workspace.path("rerank.jsonl"), Split::Dev).unwrap();
    let scores = reranking.evaluate(&encoder()).unwrap();
    assert_eq!(report["map"], scores.get("map").unwrap());
    assert_eq!(report["ndcg@10"], scores.get("ndcg@10").unwrap());
    assert_eq!(report["queries"], 1);
    assert_eq!(report["left_out"], serde_json::json!({ "without_positives": 1, "without_negatives": 1 }));

    let readable = workspace.stdout("--threads 2 eval askubuntu --model model --data rerank.jsonl");
    assert!(readable.starts_with("1 query scored; left out: 1 without positives, 1 without negatives\n\nMAP "));
    assert!(readable.contains(&format!("{:.4}\n", scores.get("map").unwrap())), "{readable}");
}

#[test]
fn the_baseline_needs_no_model() {
    let workspace = Workspace::new();
    workspace.put("dev.txt", IDS);
    workspace.put("test.txt", "1\t2\t2 3\t9 8\n");
    let report = json(&workspace.stdout("eval askubuntu --data . --baseline bm25 --json"));
    assert_eq!((&report["map"], &report["mrr"], &report["queries"]), (&0.75.into(), &0.75.into(), &2.into()));
    assert_eq!((&report["comparable"]["map"], &report["comparable"]["queries"]), (&0.5.into(), &1.into()));
    let test = json(&workspace.stdout("eval askubuntu --data . --split test --baseline bm25 --json"));
    assert_eq!((&test["map"], &test["queries"]), (&1.0.into(), &1.into()));

    let readable = workspace.stdout("eval askubuntu --data . --baseline bm25");
    assert!(readable.contains("published  comparable\nMAP          0.7500      0.5000\n"), "{readable}");
    assert!(readable.contains("2 queries, all that have a positive"), "{readable}");

    let error = workspace.error("eval askubuntu --data . --model model", 1);
    assert!(error.contains("text_tokenized.txt"), "{error}");
}

#[test]
fn sts_prints_the_scores_of_the_library() {
    let workspace = Workspace::new();
    workspace.put("sts.tsv", STS);
    let report = json(&workspace.stdout("eval sts --model model --data sts.tsv --json"));
    assert_eq!(keys(&report), ["spearman_cosine", "pearson_cosine", "pairs", "left_out"]);
    let scores = Sts::read(workspace.path("sts.tsv")).unwrap().evaluate(&encoder()).unwrap();
    assert_eq!(report["spearman_cosine"], scores.get("spearman_cosine").unwrap());
    assert_eq!((&report["pairs"], &report["left_out"]["without_score"]), (&3.into(), &1.into()));
    let readable = workspace.stdout("eval sts --model model --data sts.tsv");
    assert!(readable.starts_with("3 pairs scored; left out: 1 without score\n"), "{readable}");
}

#[test]
fn wrong_usage_and_bad_files_have_different_statuses() {
    let workspace = Workspace::new();
    workspace.put("rerank.jsonl", RERANK);
    workspace.put("bad.jsonl", "{\"query\": \"a\u{1b}[2J\"}\n");
    let error = workspace.error("eval askubuntu --data rerank.jsonl", 2);
    assert!(error.contains("required arguments"), "{error}");
    workspace.error("eval askubuntu --model model --data rerank.jsonl --split train", 2);
    workspace.error("--threads 0 eval sts --model model --data sts.tsv", 2);
    workspace.error("eval sts --threads some --model model --data sts.tsv", 2);

    let error = workspace.error("eval sts --model model --data no.tsv", 1);
    assert!(error.starts_with("error: cannot read no.tsv: No such file"), "{error}");
    let error = workspace.error("eval askubuntu --model model --data bad.jsonl", 1);
    assert!(error.contains("bad.jsonl, line 1: expected a JSON object"), "{error}");
    let error = workspace.error("eval askubuntu --model ./no-model --data rerank.jsonl", 2);
    assert!(error.contains("no model directory `./no-model`"), "{error}");
    let error = workspace.error("eval askubuntu --data rerank.jsonl --baseline bm25", 1);
    assert!(error.contains("no BM25 baseline"), "{error}");
}

#[test]
fn columns_and_splits_of_sts_are_chosen() {
    let workspace = Workspace::new();
    let rows = "dev,slow boot,boot slow,4.5,1\ndev,slow boot,the wifi,0.5,2\ntest,how to boot,to boot,2,3\n";
    workspace.put("pairs.csv", format!("split,left,right,gold,label\n{rows}"));
    workspace.put("none.csv", rows);
    workspace.put("sts.tsv", "4.5\tslow boot\tboot slow\n0.5\tslow boot\tthe wifi\n");
    let expected = json(&workspace.stdout("eval sts --model model --data sts.tsv --json"));
    for (data, columns) in [("pairs.csv", "gold,left,right"), ("none.csv", "4,2,3")] {
        let arguments = format!("eval sts --model model --data {data} --columns {columns}");
        assert_eq!(json(&workspace.stdout(&format!("{arguments} --split dev --json"))), expected);
        let error = workspace.error(&arguments, 1);
        let expected = format!("error: {data}: expected the pairs of one split, found dev, test (--split)");
        assert_eq!(error, expected);
    }
    let error = workspace.error("eval sts --model model --data none.csv --split dev", 1);
    assert!(error.starts_with("error: none.csv: expected one column of scores and two of sentences"), "{error}");
    assert!(error.contains("--columns SCORE,A,B"), "{error}");
    assert!(error.ends_with("numbers from 0 to 5 in columns 4 and 5 and text in columns 2 and 3"), "{error}");
    let error = workspace.error("eval sts --model model --data pairs.csv --columns gold,left", 2);
    assert!(error.contains("expected SCORE,A,B"), "{error}");
}
