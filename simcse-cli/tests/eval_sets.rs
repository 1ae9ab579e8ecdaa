//! `simcse eval retrieval`, `pairs`, `triplets`, `labels` and `senteval` on small data sets.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use std::fs;

use common::{Workspace, encoder};
use serde_json::{Value, json};
use simcse_eval::{EvaluationSet, Labels, Positives, Retrieval, RowOptions, SentEval, Triplets};

/// A file in the workspace, with the directories above it.
fn put(workspace: &Workspace, name: &str, content: &str) {
    fs::create_dir_all(workspace.path(name).parent().unwrap()).unwrap();
    workspace.put(name, content);
}

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    let query = |id: &str, text: &str| format!("{{\"_id\":\"{id}\",\"text\":\"{text}\"}}\n");
    let queries = [query("1", "slow boot"), query("2", "wifi"), query("3", "sound")].concat();
    put(&workspace, "beir/queries.jsonl", &queries);
    let corpus = "{\"_id\":\"a\",\"title\":\"boot\",\"text\":\"is slow\"}\n{\"_id\":\"b\",\"text\":\"install wifi\"}\n";
    put(&workspace, "beir/corpus.jsonl", corpus);
    put(&workspace, "beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\ta\t1\n1\tz\t1\n2\tb\t1\n");
    put(&workspace, "pairs.csv", "query,answer\nslow boot,boot\nthe wifi,install wifi\nsound,the sound\n");
    let triplets = "anchor\tpositive\tnegative\nslow boot\tboot slow\twifi\nwifi\tthe wifi\tsound\n";
    put(&workspace, "triplets.tsv", triplets);
    put(
        &workspace,
        "labels.jsonl",
        "{\"text\":\"slow boot\",\"label\":1}\n{\"text\":\"boot\",\"label\":1}\n{\"text\":\"wifi\",\"label\":2}\n",
    );
    put(
        &workspace,
        "sts/SICK/SICK_test_annotated.txt",
        "id\tA\tB\tscore\n1\tslow\twifi\t1\n2\tboot\tboot slow\t4\n3\tboot\tboot\t5\n",
    );
    workspace
}

/// The figures of a library set are those of the command, each with its interval.
#[track_caller]
fn assert_same(workspace: &Workspace, arguments: &str, set: &dyn EvaluationSet) -> Value {
    let stdout = workspace.stdout(&format!("eval {arguments} --model model --no-baselines --json"));
    let report: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let scores = set.evaluate(&encoder()).unwrap();
    for figure in &scores.figures {
        assert_eq!(report[figure.name], json!(figure.sample.value()), "{}", figure.name);
        let interval = &report[format!("{}_interval", figure.name)];
        assert!(interval.is_array() || interval.is_null() && figure.sample.value().is_none(), "{report}");
    }
    assert_eq!(report[scores.unit.key()], scores.count);
    report
}

#[test]
fn each_kind_prints_the_figures_of_the_library() {
    let workspace = workspace();
    let rows = RowOptions::default();
    let path = |name: &str| workspace.path(name);
    let report = assert_same(&workspace, "retrieval --data beir", &Retrieval::read(path("beir"), None).unwrap());
    assert!(report["map@100"].is_number() && report["recall@100"] == 0.75, "{report}");
    assert_eq!((&report["queries"], &report["left_out"]), (&json!(2), &json!({ "without_positives": 1 })));
    assert_same(&workspace, "pairs --data pairs.csv", &Positives::read(path("pairs.csv"), &rows).unwrap());
    assert_same(&workspace, "triplets --data triplets.tsv", &Triplets::read(path("triplets.tsv"), &rows).unwrap());
    assert_same(&workspace, "labels --data labels.jsonl", &Labels::read(path("labels.jsonl"), &rows).unwrap());
    let report = assert_same(&workspace, "senteval --data sts", &SentEval::read(path("sts")).unwrap());
    assert_eq!(report["average"], report["sickr"]);
    assert_eq!(report["sts12"], Value::Null);
}

#[test]
fn what_the_data_lack_is_said() {
    let workspace = workspace();
    let stderr = |arguments: &str| {
        let output = workspace.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        common::text(&output.stderr)
    };
    let warnings = stderr("eval retrieval --data beir --model model --no-baselines");
    assert!(warnings.contains("1 relevant document missing from the corpus: counted as not found"), "{warnings}");
    let warnings = stderr("eval senteval --data sts --model model --no-baselines");
    assert!(warnings.contains("the average is over 1 of 7 tasks"), "{warnings}");
    for (arguments, expected) in [
        ("retrieval --data beir --split dev", "qrels: expected dev.tsv or dev.tsv.gz (--split), found test.tsv"),
        ("retrieval --data sts", "expected queries.jsonl or queries.jsonl.gz"),
        ("pairs --data triplets.tsv --columns anchor,none", "expected a column `none` (--columns)"),
        ("labels --data pairs.csv", "expected one set of columns for texts with a label"),
        ("senteval --data beir", "expected SentEval's layout"),
    ] {
        let error = workspace.error(&format!("eval {arguments} --model model"), 1);
        assert!(error.contains(expected), "{error}");
    }
}
