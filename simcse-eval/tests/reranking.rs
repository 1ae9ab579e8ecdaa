//! Small reranking sets in both layouts, scored with embeddings made by hand.

use std::fs;
use std::io::Write;
use std::path::Path;

use ndarray::{Array2, array};
use simcse_eval::metrics::{average_precision, unit_rows};
use simcse_eval::{Cosine, Encoded, Error, EvaluationSet, Given, HeldOut, Reranking, Scores, Split, Sts, Titles};
use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use tempfile::TempDir;

const TEXT: &str =
    "1\tfirst query\tbody\n2\tgood\t\n3\tbad\tthe body\there\n4\tsecond query\n5\tgood\tother body\n9\tof nobody\t\n";
/// Scored, without positives, without negatives, scored.
const DEV: &str = "1\t2\t3 2 5\t3 2 1\n4\t\t2 3\t2 2\n4\t2\t2\t7\r\n\n4\t2 5\t2 3 5\t2 2 2\n";
const TEST: &str = "4\t3\t2 3\t2 1\n";

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

fn whole() -> TempDir {
    directory(&[("text_tokenized.txt", TEXT), ("dev.txt", DEV), ("test.txt", TEST)])
}

fn message<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn score(set: &Reranking, embeddings: &Array2<f32>) -> Result<Scores, Error> {
    let given = Given::new(set.texts()?, embeddings.view());
    Ok(set.score(&mut Cosine::of(given))?.expect("nothing stops it"))
}

#[track_caller]
fn assert_close(scores: &Scores, name: &str, expected: f64) {
    let found = scores.get(name).unwrap();
    assert!((found - expected).abs() < 1e-12, "{name}: {found}, expected {expected}");
}

#[test]
fn a_directory_is_read_with_each_text_once() {
    let directory = whole();
    let reranking = Reranking::read(directory.path(), Split::Dev).unwrap();
    assert_eq!((reranking.skipped.without_positives, reranking.skipped.without_negatives), (1, 1));
    assert_eq!(reranking.texts().unwrap(), ["first query", "bad", "good", "second query"]);
    assert_eq!(reranking.queries[0].candidates, [1, 2, 2], "ids 2 and 5 have the same title");
    assert_eq!(reranking.queries[0].relevant, [false, true, false]);

    // First query: "bad" wins, and "good" ties with itself, the negative first. Second query:
    // "good" wins twice.
    let embeddings = array![[0.0, 2.0], [0.1, 5.0], [3.0, 0.0], [1.0, -1.0]];
    let scores = score(&reranking, &embeddings).unwrap();
    assert_eq!(scores.count, 2);
    assert_close(&scores, "map", (1.0 / 3.0 + 1.0) / 2.0);
    assert_close(&scores, "mrr@10", (1.0 / 3.0 + 1.0) / 2.0);
    let tied = (1.0 / 3f64.log2() + 0.5) / 2.0;
    assert_close(&scores, "ndcg@10", (tied + 1.0) / 2.0);
    assert_close(&scores, "p@1", 0.5);
    assert_close(&scores, "p@5", (0.2 + 0.4) / 2.0);
}

#[test]
fn the_digest_covers_what_is_scored_and_not_its_layout() {
    let good_bad = r#"{"query": "first query", "positive": ["good"], "negative": ["bad"]}"#;
    let digest = |files: &[(&str, &str)], name: &str| {
        let directory = directory(files);
        Reranking::read(directory.path().join(name), Split::Dev).unwrap().sha256().unwrap()
    };
    let [spaced, compact] = [good_bad.to_owned() + "\n\n", good_bad.replace(": ", ":")];
    let jsonl = digest(&[("a.jsonl", &spaced)], "a.jsonl");
    assert_eq!(jsonl, digest(&[("b.jsonl", &compact)], "b.jsonl"));
    assert_eq!(jsonl, digest(&[("text_tokenized.txt", TEXT), ("dev.txt", "1\t2\t2 3\t1 1\n")], ""));
    for changed in [
        good_bad.replace("first", "second"),
        good_bad.replace("[\"bad\"]", "[\"bad\", \"bad\"]"),
        good_bad.replace("good", "worse").replace("bad", "good").replace("worse", "bad"),
    ] {
        assert_ne!(jsonl, digest(&[("a.jsonl", &changed)], "a.jsonl"), "{changed}");
    }
}

#[test]
fn bm25_is_the_order_of_the_file_and_needs_no_titles() {
    let directory = directory(&[("dev.txt", DEV), ("test.txt", TEST)]);
    let reranking = Reranking::read(directory.path(), Split::Dev).unwrap();
    assert!(matches!(reranking.texts(), Err(Error::NoTexts { .. })));
    let bm25 = reranking.baseline_bm25().unwrap();
    // Average precisions 1/2, 1 (no negative) and (1 + 2/3) / 2.
    assert_eq!((bm25.published.count, bm25.comparable.count), (3, 2));
    assert_close(&bm25.published, "map", (0.5 + 1.0 + 5.0 / 6.0) / 3.0);
    assert_close(&bm25.comparable, "map", (0.5 + 5.0 / 6.0) / 2.0);
    assert_close(&bm25.published, "mrr", (0.5 + 1.0 + 1.0) / 3.0);
    assert_eq!(Reranking::read(whole().path(), Split::Dev).unwrap().baseline_bm25().unwrap(), bm25);
}

#[test]
fn mrr_at_10_stops_at_10_and_the_published_mrr_does_not() {
    let ids: Vec<_> = (0..20).map(|id| id.to_string()).collect();
    let scores = ["1"; 20].join(" ");
    let directory = directory(&[("test.txt", &format!("q\t15\t{}\t{scores}\n", ids.join(" ")))]);
    let bm25 = Reranking::read(directory.path(), Split::Test).unwrap().baseline_bm25().unwrap();
    let figures = ["mrr@10", "mrr", "map"].map(|name| bm25.published.get(name).unwrap());
    assert_eq!(figures, [0.0, 1.0 / 16.0, 1.0 / 16.0]);
}

#[test]
fn jsonl_has_positives_first_and_no_baseline() {
    let directory = directory(&[(
        "dev.jsonl",
        concat!(
            r#"{"query": "q", "positive": ["a", "b"], "negative": ["c", "a"], "more": 1}"#,
            "\n",
            r#"{"query": "a", "positive": [], "negative": []}"#,
        ),
    )]);
    let path = directory.path().join("dev.jsonl");
    let reranking = Reranking::read(&path, Split::Dev).unwrap();
    assert_eq!(reranking.queries[0].candidates, [1, 2, 3, 1]);
    assert_eq!(reranking.queries[0].relevant, [true, true, false, false]);
    assert_eq!(reranking.skipped.total(), 1);
    assert!(matches!(reranking.baseline_bm25(), Err(Error::NoBm25Order { .. })));
    let error = message(score(&reranking, &Array2::from_elem((4, 1), f32::NAN)));
    assert!(error.starts_with("the model's embeddings are not finite: found NaN in the embedding of \"q\""), "{error}");
    let held_out = HeldOut::read(&path).unwrap();
    assert!(held_out.contains("", " c ") && !held_out.contains("", "d"));
}

#[test]
fn published_layouts_of_jsonl_are_read() {
    let digest = |line: &str| {
        let directory = directory(&[("a.jsonl", line)]);
        Reranking::read(directory.path().join("a.jsonl"), Split::Dev).map(|set| set.sha256().unwrap())
    };
    let expected = digest(r#"{"query": "q", "positive": ["a"], "negative": ["b", "c"]}"#).unwrap();
    for same in [
        r#"{"query": "q", "positive": "a", "negative": ["b", "c"], "id": 7}"#,
        r#"{"query": "q", "positives": ["a"], "negatives": ["b", "c"]}"#,
        r#"{"query": "q", "pos": ["a"], "neg": ["b", "c"], "pos_scores": [1]}"#,
        r#"{"query": "q", "positive": "a", "documents": ["a", "b", "c"]}"#,
        r#"{"query": "q", "positive": ["a"], "candidates": ["a", "b", "c"]}"#,
        r#"{"query": "q", "docs": ["a", "b", "c"], "labels": [1, 0, 0.0]}"#,
        r#"{"query": "q", "passages": ["a", "b", "c"], "relevance": [true, false, false]}"#,
    ] {
        assert_eq!(digest(same).unwrap(), expected, "{same}");
    }
    let one = digest(r#"{"query": "q", "positive": ["a"], "negative": ["b"]}"#).unwrap();
    assert_eq!(digest(r#"{"query": "q", "positive": "a", "negative": "b"}"#).unwrap(), one);

    for (line, found) in [
        (r#"{"anchor": "q", "positive": "a"}"#, r#"no "query", only the keys "anchor", "positive""#),
        (r#"{"query": "q", "positive": ["a"]}"#, r#"the keys "query", "positive""#),
        (r#"{"query": "q", "positive_passages": []}"#, r#"the keys "query", "positive_passages""#),
        (r#"{"query": "q", "positive": [], "pos": []}"#, r#"both "positive" and "pos""#),
        (
            r#"{"query": "q", "positive": [], "negative": [], "docs": []}"#,
            r#"the keys "query", "positive", "negative", "docs""#,
        ),
        (
            r#"{"query": "q", "positive": [{"text": "a"}], "negative": []}"#,
            r#""positive" with an object in place of a string"#,
        ),
        (r#"{"query": "q", "positive": ["z"], "docs": ["a"]}"#, r#"a positive that is not a candidate: "z""#),
        (r#"{"query": "q", "docs": ["a"], "labels": [1, 0]}"#, "candidates: 1, labels: 2"),
        (
            r#"{"query": "q", "docs": ["a"], "labels": [2]}"#,
            r#""labels" with 2: graded labels are not supported, only 0 and 1"#,
        ),
        (r#"{"query": "q", "docs": ["a"], "labels": 1}"#, r#""labels" that is a number"#),
        (r#"["q"]"#, "invalid type: sequence, expected a map at column 0"),
    ] {
        let error = message(digest(line));
        let expected = r#"line 1: expected a JSON object {"query": "…", "positive": ["…"], "negative": ["…"]}, found "#;
        assert!(error.ends_with(&format!("a.jsonl, {expected}{found}")), "{error}");
    }
}

#[test]
fn a_compressed_text_file_is_read_too() {
    let directory = directory(&[("dev.txt", DEV)]);
    let file = fs::File::create(directory.path().join("text_tokenized.txt.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gzip.write_all(TEXT.as_bytes()).unwrap();
    gzip.finish().unwrap();
    assert_eq!(Reranking::read(directory.path(), Split::Dev).unwrap().texts().unwrap().len(), 4);
}

#[test]
fn training_excludes_both_splits_and_equal_titles() {
    let directory = whole();
    let held_out = HeldOut::read(directory.path()).unwrap();
    assert_eq!(held_out.ids.len(), 5);
    let training: Vec<_> = Titles::open(directory.path())
        .unwrap()
        .map(Result::unwrap)
        .filter(|(id, title)| !held_out.contains(id, title))
        .collect();
    assert_eq!(training, [("9".to_owned(), "of nobody".to_owned())]);
    assert!(held_out.contains("77", "good"), "another id with an equal title");
    fs::remove_file(directory.path().join("test.txt")).unwrap();
    assert!(message(HeldOut::read(directory.path())).contains("test.txt"));
}

#[test]
fn errors_name_file_line_and_what_was_expected() {
    let dev = |text: &str, dev: &str| {
        let directory = directory(&[("text_tokenized.txt", text), ("dev.txt", dev)]);
        message(Reranking::read(directory.path(), Split::Dev))
    };
    let error = dev(TEXT, "1\t2\t3 2\t1 1\n1\t2\t2 7\u{1b}\t1 1\n");
    assert!(error.contains("dev.txt, line 2: expected the id of a question in "), "{error}");
    assert!(error.ends_with("text_tokenized.txt, found 7\\u{1b}"), "{error}");
    assert!(dev(TEXT, "1\t2\t3 2\n").contains("line 1: expected query id, similar ids, candidate ids and BM25 scores"));
    assert!(dev(TEXT, "1\t2\t3 4\t1 1\n").contains("similar ids that are among the candidate ids, found \"2\""));
    assert!(dev(TEXT, "1\t2\t3 2\t1\n").contains("as many BM25 scores as candidate ids"));
    assert!(dev(TEXT, "\t2\t3 2\t1 1\n").contains("a query id in field 1"));
    assert!(
        dev(TEXT, "1\t\t3 2\t1 1\n")
            .contains("at least one query with positives and negatives, found none (lines left out: 1)")
    );
    assert!(dev("1 no tab\n", DEV).contains("text_tokenized.txt, line 1: expected question id, title and body"));
    assert!(
        dev("1\ta\t\n1\tb\t\n", DEV).contains("text_tokenized.txt, line 2: expected one title for each question id")
    );
    assert!(
        message(Reranking::read(Path::new("/nowhere/x.jsonl"), Split::Dev))
            .starts_with("cannot read /nowhere/x.jsonl: ")
    );

    let directory =
        directory(&[("x.jsonl", "{\"query\": \"\", \"positive\": [], \"negative\": []}\n{\"query\": 1}\n")]);
    let error = message(Reranking::read(directory.path().join("x.jsonl"), Split::Dev));
    assert!(error.contains("x.jsonl, line 2: expected a JSON object"), "{error}");
    assert!(error.ends_with("found a query that is a number"), "{error}");
}

/// If its time grew with the square of their number, reading would take minutes.
#[test]
fn a_query_may_have_many_candidates() {
    let list = |of: fn(usize) -> String| (0..200_000).map(of).collect::<Vec<_>>().join(" ");
    let (ids, scores) = (list(|id| id.to_string()), list(|_| "1".to_owned()));
    let directory = directory(&[("dev.txt", &format!("q\t{ids}\t{ids}\t{scores}\nq\t1\t1 2\t1 1\n"))]);
    let reranking = Reranking::read(directory.path(), Split::Dev).unwrap();
    assert_eq!((reranking.queries.len(), reranking.skipped.without_negatives), (1, 1));
}

/// A small random model with `config_sentence_transformers.json`.
fn encoder(directory: &Path, prompts: &str) -> SentenceEncoder {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "q", "d", ":", "slow", "boot", "wifi", "sound"];
    let config = ModelConfig {
        vocab_size: words.len(),
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 32,
        initializer_range: 0.5,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
    let model = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16).unwrap();
    SentenceEncoder::random(model, 3).save(directory).unwrap();
    fs::write(directory.join("config_sentence_transformers.json"), prompts).unwrap();
    SentenceEncoder::load_directory(directory).unwrap()
}

#[test]
fn queries_and_candidates_have_their_prompts() {
    // "boot" is a query and a candidate, and so has two embeddings.
    let queries = ["slow boot", "boot"];
    let candidates = [["boot", "wifi sound", "slow slow"], ["sound", "boot", "wifi"]];
    let relevant = [true, false, false];
    let line = |i: usize| {
        let [positive, negatives @ ..] = candidates[i];
        serde_json::json!({ "query": queries[i], "positive": positive, "negative": negatives }).to_string() + "\n"
    };
    let set = Reranking::from_jsonl((line(0) + &line(1)).leak(), "two queries").unwrap();

    let expected = |query_rows: Array2<f32>, candidate_rows: [Array2<f32>; 2]| -> f64 {
        let query_rows = unit_rows(query_rows.view());
        let of_query = |i: usize| {
            let scores = unit_rows(candidate_rows[i].view()).dot(&query_rows.row(i));
            average_precision(&relevant, &scores.to_vec()).unwrap()
        };
        (of_query(0) + of_query(1)) / 2.0
    };
    let directory = tempfile::tempdir().unwrap();
    let prompted = encoder(directory.path(), r#"{"prompts": {"query": "q : q ", "document": "d : wifi "}}"#);
    let documents = candidates.map(|texts| prompted.encode_document(&texts).unwrap());
    let with_prompts = expected(prompted.encode_query(&queries).unwrap(), documents);
    let texts = candidates.map(|texts| prompted.encode(&texts).unwrap());
    let without = expected(prompted.encode(&queries).unwrap(), texts);
    assert_ne!(with_prompts, without);
    assert_close(&set.evaluate(&prompted).unwrap(), "map", with_prompts);
    let none = Encoded::new(&prompted).with_prompt(Some(""));
    assert_close(&set.score(&mut Cosine::of(none)).unwrap().unwrap(), "map", without);
    let stopped = Encoded::new(&prompted).going_on_while(|_| false);
    assert!(set.score(&mut Cosine::of(stopped)).unwrap().is_none());
}

#[test]
fn similarity_uses_the_default_prompt() {
    let directory = tempfile::tempdir().unwrap();
    let pairs = directory.path().join("sts.tsv");
    fs::write(&pairs, "4\tslow boot\tboot\n1\tslow boot\twifi\n2\tsound\twifi slow\n").unwrap();
    let sts = Sts::read(&pairs).unwrap();
    let prompted = encoder(directory.path(), r#"{"prompts": {"query": "q : q "}}"#);
    let without = sts.evaluate(&prompted).unwrap();
    let embeddings = prompted.encode(sts.texts()).unwrap();
    let given = Given::new(sts.texts(), embeddings.view());
    assert_eq!(without, sts.score(&mut Cosine::of(given)).unwrap().unwrap());
    let with_query = Encoded::new(&prompted).with_prompt(Some("q : q "));
    let with_query = sts.score(&mut Cosine::of(with_query)).unwrap().unwrap();
    assert_ne!(with_query, without);
    let by_default = r#"{"prompts": {"query": "q : q "}, "default_prompt_name": "query"}"#;
    assert_eq!(sts.evaluate(&encoder(directory.path(), by_default)).unwrap(), with_query);
}
