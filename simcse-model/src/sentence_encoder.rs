//! A sentence encoder: tokenizer, encoder, pooling, and the directory that they came from.
//!
//! This file puts the rooms together; `encode.rs` encodes texts with them. It must not know losses,
//! optimizers or runs.

use std::path::Path;
use std::sync::Arc;

use ndarray::ArrayView2;
use simcse_tensor::{BufferPool, Isa, Params, Precision, Tape, Var};

use crate::directory::ModelDirectory;
use crate::directory::config::ModelConfig;
use crate::directory::dense::{DenseModule, take_weights};
use crate::directory::encoder_tensors::{EncoderTensors, Rest};
use crate::encoder::Encoder;
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::DropoutPlan;
use crate::error::Result;
use crate::hub::resolve::resolve;
use crate::network::{Network, Parts, Pass};

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
    /// Whether word weights, if the directory has them, count in training, too, as they do in
    /// sentence-transformers; false by default.
    pub word_weights_in_training: bool,
    pub(crate) network: Network,
    /// What was read that the encoder does not need.
    pub(crate) rest: Rest,
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
        let (network, layout) = Network::new(&directory, Parts { pooler: has_pooler, ..Parts::default() });

        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        for tensor in &layout.parameters()[..network.encoder_tensors] {
            weights.take(&tensor.name, &tensor.shape, &mut params.values_mut()[tensor.range()])?;
        }
        let rest = weights.finish()?;
        for (layer, weights) in network.dense.iter().zip(dense) {
            take_weights(weights, layer.weight, layer.bias, &mut params)?;
        }
        Ok(Self { rest, ..Self::of_parts(directory, params, network) })
    }

    /// A model of these parts, with nothing to write back.
    pub(crate) fn of_parts(directory: ModelDirectory, params: Params, network: Network) -> Self {
        Self {
            directory,
            params,
            precision: Precision::F32,
            word_weights_in_training: false,
            network,
            rest: Rest::default(),
        }
    }

    /// The names of the tensors in the weights file that the encoder has no use for, such as the
    /// head of a training objective. Heads of transformers' own classes (`cls.`, `lm_head.`, …) are
    /// not listed. [`save`](Self::save) writes the encoder alone, so a saved model leaves nothing
    /// out.
    pub fn left_out(&self) -> &[String] {
        &self.rest.left_out
    }

    /// Warnings about the model as it was loaded, one line each. Foreign text in them is escaped
    /// for a terminal.
    pub fn warnings(&self) -> Vec<String> {
        let length = self.directory.length_warning().map(str::to_owned);
        length.into_iter().chain(self.rest.warning()).collect()
    }

    /// The shape of the encoder.
    pub fn config(&self) -> &ModelConfig {
        &self.directory.config
    }

    /// The input embeddings of the vocabulary's tokens, (V, E).
    pub fn word_embeddings(&self) -> ArrayView2<'_, f32> {
        self.params.matrix(self.network.encoder.word_embeddings)
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
        let pass = Pass { excluded, dropout, in_training: false, word_weights: true };
        self.network.forward(&self.directory, tape, batch, pass)
    }

    /// [`forward_after`](Self::forward_after) as a training step computes it: with the layer that
    /// only training uses, if there is one, and without word weights, unless
    /// [`word_weights_in_training`](Self::word_weights_in_training) says otherwise.
    pub fn forward_in_training(
        &self,
        excluded: usize,
        tape: &mut Tape,
        batch: &TokenBatch,
        dropout: Option<&DropoutPlan>,
    ) -> Var {
        let pass = Pass { excluded, dropout, in_training: true, word_weights: self.word_weights_in_training };
        self.network.forward(&self.directory, tape, batch, pass)
    }
}
