//! Evaluation sets of texts and labels: what is left out, refused, warned about, and digested.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, array};
use simcse_eval::sets::Aggregation;
use simcse_eval::{Cosine, EvaluationSet, Given, Labels, Positives, Retrieval, RowOptions, Scores, SentEval, Triplets};
use tempfile::TempDir;

struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

fn score(set: &dyn EvaluationSet, texts: &[&str], embeddings: &Array2<f32>) -> Scores {
    set.score(&mut Cosine::of(Given::new(texts, embeddings.view()))).unwrap().unwrap()
}

fn beir(files: &Files, qrels: &str) -> Retrieval {
    files.put("queries.jsonl", "{\"_id\":\"1\",\"text\":\"q\"}\n{\"_id\":\"2\",\"text\":\"r\"}\n");
    files.put(
        "corpus.jsonl",
        "{\"_id\":\"2\",\"text\":\"c\"}\n{\"_id\":\"1\",\"title\":\"b\",\"text\":\"\"}\n{\"_id\":\"3\",\"text\":\"a\"}\n",
    );
    files.put("qrels/test.tsv", qrels);
    Retrieval::read(files.dir.path(), None).unwrap()
}

const TEXTS: [&str; 5] = ["a", "b", "c", "q", "r"];

#[test]
fn a_query_s_own_document_is_no_candidate_unless_it_is_relevant() {
    let files = Files::new();
    let embeddings = array![[0.6f32, 0.8], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
    // The nearest document to query 1 is document 1.
    let scores = score(&beir(&files, "1\t3\t1\n"), &TEXTS, &embeddings);
    assert_eq!((scores.get("mrr@10"), scores.count), (Some(1.0), 1));
    let warning = "a document with the query's own id was left out of the candidates of 1 query";
    assert_eq!(scores.warnings, [warning]);

    let set = beir(&files, "1\t1\t1\n1\t9\t1\n");
    let scores = score(&set, &TEXTS, &embeddings);
    assert_eq!([scores.get("mrr@10"), scores.get("recall@100")], [Some(1.0), Some(0.5)]);
    assert_eq!(scores.warnings, ["1 relevant document missing from the corpus: counted as not found"]);
    assert_eq!((set.left_out().reasons, set.texts_to_encode()), (vec![("without_positives", 1)], 4));
}

#[test]
fn constant_and_zero_embeddings_are_answers_with_a_warning() {
    let files = Files::new();
    let rows = files.put("t.csv", "anchor,positive,negative\na,b,c\n");
    let triplets = Triplets::read(rows, &RowOptions::default()).unwrap();
    let rows = files.put("p.csv", "query,answer\na,b\nc,d\n");
    let pairs = Positives::read(rows, &RowOptions::default()).unwrap();
    let rows = files.put("l.csv", "text,label\na,x\nb,y\nc,\nd,y\n");
    let labels = Labels::read(rows, &RowOptions::default()).unwrap();
    assert_eq!(labels.left_out().reasons, [("without_label", 1)]);
    let retrieval = beir(&files, "1\t3\t1\n");
    let texts = ["a", "b", "c", "d", "q", "r"];
    for value in [0.0f32, 0.5] {
        let embeddings = Array2::from_elem((texts.len(), 2), value);
        for set in [&triplets as &dyn EvaluationSet, &pairs, &labels, &retrieval] {
            let scores = score(set, &texts, &embeddings);
            for figure in &scores.figures {
                let found = figure.sample.value().unwrap();
                assert!((0.0..=1.0).contains(&found), "{} {found}", figure.name);
            }
            assert!(scores.warnings.iter().any(|line| line.contains("all equal")), "{:?}", scores.warnings);
        }
    }
}

#[test]
fn data_that_cannot_tell_models_apart_are_refused() {
    let files = Files::new();
    let refused = |message: Option<simcse_eval::Error>, expected: &str| {
        let message = message.expect("an error").to_string();
        assert!(message.contains(expected), "{message}");
    };
    let read = |name: &str, content: &str| files.put(name, content);
    let none = RowOptions::default();
    let path = read("p.csv", "query,answer\na,b\na,b\n");
    refused(Positives::read(path, &none).err(), "expected at least two pairs of different texts, found 2 pairs");
    let path = read("l.csv", "text,label\na,x\nb,x\n");
    refused(Labels::read(path, &none).err(), "expected at least two different labels, found 1 label in 2 texts");
    let path = read("t.csv", "anchor,positive,negative\n");
    refused(Triplets::read(path, &none).err(), "expected at least one triplet, found none");
    let path = read("s/x", "");
    refused(SentEval::read(path.parent().unwrap()).err(), "expected SentEval's layout");
}

fn sts(files: &Files, task: &str, subsets: &[(&str, &str)]) {
    for (name, gold) in subsets {
        files.put(&format!("STS/{task}-en-test/STS.gs.{name}.txt"), gold);
        files.put(&format!("STS/{task}-en-test/STS.input.{name}.txt"), "a\tb\na\tc\nb\tc\n");
    }
}

#[test]
fn subsets_are_concatenated_or_averaged() {
    let files = Files::new();
    sts(&files, "STS13", &[("FNWN", "3\n2\n1\n"), ("headlines", "\n2\n1\n"), ("OnWN", "1\n2\n3\n")]);
    files.put("SICK/SICK_test_annotated.txt", "pair_ID\tA\tB\tscore\n1\ta\tb\t1\n2\ta\tc\t2\n3\tb\tc\t3\n");
    let mut set = SentEval::read(files.dir.path()).unwrap();
    assert_eq!((set.left_out().reasons, set.texts().len()), (vec![("without_score", 1)], 3));
    // a·b > a·c > b·c
    let embeddings = array![[1.0f32, 0.0, 0.0], [0.8, 0.6, 0.0], [0.6, 0.0, -0.8]];
    let mut found = |aggregation| {
        set.aggregation = aggregation;
        let scores = score(&set, &["a", "b", "c"], &embeddings);
        assert_eq!((scores.get("sickr"), scores.count), (Some(-1.0), 11));
        let average = (scores.get("sts13").unwrap() - 1.0) / 2.0;
        assert!((scores.get("average").unwrap() - average).abs() < 1e-12);
        assert!(scores.warnings[0].contains("STS12, STS14, STS15, STS16, STS-B; the average is over 2 of 7 tasks"));
        assert_eq!(scores.warnings[1], "STS13 has 8 pairs with a score; the published set has 1500");
        scores.get("sts13").unwrap()
    };
    assert!((found(Aggregation::Mean) - 1.0 / 3.0).abs() < 1e-12);
    assert!((found(Aggregation::WeightedMean) - (3.0 + 2.0 - 3.0) / 8.0).abs() < 1e-12);
    // scipy.stats.spearmanr([3, 2, 1, 2, 1, 1, 2, 3], [3, 2, 1, 2, 1, 3, 2, 1])
    assert!((found(Aggregation::All) - 0.19333333333333327).abs() < 1e-12);
    assert_eq!(set.entry(3), ["a", "c"]);
}

#[test]
fn digests_do_not_depend_on_the_layout() {
    let files = Files::new();
    let of = |path: &Path| Triplets::read(path, &RowOptions::default()).unwrap().sha256().unwrap();
    let csv = files.put("t.csv", "id,sent0,sent1,hard_neg\n1,a,b,ä\n");
    let json = files.put("t.jsonl", "{\"negative\":\"ä\",\"anchor\":\"a\",\"positive\":\"b\"}\n");
    assert_eq!(of(&csv), of(&json));
    // printf '["a","b","ä"]\n' | sha256sum
    assert_eq!(of(&csv), "ad994cbe93dae5871493618401e1eafb5c1b7bf9b3f24af1d1dc911041787c80");
}
