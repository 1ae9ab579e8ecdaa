//! Models with random weights.

use std::sync::Arc;

use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::rngs::StdRng;
use ndarray_rand::rand_distr::Normal;
use simcse_tensor::{Parameter, Params};

use crate::directory::ModelDirectory;
use crate::encoder::Encoder;
use crate::sentence_encoder::SentenceEncoder;

impl SentenceEncoder {
    /// A model with random weights, drawn as transformers does: matrices are from a normal
    /// distribution with standard deviation `initializer_range`; biases and the padding token's
    /// embedding are 0, LayerNorm's γ is 1.
    pub fn random(directory: ModelDirectory, seed: u64) -> Self {
        let config = &directory.config;
        let (encoder, layout) = Encoder::new(config.clone(), false);
        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        let mut rng = StdRng::seed_from_u64(seed);
        let normal = Normal::new(0.0, config.initializer_range).expect("a checked configuration");
        for tensor in layout.parameters() {
            let values = &mut params.values_mut()[tensor.range()];
            draw(tensor, normal, &mut rng, values);
            if tensor.name == "embeddings.word_embeddings.weight" {
                values[config.pad_token_id * config.hidden_size..][..config.hidden_size].fill(0.0);
            }
        }
        Self::of_parts(directory, params, encoder)
    }
}

/// Draws a parameter's initial values.
pub(crate) fn draw(tensor: &Parameter, normal: Normal<f32>, rng: &mut StdRng, values: &mut [f32]) {
    match tensor.shape[..] {
        [rows, cols] => {
            let drawn = Array2::random_using((rows, cols), normal, rng);
            values.iter_mut().zip(drawn).for_each(|(value, drawn)| *value = drawn);
        }
        _ => values.fill(if tensor.name.ends_with(".weight") { 1.0 } else { 0.0 }),
    }
}
