//! Comparisons with ids that the Python library made, in the directory that `SIMCSE_SHARED` names; skipped without it.

use std::path::{Path, PathBuf};

use simcse_model::{ModelDirectory, Tokenizer};

fn shared() -> Option<PathBuf> {
    let dir = std::env::var_os("SIMCSE_SHARED").map(PathBuf::from);
    if dir.is_none() {
        println!("skipped: SIMCSE_SHARED is not set");
    }
    dir
}

/// A directory with some of the files of `from`.
fn only(from: &Path, names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    dir
}

/// Every line of `ids` (`{"text", "ids"}`), also truncated: all but the last special token is a prefix.
fn assert_ids(tokenizer: &Path, ids: &Path) {
    let tokenizer = Tokenizer::read(tokenizer).unwrap();
    let lines = std::fs::read_to_string(ids).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    let found = tokenizer.encode_batch(&texts, 512).unwrap().ids;
    let cut = tokenizer.encode_batch(&texts, 8).unwrap().ids;
    assert!(lines.len() > 1000);
    for ((line, found), cut) in lines.iter().zip(found).zip(cut) {
        let expected: Vec<u32> = serde_json::from_value(line["ids"].clone()).unwrap();
        assert_eq!(found, expected, "{}", line["text"]);
        let (last, kept) = (expected[expected.len() - 1], expected.len().min(8) - 1);
        assert_eq!(cut, [&expected[..kept], &[last]].concat(), "{}", line["text"]);
    }
}

#[test]
fn bert_ids_equal_the_references() {
    let Some(dir) = shared().map(|dir| dir.join("tokenizers")) else {
        return;
    };
    let ids = dir.join("ref_ids_bert.jsonl");
    assert_ids(&dir.join("bert-base-uncased"), &ids);
    assert_ids(&dir.join("distilbert-base-uncased"), &ids);
    assert_ids(only(&dir.join("bert-base-uncased"), &["vocab.txt"]).path(), &ids);
}

#[test]
fn roberta_ids_equal_the_references() {
    let Some(dir) = shared().map(|dir| dir.join("tokenizers")) else {
        return;
    };
    let ids = dir.join("ref_ids_roberta.jsonl");
    assert_ids(&dir.join("roberta-base"), &ids);
    assert_ids(only(&dir.join("roberta-base"), &["vocab.json", "merges.txt"]).path(), &ids);
}

#[test]
fn a_plain_checkpoint_is_read() {
    let Some(dir) = shared().map(|dir| dir.join("data/tiny_bert")) else {
        return;
    };
    let model = ModelDirectory::read(&dir).unwrap();
    assert_eq!((model.config.hidden_size, model.max_seq_length), (32, 128));
    let mut words = vec![0.0; 256 * 32];
    let mut weights = model.weights().unwrap();
    weights.take("embeddings.word_embeddings.weight", &[256, 32], &mut words).unwrap();
    assert!(words.iter().any(|&word| word != 0.0));
    assert!(!weights.contains("pooler.dense.weight"));
}
