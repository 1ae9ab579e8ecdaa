//! The figures of sentence-transformers' evaluators and of scikit-learn, on random cases with ties.
//! `tests/goldens/evaluators.json` names the script and the versions that made it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;
use simcse_eval::{Cosine, EvaluationSet, Given, Labels, Positives, Retrieval, RowOptions, Scores, Triplets};

#[derive(Deserialize)]
struct Golden {
    triplets: Vec<Case>,
    pairs: Vec<Case>,
    retrieval: Vec<RetrievalCase>,
    labels: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    embeddings: BTreeMap<String, Vec<f32>>,
    rows: Vec<Vec<String>>,
    expected: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct RetrievalCase {
    embeddings: BTreeMap<String, Vec<f32>>,
    /// Texts by id.
    corpus: BTreeMap<String, String>,
    relevant: BTreeMap<String, Vec<String>>,
    expected: BTreeMap<String, f64>,
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/evaluators.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The scores of given embeddings.
fn score(set: &dyn EvaluationSet, embeddings: &BTreeMap<String, Vec<f32>>) -> Scores {
    let texts: Vec<&String> = embeddings.keys().collect();
    let width = embeddings.values().next().unwrap().len();
    let rows = Array2::from_shape_vec((texts.len(), width), embeddings.values().flatten().copied().collect()).unwrap();
    set.score(&mut Cosine::of(Given::new(&texts, rows.view()))).unwrap().unwrap()
}

#[track_caller]
fn assert_figures(scores: &Scores, expected: &BTreeMap<String, f64>) {
    assert!(!expected.is_empty());
    for (name, expected) in expected {
        let found = scores.get(name).unwrap_or_else(|| panic!("no figure {name}"));
        // TripletEvaluator's accuracy is in f32.
        assert!((found - expected).abs() < 1e-7, "{name}: found {found}, expected {expected}");
    }
}

/// Rows of a case as a table, or as JSON lines.
fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let lines = [header.join("\t")].into_iter().chain(rows.iter().map(|row| row.join("\t")));
    lines.collect::<Vec<_>>().join("\n")
}

fn check<S: EvaluationSet>(cases: &[Case], header: &[&str], read: impl Fn(&Path) -> S) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.tsv");
    for case in cases {
        fs::write(&path, table(header, &case.rows)).unwrap();
        let set = read(&path);
        let scores = score(&set, &case.embeddings);
        assert_figures(&scores, &case.expected);
        assert_eq!(scores.count, case.rows.len());
    }
}

#[test]
fn triplets_are_those_of_the_triplet_evaluator() {
    check(&golden().triplets, &["anchor", "positive", "negative"], |path| {
        Triplets::read(path, &RowOptions::default()).unwrap()
    });
}

#[test]
fn pairs_are_those_of_the_translation_evaluator() {
    check(&golden().pairs, &["anchor", "positive"], |path| Positives::read(path, &RowOptions::default()).unwrap());
}

#[test]
fn labels_are_those_of_scikit_learn() {
    check(&golden().labels, &["text", "label"], |path| Labels::read(path, &RowOptions::default()).unwrap());
}

#[test]
fn retrieval_is_that_of_the_information_retrieval_evaluator() {
    for case in golden().retrieval {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("qrels")).unwrap();
        let mut queries = String::new();
        let mut corpus = String::new();
        let mut qrels = "query-id\tcorpus-id\tscore\n".to_owned();
        for (query, relevant) in &case.relevant {
            let _ = writeln!(queries, "{}", serde_json::json!({"_id": query, "text": query}));
            relevant.iter().for_each(|id| _ = writeln!(qrels, "{query}\t{id}\t1"));
        }
        for (id, text) in case.corpus.iter().rev() {
            let _ = writeln!(corpus, "{}", serde_json::json!({"_id": id, "title": "", "text": text}));
        }
        for (name, content) in [("queries.jsonl", queries), ("corpus.jsonl", corpus), ("qrels/test.tsv", qrels)] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let set = Retrieval::read(dir.path(), None).unwrap();
        let scores = score(&set, &case.embeddings);
        assert_figures(&scores, &case.expected);
        assert_eq!(scores.count, case.relevant.len());
    }
}
