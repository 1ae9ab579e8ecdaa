//! Each kind of file, truncated at every byte and with every single bit flipped.

use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use simcse_model::{WeightsFile, write_safetensors};

use crate::{
    alone, bounded, load, model, model_with_dense, model_with_merges, model_with_word_weights, model_with_words,
};

const FIXTURE: usize = 4 << 10;

/// Calls `try_bytes` with a name and the result of each damage to the first `length` of `bytes`.
pub(crate) fn each_damage(bytes: &[u8], length: usize, mut try_bytes: impl FnMut(&str, &[u8])) {
    for kept in 0..length {
        try_bytes(&format!("cut to {kept} bytes"), &bytes[..kept]);
    }
    let mut flipped = bytes.to_vec();
    for bit in 0..8 * length {
        flipped[bit / 8] ^= 1 << (bit % 8);
        try_bytes(&format!("bit {bit} flipped"), &flipped);
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Damages a file of a model in every way, and loads the model each time.
fn damage(dir: &Path, name: &str) {
    let _alone = alone();
    load(name, dir).unwrap();
    let path = dir.join(name);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() <= FIXTURE, "{name} has {} bytes", bytes.len());
    let mut read = 0;
    let mut refused = 0;
    each_damage(&bytes, bytes.len(), |case, bytes| {
        fs::write(&path, bytes).unwrap();
        match load(&format!("{name}: {case}"), dir) {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
    });
    assert!(read > 0 && refused > 0, "{name}: {read} read, {refused} refused");
}

#[test]
fn config() {
    damage(model().path(), "config.json");
}

#[test]
fn tokenizer() {
    damage(model().path(), "tokenizer.json");
}

#[test]
fn tokenizer_config() {
    damage(model().path(), "tokenizer_config.json");
}

#[test]
fn modules() {
    damage(model().path(), "modules.json");
}

#[test]
fn pooling() {
    damage(model().path(), "1_Pooling/config.json");
}

#[test]
fn dense_layers_and_mixes() {
    for name in ["3_Dense/config.json", "3_Dense/model.safetensors", "1_WeightedLayerPooling/config.json"] {
        damage(model_with_dense().path(), name);
    }
}

#[test]
fn word_weights() {
    damage(model_with_word_weights().path(), "1_WordWeights/config.json");
}

#[test]
fn settings() {
    damage(model().path(), "sentence_bert_config.json");
    damage(model().path(), "config_sentence_transformers.json");
}

#[test]
fn vocabularies() {
    damage(model_with_words().path(), "vocab.txt");
    damage(model_with_merges().path(), "vocab.json");
    damage(model_with_merges().path(), "merges.txt");
}

/// Whatever we accept, the safetensors crate accepts as well, with the same tensors.
#[test]
fn safetensors_header() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let tensors: [(&str, &[usize], &[f32]); 3] =
        [("b", &[2], &[1.0, -2.0]), ("w.x", &[2, 2], &[0.5, 0.25, 1.0, 3.0]), ("e", &[0, 3], &[])];
    write_safetensors(&path, tensors, &[]).unwrap();
    let bytes = fs::read(&path).unwrap();
    let header = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let mut read = 0;
    let mut refused = 0;
    each_damage(&bytes, header, |case, bytes| {
        fs::write(&path, bytes).unwrap();
        match bounded(case, dir.path(), bytes.len(), || WeightsFile::read(&path)) {
            Err(_) => refused += 1,
            Ok(weights) => {
                read += 1;
                same_reading(case, weights, bytes);
            }
        }
    });
    assert!(read > 50 && refused > 1000, "{read} read, {refused} refused");
}

/// Checks that every tensor that the reference reads is in `weights`, with the same shape and
/// values.
pub(crate) fn same_reading(case: &str, mut weights: WeightsFile, bytes: &[u8]) {
    let theirs = SafeTensors::deserialize(bytes).unwrap_or_else(|error| panic!("{case}: accepted, but {error}"));
    for (name, tensor) in theirs.tensors() {
        assert!(weights.contains(&name), "{case}: {name:?} is missing");
        let mut values = vec![0.0; tensor.shape().iter().product()];
        match weights.take(&name, tensor.shape(), &mut values) {
            Ok(()) if tensor.dtype() == Dtype::F32 => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                assert_eq!(bytes, tensor.data(), "{case}: {name:?}");
            }
            Ok(()) => {
                let dtype = tensor.dtype();
                assert!([Dtype::F64, Dtype::F16, Dtype::BF16].contains(&dtype), "{case}: {dtype:?}");
            }
            Err(error) => {
                let message = error.to_string();
                assert!(
                    message.contains("type F64, F32, F16 or BF16") || message.contains("finite"),
                    "{case}: {message}"
                );
            }
        }
    }
}
