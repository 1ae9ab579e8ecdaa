//! Comparisons with what the Python libraries computed, and with models on disk.
//!
//! Each test needs a directory in an environment variable and is skipped without it:
//! `SIMCSE_SHARED` has real tokenizers and their ids, `SIMCSE_HOSTILE_IDS` is written by
//! `tools/peer/hostile_ids.py`, and `SIMCSE_MODELS` holds model directories.

use std::path::{Path, PathBuf};

use simcse_model::{ModelDirectory, SentenceEncoder, Tokenizer};

fn directory(variable: &str) -> Option<PathBuf> {
    let dir = std::env::var_os(variable).map(PathBuf::from);
    if dir.is_none() {
        println!("skipped: {variable} is not set");
    }
    dir
}

fn shared() -> Option<PathBuf> {
    directory("SIMCSE_SHARED")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!entries.is_empty(), "{} is empty", dir.display());
    entries
}

/// A directory with some of the files in `from`.
fn only(from: &Path, names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    dir
}

/// Checks the ids of every text in `ids`, whose lines are `{"text", "ids"}`, and its truncated ids:
/// the last special token, after a prefix of the others.
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
        let last = expected[expected.len() - 1];
        let kept = expected.len().min(8) - 1;
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
    for files in [&["tokenizer.json"][..], &["vocab.json", "merges.txt"]] {
        let roberta = only(&dir.join("roberta-base"), files);
        // Its own config.json is from before there was a `model_type`.
        std::fs::copy(dir.join("distilroberta-base/config.json"), roberta.path().join("config.json")).unwrap();
        assert_ids(roberta.path(), &ids);
    }
}

#[test]
fn a_plain_checkpoint_is_read() {
    let Some(dir) = shared().map(|dir| dir.join("data/tiny_bert")) else {
        return;
    };
    let model = ModelDirectory::read(&dir).unwrap();
    assert_eq!(model.config.hidden_size, 32);
    assert_eq!(model.max_seq_length, 128);
    let mut words = vec![0.0; 256 * 32];
    let mut weights = model.weights().unwrap();
    weights.take("embeddings.word_embeddings.weight", &[256, 32], &mut words).unwrap();
    assert!(words.iter().any(|&word| word != 0.0));
    assert!(!weights.contains("pooler.dense.weight"));
}

#[test]
fn hostile_texts_have_the_references_ids() {
    let Some(dir) = directory("SIMCSE_HOSTILE_IDS") else {
        return;
    };
    for file in entries(&dir) {
        let lines = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let tokenizer = Tokenizer::read(Path::new(lines[0]["tokenizer"].as_str().unwrap())).unwrap();
        let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
        for (line, found) in lines.iter().zip(tokenizer.encode_batch(&texts, 128).unwrap().ids) {
            let expected: Vec<u32> = serde_json::from_value(line["ids"].clone()).unwrap();
            let shown: String = line["text"].as_str().unwrap().chars().take(60).collect();
            assert_eq!(found, expected, "{}: {shown:?}", file.display());
        }
    }
}

/// Loading and saving changes no bit: what is saved has the base model's tensors, and no other.
#[test]
fn a_model_saved_unchanged_keeps_its_tensors() {
    let Some(dir) = directory("SIMCSE_MODELS") else {
        return;
    };
    for model in entries(&dir) {
        let saved = tempfile::tempdir().unwrap();
        SentenceEncoder::load(&model).unwrap().save(saved.path()).unwrap();
        let read = |dir: &Path| std::fs::read(dir.join("model.safetensors")).unwrap();
        let (base, saved) = (read(&model), read(saved.path()));
        let [base, saved] = [&base, &saved].map(|bytes| safetensors::SafeTensors::deserialize(bytes).unwrap());
        let sorted = |tensors: &safetensors::SafeTensors| {
            let mut names: Vec<_> = tensors.names().into_iter().map(str::to_owned).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(sorted(&saved), sorted(&base), "{}", model.display());
        for name in base.names() {
            let base = base.tensor(name).unwrap();
            let saved = saved.tensor(name).unwrap();
            assert_eq!((base.dtype(), base.shape()), (saved.dtype(), saved.shape()), "{}: {name}", model.display());
            assert!(base.data() == saved.data(), "{}: {name}", model.display());
        }
    }
}
