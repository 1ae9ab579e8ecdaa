//! The same numbers as sentence-transformers and princeton-nlp/SimCSE for what may follow the
//! encoder: mixes of layers, word weights, poolings, dense layers and normalization. Embeddings, loss and the
//! gradient of every parameter are compared with what `tools/generate/pooler_goldens.py` computed
//! in f64.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;
use simcse_model::{DenseActivation, DenseModule, Named, PooledLayers, Pooling, SentenceEncoder, WordWeights};
use simcse_tensor::{BufferPool, Grads};
use simcse_train::{ContrastiveLoss, StepBuffers, TokenizedBatch, accumulate_gradient};

/// Largest absolute errors of embeddings and the loss, relative to the largest value if it is above
/// 1; relative L2 error of all gradients together.
const BOUND: f64 = 1e-5;

/// `golden.json`.
#[derive(Deserialize)]
struct Golden {
    scale: f32,
    whole: usize,
    stride: usize,
    sentences: Vec<Vec<u32>>,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    pooling: String,
    pooled_layers: Option<String>,
    dense: Vec<DenseCase>,
    word_weights: Option<Vec<f32>>,
    #[serde(default)]
    normalize: bool,
    loss: f64,
}

#[derive(Debug, Deserialize)]
struct DenseCase {
    out: usize,
    bias: bool,
    activation: String,
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/poolers")
}

fn values(tensors: &SafeTensors, name: &str) -> Vec<f32> {
    let bytes = tensors.tensor(name).unwrap().data().as_chunks::<4>().0;
    bytes.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// The encoder of a case; its dense layers have the case's weights.
fn encoder(case: &Case, number: usize, tensors: &SafeTensors) -> SentenceEncoder {
    let mut encoder = SentenceEncoder::load(goldens()).unwrap();
    let layers = case.pooled_layers.as_ref().map_or(PooledLayers::Last, |name| PooledLayers::from_name(name).unwrap());
    encoder.directory.layer_mix = layers.mix(encoder.config().num_hidden_layers);
    encoder.directory.pooling = Pooling::from_name(&case.pooling).unwrap();
    encoder.directory.normalize = case.normalize;
    let weights = case.word_weights.clone().map(|weights| WordWeights::new(&encoder.directory.tokenizer, weights));
    encoder.directory.word_weights = weights;
    encoder.word_weights_in_training = true;
    for DenseCase { out, bias, activation } in &case.dense {
        let activation = DenseActivation::from_name(activation).unwrap();
        let mut dense = DenseModule::new(encoder.dimension(), *out, activation);
        dense.bias = *bias;
        encoder.add_dense(dense, 0);
    }
    for tensor in encoder.params.layout().clone().parameters() {
        if tensor.name.starts_with("dense.") {
            let values = values(tensors, &format!("{number}.weights.{}", tensor.name));
            encoder.params.values_mut()[tensor.range()].copy_from_slice(&values);
        }
    }
    encoder
}

/// The largest error, relative to the largest expected value if that is above 1.
fn error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1.0, |largest: f32, value| largest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| f64::from((found - expected).abs()));
    differences.fold(0.0, f64::max) / f64::from(largest)
}

#[test]
fn embeddings_losses_and_gradients_are_those_of_the_references() {
    let golden: Golden = serde_json::from_slice(&std::fs::read(goldens().join("golden.json")).unwrap()).unwrap();
    let bytes = std::fs::read(goldens().join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert!(golden.cases.len() >= 8);
    for (number, case) in golden.cases.iter().enumerate() {
        let encoder = encoder(case, number, &tensors);
        let embeddings = encoder.encode_tokens(&golden.sentences, &mut BufferPool::new());
        let of_embeddings = error(embeddings.as_slice().unwrap(), &values(&tensors, &format!("{number}.embeddings")));

        let (anchors, positives) = golden.sentences.split_at(golden.sentences.len() / 2);
        let examples = anchors.iter().zip(positives).flat_map(|(anchor, positive)| [anchor.clone(), positive.clone()]);
        let batch = TokenizedBatch::new(2, examples.collect());
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let objective = ContrastiveLoss::simcse(golden.scale);
        let loss = accumulate_gradient(&encoder, &batch, None, &objective, &mut StepBuffers::default(), &mut grads);
        let of_loss = (f64::from(loss) - case.loss).abs();

        let mut errors = 0.0;
        let mut squares = 0.0;
        for tensor in grads.layout().parameters() {
            let gradient = &grads.values()[tensor.range()];
            let stride = if gradient.len() <= golden.whole { 1 } else { golden.stride };
            let expected = values(&tensors, &format!("{number}.gradient.{}", tensor.name));
            assert_eq!(gradient.iter().step_by(stride).count(), expected.len(), "{}", tensor.name);
            for (&found, &expected) in gradient.iter().step_by(stride).zip(&expected) {
                errors += f64::from(found - expected).powi(2);
                squares += f64::from(expected).powi(2);
            }
        }
        let of_gradients = (errors / squares).sqrt();
        println!("{case:?}: embeddings {of_embeddings:.1e}, loss {of_loss:.1e}, gradients {of_gradients:.1e}");
        for (what, error) in [("embeddings", of_embeddings), ("loss", of_loss), ("gradients", of_gradients)] {
            assert!(error <= BOUND, "{case:?}: {what} are off by {error:e}");
        }
    }
}

/// In training alone, the layer of SimCSE's authors is the dense layer that is otherwise part of the
/// model, with the same initial weights; without it, embeddings are those of the model.
#[test]
fn a_layer_for_training_alone_is_one_that_only_training_computes() {
    let golden: Golden = serde_json::from_slice(&std::fs::read(goldens().join("golden.json")).unwrap()).unwrap();
    let load = || SentenceEncoder::load(goldens()).unwrap();
    let plain = load();
    let mut always = load();
    always.add_dense(DenseModule::new(plain.dimension(), plain.dimension(), DenseActivation::Tanh), 7);
    let mut only_train = load();
    only_train.add_training_mlp(7);
    assert_eq!(only_train.params.values(), always.params.values());

    let encode = |encoder: &SentenceEncoder| encoder.encode_tokens(&golden.sentences, &mut BufferPool::new());
    assert_eq!(encode(&only_train), encode(&plain));
    assert_ne!(encode(&always), encode(&plain));
    let gradient = |encoder: &SentenceEncoder| {
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let batch = TokenizedBatch::new(2, golden.sentences.clone());
        let objective = ContrastiveLoss::simcse(golden.scale);
        accumulate_gradient(encoder, &batch, None, &objective, &mut StepBuffers::default(), &mut grads);
        grads.values().to_vec()
    };
    assert_eq!(gradient(&only_train), gradient(&always));

    only_train.remove_training_mlp();
    assert_eq!(only_train.params.values(), plain.params.values());
    assert_eq!(only_train.params.layout(), plain.params.layout());
}
