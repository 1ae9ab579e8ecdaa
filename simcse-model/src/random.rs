//! Models, and parts of models, with random weights.

use std::sync::Arc;

use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::rngs::StdRng;
use ndarray_rand::rand_distr::Normal;
use simcse_tensor::{Parameter, Params};

use crate::directory::ModelDirectory;
use crate::directory::config::ModelConfig;
use crate::directory::dense::DenseModule;
use crate::network::{Network, Parts};
use crate::sentence_encoder::SentenceEncoder;

impl SentenceEncoder {
    /// A model with random weights, drawn as transformers does: matrices are from a normal
    /// distribution with standard deviation `initializer_range`; biases and the padding token's
    /// embedding are 0, LayerNorm's γ is 1.
    pub fn random(directory: ModelDirectory, seed: u64) -> Self {
        let (network, layout) = Network::new(&directory, Parts::default());
        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        initialize(&directory.config, layout.parameters(), seed, &mut params);
        Self::of_parts(directory, params, network)
    }

    /// Appends a dense layer to those that follow pooling, with random weights as in
    /// [`random`](Self::random): the model is trained and written with it.
    ///
    /// # Panics
    /// If the layer is not for the model's embeddings, or there is a layer for training alone.
    pub fn add_dense(&mut self, dense: DenseModule, seed: u64) {
        assert_eq!(dense.in_features, self.dimension(), "a dense layer for other embeddings");
        assert!(self.network.training_mlp.is_none(), "a dense layer after that of training alone");
        self.directory.push_dense(dense);
        self.rebuild(self.parts(), seed);
    }

    /// Adds the layer that the authors of SimCSE leave out after training: `tanh(x·Wᵀ + b)` on the
    /// embedding, of the same width, with random weights as in [`random`](Self::random).
    /// [`forward_in_training`](Self::forward_in_training) computes it, nothing else does; it is not
    /// part of the model that is written.
    pub fn add_training_mlp(&mut self, seed: u64) {
        self.rebuild(Parts { training_mlp: true, ..self.parts() }, seed);
    }

    /// Takes back [`add_training_mlp`](Self::add_training_mlp).
    pub fn remove_training_mlp(&mut self) {
        self.rebuild(Parts { training_mlp: false, ..self.parts() }, 0);
    }

    /// Whether there is a layer for training alone.
    pub fn has_training_mlp(&self) -> bool {
        self.network.training_mlp.is_some()
    }

    /// The parts that the network has.
    pub(crate) fn parts(&self) -> Parts {
        let encoder_tensors = &self.params.layout().parameters()[..self.network.encoder_tensors];
        Parts {
            pooler: encoder_tensors.iter().any(|tensor| !tensor.trainable),
            mlm_head: self.network.mlm_head.is_some(),
            training_mlp: self.network.training_mlp.is_some(),
        }
    }

    /// Gives the network these parts: parameters that remain keep their values, new ones are
    /// random.
    pub(crate) fn rebuild(&mut self, parts: Parts, seed: u64) {
        let (network, layout) = Network::new(&self.directory, parts);
        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        let old = self.params.layout().parameters();
        let (kept, added): (Vec<_>, Vec<_>) =
            layout.parameters().iter().partition(|tensor| old.iter().any(|old| old.name == tensor.name));
        for tensor in kept {
            let before = old.iter().find(|old| old.name == tensor.name).expect("it was there");
            params.values_mut()[tensor.range()].copy_from_slice(&self.params.values()[before.range()]);
        }
        initialize(&self.directory.config, added, seed, &mut params);
        self.network = network;
        self.params = params;
    }
}

/// Draws the values of tensors as transformers does.
fn initialize<'a>(
    config: &ModelConfig,
    tensors: impl IntoIterator<Item = &'a Parameter>,
    seed: u64,
    params: &mut Params,
) {
    let word_embeddings = format!("{}.weight", config.architecture.family().parameters.word_embeddings);
    let mut rng = StdRng::seed_from_u64(seed);
    let normal = Normal::new(0.0, config.initializer_range).expect("a checked configuration");
    for tensor in tensors {
        let values = &mut params.values_mut()[tensor.range()];
        match tensor.shape[..] {
            [rows, cols] => {
                let drawn = Array2::random_using((rows, cols), normal, &mut rng);
                values.iter_mut().zip(drawn).for_each(|(value, drawn)| *value = drawn);
            }
            _ => values.fill(if tensor.name.ends_with(".weight") { 1.0 } else { 0.0 }),
        }
        if tensor.name == word_embeddings {
            let width = tensor.shape[1];
            values[config.pad_token_id * width..][..width].fill(0.0);
        }
    }
}
