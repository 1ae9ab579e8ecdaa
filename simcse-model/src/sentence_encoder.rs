//! A sentence encoder: tokenizer, encoder, pooling, and the directory that they came from.
//!
//! This file puts the rooms together. It must not know losses, optimizers or runs.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array2, Axis, s};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::rngs::StdRng;
use ndarray_rand::rand_distr::Normal;
use simcse_tensor::{BufferPool, Isa, Params, Precision, Tape, Var};

use crate::directory::ModelDirectory;
use crate::directory::config::ModelConfig;
use crate::directory::encoder_tensors::{EncoderTensors, Rest};
use crate::directory::prompts::Prompt;
use crate::directory::weights::write::{CarriedTensor, write_safetensors};
use crate::encoder::Encoder;
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::DropoutPlan;
use crate::error::Result;
use crate::hub::resolve::resolve;
use crate::tokenizer::encode::Tokens;

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
    encoder: Encoder,
    /// What was read that the encoder does not need.
    rest: Rest,
}

impl SentenceEncoder {
    /// [`encode`](Self::encode) encodes at most this many tokens at a time, unless one sentence is
    /// longer.
    pub const ENCODED_TOKENS: usize = 4096;
    /// [`encode`](Self::encode) tokenizes at most this many sentences at a time.
    pub const ENCODED_SENTENCES: usize = 512;

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
        // The file is checked before memory is allocated for what the configuration claims.
        let (_, needed) = Encoder::new(config.clone(), false);
        let mut weights = EncoderTensors::find(directory.weights()?, needed.parameters())?;
        let (_, with_pooler) = Encoder::new(config.clone(), true);
        let has_pooler = with_pooler.parameters().iter().all(|tensor| weights.has(&tensor.name, &tensor.shape));
        let (encoder, layout) = Encoder::new(config.clone(), has_pooler);

        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        for tensor in layout.parameters() {
            weights.take(&tensor.name, &tensor.shape, &mut params.values_mut()[tensor.range()])?;
        }
        let rest = weights.finish()?;
        Ok(Self { directory, params, precision: Precision::F32, encoder, rest })
    }

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
        Self { directory, params, precision: Precision::F32, encoder, rest: Rest::default() }
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

    /// The number of values in an embedding, `C`.
    pub fn dimension(&self) -> usize {
        self.config().hidden_size
    }

    /// A prompt for this model: one of its own ([`directory.prompts`](crate::Prompts)) or any other
    /// text.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn prompt<'a>(&self, text: &'a str) -> Result<Prompt<'a>> {
        let ModelDirectory { tokenizer, max_seq_length, include_prompt, .. } = &self.directory;
        let excluded = if *include_prompt { 0 } else { tokenizer.prompt_length(text, *max_seq_length)? };
        Ok(Prompt { text, excluded })
    }

    /// The token ids of each sentence, special tokens included, truncated to the model's maximum
    /// length; without any prompt.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn tokenize<S: AsRef<str> + Sync>(&self, sentences: &[S]) -> Result<Tokens> {
        self.tokenize_with_prompt(Prompt::default(), sentences)
    }

    /// [`tokenize`](Self::tokenize) with a prompt in front of each sentence; it counts toward the
    /// length.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn tokenize_with_prompt<S: AsRef<str> + Sync>(&self, prompt: Prompt, sentences: &[S]) -> Result<Tokens> {
        self.directory.tokenizer.encode_prompted(prompt.text, sentences, self.directory.max_seq_length)
    }

    /// An empty tape for a batch.
    pub fn tape<'a>(&'a self, pool: &'a mut BufferPool, batch: &TokenBatch, recording: bool) -> Tape<'a> {
        Tape::new(&self.params, pool, batch.rows().clone(), recording).with_precision(self.precision)
    }

    /// The last hidden states of a batch, (N, C).
    pub fn hidden_states(&self, tape: &mut Tape, batch: &TokenBatch, dropout: Option<&DropoutPlan>) -> Var {
        self.encoder.forward(tape, batch, dropout)
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
        let hidden = self.hidden_states(tape, batch, dropout);
        let pooled = tape.pooling_after(excluded, hidden, self.directory.pooling);
        if self.directory.normalize { tape.normalize(pooled) } else { pooled }
    }

    /// The embeddings of sentences, one row each, (S, C). The model's default prompt, if it has
    /// one, is put in front of them. They are of unit length only if the model has a Normalize
    /// module. The bits of an embedding depend on its sentence alone.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode<S: AsRef<str> + Sync>(&self, sentences: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.default_prompt(), sentences)
    }

    /// [`encode`](Self::encode) with the model's prompt for queries. sentence-transformers:
    /// `encode_query`.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_query<S: AsRef<str> + Sync>(&self, queries: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.query(), queries)
    }

    /// [`encode`](Self::encode) with the model's prompt for documents. sentence-transformers:
    /// `encode_document`.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_document<S: AsRef<str> + Sync>(&self, documents: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.document(), documents)
    }

    /// [`encode`](Self::encode) with `prompt` in front of each sentence instead of the default; an
    /// empty one is none.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_with_prompt<S: AsRef<str> + Sync>(&self, prompt: &str, sentences: &[S]) -> Result<Array2<f32>> {
        let embeddings = self.encode_with_prompt_while(prompt, sentences, |_| true)?;
        Ok(embeddings.expect("nothing stops it"))
    }

    /// [`encode`](Self::encode) that can be stopped: before each
    /// [`ENCODED_SENTENCES`](Self::ENCODED_SENTENCES) sentences, `go_on` gets the number of
    /// sentences done, and the result is `None` if it returns `false`.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_while<S: AsRef<str> + Sync>(
        &self,
        sentences: &[S],
        go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<Array2<f32>>> {
        self.encode_with_prompt_while(self.directory.prompts.default_prompt(), sentences, go_on)
    }

    /// [`encode_while`](Self::encode_while) with `prompt` in front of each sentence.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn encode_with_prompt_while<S: AsRef<str> + Sync>(
        &self,
        prompt: &str,
        sentences: &[S],
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<Array2<f32>>> {
        const PART: usize = SentenceEncoder::ENCODED_SENTENCES;
        let prompt = self.prompt(prompt)?;
        let mut embeddings = Array2::zeros((sentences.len(), self.dimension()));
        let mut pool = BufferPool::with_room(Self::ENCODED_TOKENS.min(sentences.len() * self.directory.max_seq_length));
        for (i, (part, mut rows)) in
            sentences.chunks(PART).zip(embeddings.axis_chunks_iter_mut(Axis(0), PART)).enumerate()
        {
            if !go_on(i * PART) {
                return Ok(None);
            }
            let tokens = self.tokenize_with_prompt(prompt, part)?;
            rows.assign(&self.encode_tokens_after(prompt.excluded, &tokens.ids, &mut pool));
        }
        Ok(Some(embeddings))
    }

    /// The embeddings of sentences given as token ids, special tokens included.
    pub fn encode_tokens(&self, sentences: &[Vec<u32>], pool: &mut BufferPool) -> Array2<f32> {
        self.encode_tokens_after(0, sentences, pool)
    }

    /// [`encode_tokens`](Self::encode_tokens), but pooling excludes the first `excluded` tokens of
    /// each sentence.
    pub fn encode_tokens_after(&self, excluded: usize, sentences: &[Vec<u32>], pool: &mut BufferPool) -> Array2<f32> {
        self.encode_tokens_under(None, excluded, sentences, pool)
    }

    /// [`encode_tokens_after`](Self::encode_tokens_after) under dropout: a plan, and the coordinate
    /// of the first sentence in its masks; those of the others follow.
    pub fn encode_tokens_under(
        &self,
        dropout: Option<(DropoutPlan, u32)>,
        excluded: usize,
        sentences: &[Vec<u32>],
        pool: &mut BufferPool,
    ) -> Array2<f32> {
        let mut embeddings = Array2::zeros((sentences.len(), self.dimension()));
        let (plan, first_stream) = dropout.unzip();
        let mut first = 0;
        while first < sentences.len() {
            let fits = sentences[first..].iter().scan(0, |tokens, ids| {
                *tokens += ids.len();
                (*tokens <= Self::ENCODED_TOKENS).then_some(())
            });
            let next = first + fits.count().max(1);
            let stream = |sentence| first_stream.unwrap_or(0) + sentence as u32;
            let batch = TokenBatch::new(self.config(), &sentences[first..next], (first..next).map(stream).collect());
            let mut tape = self.tape(pool, &batch, false);
            let encoded = self.forward_after(excluded, &mut tape, &batch, plan.as_ref());
            embeddings.slice_mut(s![first..next, ..]).assign(tape.value(encoded));
            first = next;
        }
        embeddings
    }

    /// A close upper bound on the bytes that [`save`](Self::save) writes.
    pub fn size_on_disk(&self) -> u64 {
        let carried: usize = self.rest.carried.iter().map(CarriedTensor::size).sum();
        let weights = size_of_val(self.params.values()) + carried + 256 * self.params.layout().parameters().len();
        weights as u64 + self.directory.size_on_disk()
    }

    /// Writes a directory that sentence-transformers loads like its own.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.directory.write(dir)?;
        let tensors = self
            .params
            .layout()
            .parameters()
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice(), &self.params.values()[tensor.range()]));
        write_safetensors(&ModelDirectory::weights_path(dir), tensors, &self.rest.carried)
    }
}
