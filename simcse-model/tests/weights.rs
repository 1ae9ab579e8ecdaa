//! Models whose weights are in other files than one `model.safetensors`: the embeddings are the
//! same, and what is saved is one `model.safetensors`. The files are written by PyTorch and
//! transformers, with `tools/generate/weights.py`.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use simcse_model::{SentenceEncoder, write_safetensors};

const WORDS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps"];
const SENTENCES: [&str; 2] = ["the cat sleeps", "cat"];

/// A directory with the model's configuration and tokenizer, and those of its files whose names
/// begin with `weights`.
fn model(weights: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/weights/bert");
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name == "config.json" || name.starts_with(weights) {
            fs::copy(entry.path(), dir.path().join(name)).unwrap();
        }
    }
    fs::write(dir.path().join("vocab.txt"), WORDS.join("\n")).unwrap();
    dir
}

/// Loads a model and saves it: the embeddings, and the bytes of the weights saved.
fn loaded(dir: &Path) -> (ndarray::Array2<f32>, Vec<u8>) {
    let encoder = SentenceEncoder::load(dir).unwrap();
    assert_eq!(encoder.warnings(), [""; 0]);
    let out = tempfile::tempdir().unwrap();
    encoder.save(out.path()).unwrap();
    let embeddings = encoder.encode(&SENTENCES).unwrap();
    assert_eq!(SentenceEncoder::load(out.path()).unwrap().encode(&SENTENCES).unwrap(), embeddings);
    (embeddings, fs::read(out.path().join("model.safetensors")).unwrap())
}

#[test]
fn shards_of_pytorch_are_the_same_model() {
    assert_eq!(loaded(model("pytorch_model").path()), loaded(model("model.safetensors").path()));
}

#[test]
fn shards_of_safetensors_are_the_same_model_under_any_prefix() {
    let whole = model("model.safetensors");
    let expected = loaded(whole.path());
    let bytes = fs::read(whole.path().join("model.safetensors")).unwrap();
    let dir = model("none");
    let mut map = serde_json::Map::new();
    for (i, (name, tensor)) in SafeTensors::deserialize(&bytes).unwrap().tensors().into_iter().enumerate() {
        let values: Vec<f32> = tensor.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let (file, name) = (format!("model-{i}.safetensors"), format!("module.bert.{name}"));
        write_safetensors(&dir.path().join(&file), [(name.as_str(), tensor.shape(), &values[..])], &[]).unwrap();
        map.insert(name, file.into());
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    assert_eq!(loaded(dir.path()), expected);
}

#[test]
fn safetensors_are_preferred_and_nothing_else_is_opened() {
    let dir = model("model.safetensors");
    let expected = loaded(dir.path());
    fs::write(dir.path().join("pytorch_model.bin"), "not weights").unwrap();
    fs::write(dir.path().join("model.safetensors.index.json"), "not an index").unwrap();
    assert_eq!(loaded(dir.path()), expected);
}

#[test]
fn a_warning_names_the_file_that_was_read() {
    let dir = model("model.safetensors");
    let file = |name: &str| dir.path().join(name);
    fs::rename(file("model.safetensors"), file("1.safetensors")).unwrap();
    write_safetensors(&file("2.safetensors"), [("mlp.bias", &[1][..], &[0.5][..])], &[]).unwrap();
    let index = r#"{"weight_map": {"embeddings.LayerNorm.bias": "1.safetensors", "mlp.bias": "2.safetensors"}}"#;
    let path = file("model.safetensors.index.json");
    fs::write(&path, index).unwrap();
    let warning = format!("{}: left out 1 tensor that the encoder does not use: mlp.bias", path.display());
    assert_eq!(SentenceEncoder::load(dir.path()).unwrap().warnings(), [warning]);
}
