//! Masked language modeling: the same numbers as transformers, which
//! `tools/generate/masked_lm_goldens.py` computed in f64, and the same bits for every size of piece.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;
use simcse_model::{DropoutPlan, SentenceEncoder, WeightsFile, write_safetensors};
use simcse_tensor::Grads;
use simcse_train::{
    ContrastiveLoss, Masked, MaskedLm, MaskedTexts, Masking, Objectives, StepBuffers, TokenizedBatch,
    accumulate_masked_gradient, mean_gradient,
};

/// Largest error of the loss, and of a tensor's gradient relative to its length.
const BOUND: f64 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    whole: usize,
    stride: usize,
    models: std::collections::BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    texts: Vec<Text>,
    loss: f64,
    accuracy: f64,
}

#[derive(Deserialize)]
struct Text {
    ids: Vec<u32>,
    positions: Vec<u32>,
    labels: Vec<u32>,
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// A small model with the head that the golden file holds.
fn encoder(name: &str, expected: &SafeTensors) -> SentenceEncoder {
    let dir = tempfile::tempdir().unwrap();
    for entry in goldens().join(name).read_dir().unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
    }
    let prefix = format!("{name}.head.");
    let head: Vec<_> = expected
        .iter()
        .filter_map(|(key, tensor)| {
            let shape = tensor.shape().to_vec();
            Some((key.strip_prefix(&prefix)?.to_owned(), shape, floats(tensor.data())))
        })
        .collect();
    let tensors = head.iter().map(|(key, shape, values)| (key.as_str(), shape.as_slice(), values.as_slice()));
    write_safetensors(&dir.path().join("mlm_head.safetensors"), tensors, &[]).unwrap();
    let mut encoder = SentenceEncoder::load_directory(dir.path()).unwrap();
    encoder.add_mlm_head(1).unwrap();
    encoder
}

#[test]
fn loss_and_gradients_are_those_of_transformers() {
    let golden: Golden = serde_json::from_slice(&std::fs::read(goldens().join("masked_lm.json")).unwrap()).unwrap();
    let bytes = std::fs::read(goldens().join("masked_lm.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(golden.models.len(), 6);
    for (name, case) in golden.models {
        let encoder = encoder(&name, &expected);
        let count = case.texts.len() as u32;
        let masked = case.texts.into_iter().map(|Text { ids, positions, labels }| Masked { ids, positions, labels });
        let texts = MaskedTexts::new(masked.collect(), (0..count).collect());
        for mini_batch_tokens in [None, Some(512)] {
            let mut grads = Grads::zeros(encoder.params.layout().clone());
            let mut buffers = StepBuffers::new(mini_batch_tokens);
            let found = accumulate_masked_gradient(&encoder, &texts, 1.0, None, &mut buffers, &mut grads);
            assert!((found.loss - case.loss).abs() < BOUND, "{name}: {}, expected {}", found.loss, case.loss);
            assert!((found.accuracy - case.accuracy).abs() < 1e-9, "{name}: {}", found.accuracy);
            for parameter in grads.layout().parameters() {
                let expected = floats(expected.tensor(&format!("{name}.gradient.{}", parameter.name)).unwrap().data());
                let values = &grads.values()[parameter.range()];
                let stride = if values.len() <= golden.whole { 1 } else { golden.stride };
                let pairs = || values.iter().step_by(stride).zip(&expected);
                assert_eq!(pairs().count(), expected.len());
                let error = pairs().map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
                let length = expected.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>().sqrt();
                // The biases of keys have no gradient but rounding errors.
                assert!(error < BOUND * (length + 1e-3), "{name}: {}: {error} of {length}", parameter.name);
            }
        }
    }
}

/// Sentences of 3 to 22 tokens, enough for several pieces.
fn batch() -> TokenizedBatch {
    let sentence = |i: u32| (0..3 + i * 7 % 20).map(|j| 5 + (i * 31 + j * 17) % 90).collect();
    TokenizedBatch::new(1, (0..150).map(sentence).collect())
}

#[test]
fn pieces_of_every_size_give_the_same_bits() {
    ["bert", "electra", "mpnet", "modernbert"].into_iter().for_each(check_pieces);
}

fn check_pieces(model: &str) {
    let mut encoder = SentenceEncoder::load_directory(&goldens().join(model)).unwrap();
    encoder.add_mlm_head(1).unwrap();
    let masking = Masking::new(&encoder.directory.tokenizer, 0.15, false).unwrap();
    let batch = batch();
    let dropout = |_| DropoutPlan { hidden: 0.1, attention: 0.1, seed: 3, step: 5 };
    for contrastive in [false, true] {
        let objectives = Objectives {
            embeddings: contrastive.then(|| Box::new(ContrastiveLoss::simcse(20.0)) as _),
            masked_lm: Some(MaskedLm { masking: masking.clone(), weight: 0.1 }),
        };
        let run = |mini_batch_tokens| {
            let mut grads = Grads::zeros(encoder.params.layout().clone());
            let mut buffers = StepBuffers::new(mini_batch_tokens);
            let found =
                mean_gradient(&encoder, std::slice::from_ref(&batch), dropout, &objectives, &mut buffers, &mut grads);
            (found, grads.values().to_vec())
        };
        let whole = run(None);
        let masked_lm = whole.0.masked_lm.unwrap();
        let tokens: usize = batch.texts().iter().map(Vec::len).sum();
        let share = masked_lm.tokens as f64 / (tokens * if contrastive { 2 } else { 1 }) as f64;
        assert!((share - 0.15).abs() < 0.02, "{share}");
        assert!(contrastive || (f64::from(whole.0.loss) - 0.1 * masked_lm.loss).abs() < 1e-6);
        for mini_batch_tokens in [512, 1024, 1536] {
            assert!(
                run(Some(mini_batch_tokens)) == whole,
                "{model}: pieces of {mini_batch_tokens} tokens give other bits"
            );
        }
    }
}

#[test]
fn a_saved_model_keeps_its_head_where_sentence_transformers_does_not_look() {
    let mut encoder = SentenceEncoder::load_directory(&goldens().join("roberta")).unwrap();
    encoder.add_mlm_head(5).unwrap();
    let dir = tempfile::tempdir().unwrap();
    encoder.save(dir.path()).unwrap();
    let weights = WeightsFile::read(&dir.path().join("model.safetensors")).unwrap();
    assert!(!weights.contains("lm_head.bias"));

    let mut again = SentenceEncoder::load_directory(dir.path()).unwrap();
    assert!(again.left_out().is_empty());
    again.add_mlm_head(6).unwrap();
    assert_eq!(again.params.values(), encoder.params.values());

    // A head of another model is refused.
    let mut file = WeightsFile::read(&dir.path().join("mlm_head.safetensors")).unwrap();
    let mut bias = vec![0.0; encoder.config().vocab_size];
    file.take("lm_head.bias", &[bias.len()], &mut bias).unwrap();
    write_safetensors(&dir.path().join("mlm_head.safetensors"), [("lm_head.bias", &[bias.len()][..], &bias[..])], &[])
        .unwrap();
    let error = SentenceEncoder::load_directory(dir.path()).unwrap().add_mlm_head(6).unwrap_err().to_string();
    assert!(error.contains("lm_head.dense.weight"), "{error}");
}

/// `BertForMaskedLM.save_pretrained` writes one file: the encoder below `bert.`, and the head next to
/// it.
#[test]
fn the_head_of_a_masked_language_model_is_found_in_its_weights() {
    let dir = tempfile::tempdir().unwrap();
    let mut encoder = SentenceEncoder::load_directory(&goldens().join("bert")).unwrap();
    encoder.add_mlm_head(9).unwrap();
    encoder.save(dir.path()).unwrap();
    std::fs::remove_file(dir.path().join("mlm_head.safetensors")).unwrap();
    let parameters = encoder.params.layout().parameters().iter();
    let tensors = parameters.map(|tensor| {
        let prefix = if tensor.name.starts_with("cls.") { "" } else { "bert." };
        let values = &encoder.params.values()[tensor.range()];
        (format!("{prefix}{}", tensor.name), tensor.shape.as_slice(), values)
    });
    write_safetensors(&dir.path().join("model.safetensors"), tensors, &[]).unwrap();

    let mut again = SentenceEncoder::load_directory(dir.path()).unwrap();
    again.add_mlm_head(1).unwrap();
    assert_eq!(again.params.values(), encoder.params.values());

    let config = dir.path().join("config.json");
    let tied = std::fs::read_to_string(&config).unwrap();
    let untied = tied.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    assert_ne!(untied, tied);
    std::fs::write(&config, untied).unwrap();
    let error = SentenceEncoder::load_directory(dir.path()).unwrap().add_mlm_head(1).unwrap_err().to_string();
    assert!(error.contains("tie_word_embeddings"), "{error}");
}
