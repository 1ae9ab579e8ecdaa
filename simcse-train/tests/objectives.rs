//! The same losses and gradients as sentence-transformers, for every option of the objectives, and
//! as PyTorch computes them from the equations of published variants:
//! `tools/generate/objective_goldens.py` computed them in f64 from random embeddings.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use safetensors::SafeTensors;
use serde::Deserialize;
use simcse_tensor::rng::Philox;
use simcse_tensor::{BufferPool, Named, Precision};
use simcse_train::{ContrastiveLoss, Directions, Hardness, Matryoshka, Noise, Objective, Partition};

/// Largest absolute errors of the loss and of the gradient, relative to the largest gradient.
const BOUND: f64 = 1e-5;

/// A case of `objectives.json`; options that are missing have their defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default = "two")]
    columns: usize,
    #[serde(default = "twenty")]
    scale: f32,
    #[serde(default)]
    directions: Vec<String>,
    partition: Option<String>,
    hardness: Option<String>,
    #[serde(default)]
    hardness_strength: f32,
    #[serde(default)]
    hard_negative_weight: f32,
    matryoshka: Option<Vec<(usize, f32)>>,
    focal_m: Option<f32>,
    #[serde(default)]
    off_dropout: bool,
    #[serde(default = "one")]
    pos_ratio: f32,
    noise: Option<Drawn>,
    loss: f64,
}

/// The options of GS-InfoNCE's noise.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drawn {
    count: usize,
    weight: f32,
    seed: u64,
}

fn one() -> f32 {
    1.0
}

fn two() -> usize {
    2
}

fn twenty() -> f32 {
    20.0
}

impl Case {
    fn objective(&self) -> Box<dyn Objective> {
        let has = |name: &str| self.directions.iter().any(|direction| direction == name);
        let loss = ContrastiveLoss {
            columns: self.columns,
            scale: self.scale,
            directions: Directions {
                query_to_query: has("query_to_query"),
                doc_to_query: has("doc_to_query"),
                doc_to_doc: has("doc_to_doc"),
            },
            partition: self.partition.as_ref().map_or(Partition::Joint, |name| Partition::from_name(name).unwrap()),
            hardness: self.hardness.as_ref().map_or(Hardness::None, |name| Hardness::from_name(name).unwrap()),
            hardness_strength: self.hardness_strength,
            hard_negative_weight: self.hard_negative_weight,
            focal_m: self.focal_m,
            off_dropout: self.off_dropout,
            pos_ratio: self.pos_ratio,
            noise: self.noise.map(|Drawn { count, weight, seed }| {
                let philox = Philox::new(seed);
                Noise { count, weight, philox, batch: 0 }
            }),
        };
        match self.matryoshka.clone() {
            Some(dimensions) => Box::new(Matryoshka { loss, dimensions }),
            None => Box::new(loss),
        }
    }
}

/// A tensor of shape (columns, examples, width) as rows, column by column.
fn rows(tensors: &SafeTensors, name: &str) -> Array2<f32> {
    let tensor = tensors.tensor(name).unwrap();
    let values = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    let [columns, examples, width] = tensor.shape().try_into().unwrap();
    Array2::from_shape_vec((columns * examples, width), values.collect()).unwrap()
}

fn largest(values: ArrayView2<f32>) -> f64 {
    values.iter().fold(0.0, |largest: f64, &value| largest.max(f64::from(value.abs())))
}

#[test]
fn losses_and_gradients_are_those_of_sentence_transformers_and_of_the_papers() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let cases: Vec<Case> =
        serde_json::from_str(&std::fs::read_to_string(goldens.join("objectives.json")).unwrap()).unwrap();
    let bytes = std::fs::read(goldens.join("objectives.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert!(cases.len() > 20);
    for (number, case) in cases.iter().enumerate() {
        let embeddings = rows(&tensors, &format!("embeddings.{number}"));
        let expected = rows(&tensors, &format!("gradient.{number}"));
        // The number of the batch, which decides its noise.
        let batch = number as u32;
        let examples = 0..embeddings.nrows() / case.columns;
        let (loss, gradient) =
            case.objective().loss_and_gradient(embeddings, examples, batch, Precision::F32, &mut BufferPool::new());
        let error = (f64::from(loss) - case.loss).abs();
        assert!(error <= BOUND * case.loss.max(1.0), "{case:?}: found {loss}");
        let error = largest((&gradient - &expected).view());
        assert!(error <= BOUND * largest(expected.view()).max(1.0), "{case:?}: the gradient is off by {error}");
    }
}
