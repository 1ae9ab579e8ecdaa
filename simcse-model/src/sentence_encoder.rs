//! A sentence encoder: tokenizer, encoder, pooling, and the directory that they came from.
//!
//! This file puts the rooms together; `encode.rs` encodes texts with them. It must not know losses,
//! optimizers or runs.

use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::rngs::StdRng;
use ndarray_rand::rand_distr::Normal;
use simcse_tensor::{BufferPool, Isa, Layout, Parameter, Params, Precision, Tape, Var};

use crate::directory::ModelDirectory;
use crate::directory::config::ModelConfig;
use crate::directory::dense::{BIAS, DenseModule, WEIGHT};
use crate::directory::encoder_tensors::EncoderTensors;
use crate::directory::weights::{CarriedTensor, WeightsFile, write_safetensors};
use crate::encoder::Encoder;
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::DropoutPlan;
use crate::error::Result;
use crate::hub::resolve::resolve;
use crate::io::text::{excerpt, printable};
use crate::network::{Dense, Network, Pass};

/// A model that turns sentences into embeddings. sentence-transformers: `SentenceTransformer`.
///
/// ```no_run
/// use simcse_model::SentenceEncoder;
///
/// let encoder = SentenceEncoder::load("output/my-model")?;
/// let embeddings = encoder.encode(&["the cat sleeps", "a dog barks"])?;
/// println!("{:?}", embeddings.dim());
/// # Ok::<(), simcse_model::Error>(())
/// ```
///
/// A small model of random weights, saved and loaded again:
///
/// ```
/// use simcse_model::{Architecture, ModelConfig, ModelDirectory};
/// use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
///
/// let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sleeps", "barks"];
/// let config = ModelConfig {
///     vocab_size: words.len(),
///     hidden_size: 8,
///     num_hidden_layers: 1,
///     num_attention_heads: 2,
///     intermediate_size: 16,
///     max_position_embeddings: 16,
///     ..ModelConfig::defaults(Architecture::Bert)
/// };
/// let tokenizer = Tokenizer::word_piece(&words, true)?;
/// let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16)?;
/// let encoder = SentenceEncoder::random(directory, 42);
///
/// let dir = tempfile::tempdir()?;
/// encoder.save(dir.path())?;
/// let again = SentenceEncoder::load(dir.path())?;
/// let sentences = ["the cat sleeps", "the cat barks"];
/// assert_eq!(encoder.encode(&sentences)?, again.encode(&sentences)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SentenceEncoder {
    /// Everything except the weights. Its pooling, maximum length, and dropout rates may be
    /// changed.
    pub directory: ModelDirectory,
    /// The parameters' values.
    pub params: Params,
    /// What the operands of matrix products with weights are rounded to, in training and encoding;
    /// f32 by default.
    pub precision: Precision,
    network: Network,
    carried: Vec<CarriedTensor>,
    left_out: Vec<String>,
}

impl SentenceEncoder {
    /// Loads a model of sentence-transformers or plain Hugging Face: a directory, or else a name on
    /// the hub such as `distilroberta-base`, looked up as in [`hub`](crate::hub) (with the cargo
    /// feature `hub`; without it, in the cache alone).
    ///
    /// To show progress, call [`hub::resolve`](crate::hub::resolve()) and then
    /// [`load_directory`](Self::load_directory).
    ///
    /// # Errors
    /// [`Error::Hub`](crate::Error::Hub) for a name that cannot be resolved; those of
    /// [`load_directory`](Self::load_directory).
    pub fn load(model: impl AsRef<Path>) -> Result<Self> {
        Self::load_directory(&resolve(model, &mut |_| {})?)
    }

    /// Loads a model directory of sentence-transformers or plain Hugging Face. Afterwards,
    /// [`warnings`](Self::warnings) lists anything in it that was ignored.
    ///
    /// # Errors
    /// Whatever is missing or malformed, and whatever the reference would compute differently: see
    /// [`Error`](crate::Error).
    pub fn load_directory(dir: &Path) -> Result<Self> {
        Isa::allowed()?;
        let directory = ModelDirectory::read(dir)?;
        let config = &directory.config;
        // The files are checked before memory is allocated for what the configurations claim.
        let (_, needed) = Encoder::new(config.clone(), false);
        let mut weights = EncoderTensors::find(directory.weights()?, needed.parameters())?;
        let dense = directory.dense().iter().map(DenseModule::weights).collect::<Result<Vec<_>>>()?;
        let (_, with_pooler) = Encoder::new(config.clone(), true);
        let has_pooler = with_pooler.parameters().iter().all(|tensor| weights.has(&tensor.name, &tensor.shape));
        let (network, layout) = Network::new(&directory, has_pooler, false);

        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        for tensor in &layout.parameters()[..network.encoder_tensors] {
            weights.take(&tensor.name, &tensor.shape, &mut params.values_mut()[tensor.range()])?;
        }
        let rest = weights.finish()?;
        for (layer, weights) in network.dense.iter().zip(dense) {
            take_dense(weights, *layer, &mut params)?;
        }
        Ok(Self {
            directory,
            params,
            precision: Precision::F32,
            network,
            carried: rest.carried,
            left_out: rest.left_out,
        })
    }

    /// A model with random weights, drawn as transformers does: matrices are from a normal
    /// distribution with standard deviation `initializer_range`; biases and the padding token's
    /// embedding are 0, LayerNorm's γ is 1.
    pub fn random(directory: ModelDirectory, seed: u64) -> Self {
        let (network, layout) = Network::new(&directory, false, false);
        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        initialize(&directory.config, layout.parameters(), seed, &mut params);
        Self { directory, params, precision: Precision::F32, network, carried: Vec::new(), left_out: Vec::new() }
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
        self.rebuild(false, seed);
    }

    /// Adds the layer that the authors of SimCSE leave out after training: `tanh(x·Wᵀ + b)` on the
    /// embedding, of the same width, with random weights as in [`random`](Self::random).
    /// [`forward_in_training`](Self::forward_in_training) computes it, nothing else does; it is not
    /// part of the model that is written.
    pub fn add_training_mlp(&mut self, seed: u64) {
        self.rebuild(true, seed);
    }

    /// Takes back [`add_training_mlp`](Self::add_training_mlp).
    pub fn remove_training_mlp(&mut self) {
        self.rebuild(false, 0);
    }

    /// Whether there is a layer for training alone.
    pub fn has_training_mlp(&self) -> bool {
        self.network.training_mlp.is_some()
    }

    /// Gives the parameters the layout that the network now has: those that remain keep their
    /// values, new ones are random. Both kinds are at the end, so nothing moves.
    fn rebuild(&mut self, training_mlp: bool, seed: u64) {
        let encoder_tensors = &self.params.layout().parameters()[..self.network.encoder_tensors];
        let has_pooler = encoder_tensors.iter().any(|tensor| !tensor.trainable);
        let (network, layout) = Network::new(&self.directory, has_pooler, training_mlp);
        let old = self.params.layout().clone();
        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        let kept = old.len().min(layout.len());
        params.values_mut()[..kept].copy_from_slice(&self.params.values()[..kept]);
        let added = old.parameters().len().min(layout.parameters().len());
        initialize(&self.directory.config, &layout.parameters()[added..], seed, &mut params);
        self.network = network;
        self.params = params;
    }

    /// The names of the tensors in the weights file that the encoder has no use for, such as the
    /// head of a training objective. Heads of transformers' own classes (`cls.`, `lm_head.`, …) are
    /// not listed. [`save`](Self::save) writes the encoder alone, so a saved model leaves nothing
    /// out.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Warnings about the model as it was loaded, one line each. Foreign text in them is escaped
    /// for a terminal.
    pub fn warnings(&self) -> Vec<String> {
        let length = self.directory.length_warning().map(str::to_owned);
        length.into_iter().chain(self.left_out_warning()).collect()
    }

    fn left_out_warning(&self) -> Option<String> {
        const NAMES: usize = 4;
        const NAME: usize = 100;
        let names: Vec<_> = self.left_out.iter().take(NAMES).map(|name| excerpt(name, NAME)).collect();
        let mut names = names.join(", ");
        let (count, plural) = match self.left_out.len() {
            0 => return None,
            1 => (1, ""),
            count => (count, "s"),
        };
        if count > NAMES {
            names += ", …";
        }
        let file = ModelDirectory::weights_path(&self.directory.transformer);
        let file = printable(file.display());
        Some(format!("{file}: left out {count} tensor{plural} that the encoder does not use: {names}"))
    }

    /// The shape of the encoder.
    pub fn config(&self) -> &ModelConfig {
        &self.directory.config
    }

    /// The number of values in an embedding: `C`, unless a dense layer follows pooling.
    pub fn dimension(&self) -> usize {
        self.directory.dimension()
    }

    /// An empty tape for a batch.
    pub fn tape<'a>(&'a self, pool: &'a mut BufferPool, batch: &TokenBatch, recording: bool) -> Tape<'a> {
        Tape::new(&self.params, pool, batch.rows().clone(), recording).with_precision(self.precision)
    }

    /// The last hidden states of a batch, (N, C).
    pub fn hidden_states(&self, tape: &mut Tape, batch: &TokenBatch, dropout: Option<&DropoutPlan>) -> Var {
        self.network.encoder.forward(tape, batch, dropout)
    }

    /// The embeddings of a batch, one row per sentence, (S, C).
    pub fn forward(&self, tape: &mut Tape, batch: &TokenBatch, dropout: Option<&DropoutPlan>) -> Var {
        self.forward_after(0, tape, batch, dropout)
    }

    /// [`forward`](Self::forward), but pooling excludes the first `excluded` tokens of each
    /// sentence.
    pub fn forward_after(
        &self,
        excluded: usize,
        tape: &mut Tape,
        batch: &TokenBatch,
        dropout: Option<&DropoutPlan>,
    ) -> Var {
        let pass = Pass { excluded, dropout, in_training: false };
        self.network.forward(&self.directory, tape, batch, pass)
    }

    /// [`forward_after`](Self::forward_after) as a training step computes it: with the layer that
    /// only training uses, if there is one.
    pub fn forward_in_training(
        &self,
        excluded: usize,
        tape: &mut Tape,
        batch: &TokenBatch,
        dropout: Option<&DropoutPlan>,
    ) -> Var {
        let pass = Pass { excluded, dropout, in_training: true };
        self.network.forward(&self.directory, tape, batch, pass)
    }

    /// A close upper bound on the bytes that [`save`](Self::save) writes.
    pub fn size_on_disk(&self) -> u64 {
        let carried: usize = self.carried.iter().map(CarriedTensor::size).sum();
        let weights = size_of_val(self.params.values()) + carried + 256 * self.params.layout().parameters().len();
        weights as u64 + self.directory.size_on_disk()
    }

    /// Writes a directory that sentence-transformers loads like its own.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.directory.write(dir)?;
        let encoder = &self.layout().parameters()[..self.network.encoder_tensors];
        write_safetensors(&ModelDirectory::weights_path(dir), self.named(encoder), &self.carried)?;
        for (layer, path) in self.network.dense.iter().zip(self.directory.dense_weights_paths(dir)) {
            let bias = layer.bias.map(|bias| (BIAS, vec![bias.rows()], self.params.slice(bias)));
            let weight = (WEIGHT, vec![layer.weight.rows(), layer.weight.cols()], self.params.slice(layer.weight));
            let tensors: Vec<_> = [weight].into_iter().chain(bias).collect();
            write_safetensors(&path, tensors.iter().map(|(name, shape, values)| (*name, &shape[..], *values)), &[])?;
        }
        Ok(())
    }

    /// Reads the weights of the same model from a directory that [`save`](Self::save) wrote. The
    /// layer for training alone keeps its own.
    ///
    /// # Errors
    /// As [`WeightsFile::take`].
    pub fn load_weights(&mut self, dir: &Path) -> Result<()> {
        let mut weights = WeightsFile::read(&ModelDirectory::weights_path(dir))?;
        let layout = self.layout().clone();
        for tensor in &layout.parameters()[..self.network.encoder_tensors] {
            weights.take(&tensor.name, &tensor.shape, &mut self.params.values_mut()[tensor.range()])?;
        }
        for (layer, path) in self.network.dense.iter().zip(self.directory.dense_weights_paths(dir)) {
            take_dense(WeightsFile::read(&path)?, *layer, &mut self.params)?;
        }
        Ok(())
    }

    /// Writes the layer for training alone as a safetensors file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save_training_mlp(&self, path: &Path) -> Result<()> {
        write_safetensors(path, self.named(self.training_mlp_tensors()), &[])
    }

    /// Reads the layer for training alone back.
    ///
    /// # Errors
    /// As [`WeightsFile`], if the file does not hold this layer.
    pub fn load_training_mlp(&mut self, path: &Path) -> Result<()> {
        let mut weights = WeightsFile::read(path)?;
        for tensor in self.training_mlp_tensors().to_vec() {
            weights.take(&tensor.name, &tensor.shape, &mut self.params.values_mut()[tensor.range()])?;
        }
        weights.finish()
    }

    /// The tensors of the layer for training alone, which are the last ones.
    fn training_mlp_tensors(&self) -> &[Parameter] {
        let tensors = self.layout().parameters();
        let of_layer = self.network.training_mlp.map_or(0, |mlp| 1 + usize::from(mlp.bias.is_some()));
        &tensors[tensors.len() - of_layer..]
    }

    fn layout(&self) -> &Arc<Layout> {
        self.params.layout()
    }

    /// Tensors with their names, shapes and values.
    fn named<'a>(&'a self, tensors: &'a [Parameter]) -> impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])> {
        tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice(), &self.params.values()[tensor.range()]))
    }
}

/// Reads the weights of a dense layer, which must be all that the file holds.
fn take_dense(mut weights: WeightsFile, layer: Dense, params: &mut Params) -> Result<()> {
    let shape = [layer.weight.rows(), layer.weight.cols()];
    weights.take(WEIGHT, &shape, params.slice_mut(layer.weight))?;
    if let Some(bias) = layer.bias {
        weights.take(BIAS, &[bias.rows()], params.slice_mut(bias))?;
    }
    weights.finish()
}

/// Draws the values of tensors as transformers does.
fn initialize(config: &ModelConfig, tensors: &[Parameter], seed: u64, params: &mut Params) {
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
        if tensor.name == "embeddings.word_embeddings.weight" {
            values[config.pad_token_id * config.hidden_size..][..config.hidden_size].fill(0.0);
        }
    }
}
