//! Evaluation sets of texts and labels: what is left out, refused, warned about, and digested.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, array};
use proptest::prelude::*;
use simcse_eval::sets::{Aggregation, OpenOptions, open};
use simcse_eval::{
    Cosine, EvaluationSet, Given, Labels, Positives, Reranking, Retrieval, RowOptions, Scores, SentEval, SetKind,
    Split, Triplets,
};
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

#[test]
fn the_kind_of_a_file_is_that_of_its_columns() {
    let files = Files::new();
    for (name, content, kind) in [
        ("a.csv", "sent0,sent1,hard_neg\na,b,c\n", SetKind::Triplets),
        ("b.csv", "anchor,positive\na,b\nc,d\n", SetKind::Pairs),
        ("c.csv", "text,label\na,b\nc,d\n", SetKind::Labels),
    ] {
        assert_eq!(open(files.put(name, content), &OpenOptions::default()).unwrap().kind(), kind, "{name}");
    }
    beir(&files, "1\t3\t1\n");
    assert_eq!(open(files.dir.path(), &OpenOptions::default()).unwrap().kind(), SetKind::Retrieval);
}

/// A text with some bytes replaced, removed or doubled.
fn edited(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\t\n\",{}[]:0 ".to_vec())];
    let edit = (any::<prop::sample::Index>(), 0..4u8, byte);
    prop::collection::vec(edit, 0..4).prop_map(move |edits| {
        let mut bytes = text.as_bytes().to_vec();
        for (place, kind, byte) in edits {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 if bytes.len() > 1 => _ = bytes.remove(place),
                2 => bytes.insert(place, byte),
                _ => bytes.extend_from_within(place..),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_are_read_or_refused(
        rows in edited("anchor,positive,negative,label,text\na,b,c,1,x\n\"d\",e,f,2,y\ng,h,i,1,z\n"),
        corpus in edited("{\"_id\":\"2\",\"text\":\"c\"}\n{\"_id\":\"1\",\"title\":\"b\",\"text\":\"\"}\n"),
        qrels in edited("query-id\tcorpus-id\tscore\n1\t1\t1\n1\t2\t0\n2\t2\t1\n"),
        sick in edited("pair_ID\tA\tB\tscore\n1\ta\tb\t1\n2\ta\tc\t2\n"),
        gold in edited("4.5\n\n1\n"),
    ) {
        let files = Files::new();
        let put = |name: &str, bytes: &[u8]| fs::write(files.put(name, ""), bytes).unwrap();
        put("rows.csv", &rows);
        put("corpus.jsonl", &corpus);
        files.put("queries.jsonl", "{\"_id\":\"1\",\"text\":\"q\"}\n{\"_id\":\"2\",\"text\":\"r\"}\n");
        put("qrels/test.tsv", &qrels);
        put("SICK/SICK_test_annotated.txt", &sick);
        for name in ["FNWN", "headlines", "OnWN"] {
            put(&format!("STS13-en-test/STS.gs.{name}.txt"), &gold);
            files.put(&format!("STS13-en-test/STS.input.{name}.txt"), "a\tb\na\tc\nb\tc\n");
        }
        let path = files.dir.path();
        let none = RowOptions::default();
        let rows = path.join("rows.csv");
        let sets: [Option<Box<dyn EvaluationSet>>; 5] = [
            Positives::read(&rows, &none).ok().map(|set| Box::new(set) as _),
            Triplets::read(&rows, &none).ok().map(|set| Box::new(set) as _),
            Labels::read(&rows, &none).ok().map(|set| Box::new(set) as _),
            Retrieval::read(path, None).ok().map(|set| Box::new(set) as _),
            SentEval::read(path).ok().map(|set| Box::new(set) as _),
        ];
        for set in sets.into_iter().flatten() {
            let scores = set.score(&mut simcse_eval::similarity::Lexical::tf_idf()).unwrap().unwrap();
            prop_assert!(scores.count > 0 && set.sha256().is_ok());
            for figure in &scores.figures {
                prop_assert!(figure.sample.value().is_none_or(|value| (-1.0..=1.0).contains(&value)));
            }
        }
    }
}

/// The same queries and candidates as JSON lines and in both layouts of a table.
#[test]
fn rows_of_a_query_are_one_reranking_sample() {
    let files = Files::new();
    let lines = r#"{"query": "q", "positive": ["a", "b"], "negative": ["c"]}
{"query": "r", "positive": ["c"], "negative": ["a"]}
"#;
    let expected = Reranking::read(files.put("dev.jsonl", lines), Split::Dev).unwrap();
    let triplets = "query,positive,negative\nq,a,c\nr,c,a\nq,b,\nq,a,c\n";
    let labels = "query\tdocument\tlabel\nq\ta\t1\nq\tb\t1\nq\tc\t0\nr\tc\t1\nr\ta\t0\n";
    let embeddings = array![[0.6f32, 0.8], [1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]];
    let figures = |set: &Reranking| score(set, &TEXTS, &embeddings).to_json();
    for (name, content) in [("dev.csv", triplets), ("dev.tsv", labels)] {
        let set = Reranking::read(files.put(name, content), Split::Dev).unwrap();
        assert_eq!(figures(&set), figures(&expected), "{name}");
    }
    let error = |content: &str| Reranking::read(files.put("bad.csv", content), Split::Dev).unwrap_err().to_string();
    assert!(error("query,document,label\nq,a,2\n").contains("expected labels that are 0 or 1"));
    assert!(error("question,answer\nq,a\n").contains("such as query, positive, negative"));
    assert!(error("query,positive,negative\nq,a,\n").contains("at least one query with positives and negatives"));
}
