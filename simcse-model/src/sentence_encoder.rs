//! A sentence encoder: tokenizer, encoder, pooling, and the directory it came from.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array2, Axis, s};
use ndarray_rand::RandomExt;
use ndarray_rand::rand::SeedableRng;
use ndarray_rand::rand::rngs::StdRng;
use ndarray_rand::rand_distr::Normal;
use simcse_tensor::{BufferPool, Params, Precision, Tape, Var};

use crate::directory::ModelDirectory;
use crate::directory::config::ModelConfig;
use crate::directory::weights::{CarriedTensor, write_safetensors};
use crate::encoder::Encoder;
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::DropoutPlan;
use crate::error::Result;
use crate::tokenizer::encode::Tokens;

/// A text that goes in front of every sentence, as one model uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// The text; empty for none.
    pub text: &'a str,
    /// How many of a sentence's first tokens pooling leaves out: those of the prompt, if the model says so.
    pub excluded: usize,
}

/// A model that turns sentences into embeddings. sentence-transformers: `SentenceTransformer`.
#[derive(Debug)]
pub struct SentenceEncoder {
    /// Everything but the weights. Its pooling, maximum length and dropout rates may be changed.
    pub directory: ModelDirectory,
    /// The parameters' values.
    pub params: Params,
    /// What the operands of the products with weights are rounded to, in training and encoding; f32 unless changed.
    pub precision: Precision,
    encoder: Encoder,
    carried: Vec<CarriedTensor>,
}

impl SentenceEncoder {
    /// The most tokens that [`encode`](Self::encode) encodes at a time, unless one sentence is longer.
    pub const ENCODED_TOKENS: usize = 4096;
    /// The most sentences that it tokenizes at a time.
    pub const ENCODED_SENTENCES: usize = 512;

    /// Loads a model directory of sentence-transformers or plain Hugging Face.
    ///
    /// # Errors
    /// Whatever is missing, malformed, or would be computed otherwise than by the reference: see [`Error`](crate::Error).
    pub fn load(dir: &Path) -> Result<Self> {
        let directory = ModelDirectory::read(dir)?;
        let mut weights = directory.weights()?;
        let (encoder, layout) = Encoder::new(directory.config.clone(), weights.contains("pooler.dense.weight"));
        for tensor in layout.parameters() {
            weights.check(&tensor.name, &tensor.shape)?;
        }
        let layout = Arc::new(layout);
        let mut params = Params::zeros(layout.clone());
        for tensor in layout.parameters() {
            weights.take(&tensor.name, &tensor.shape, &mut params.values_mut()[tensor.range()])?;
        }
        Ok(Self { directory, params, precision: Precision::F32, encoder, carried: weights.finish()? })
    }

    /// A model with random weights, as transformers draws them: matrices from N(0, `initializer_range`²), the padding
    /// token's embedding and biases 0, LayerNorm's γ 1.
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
        Self { directory, params, precision: Precision::F32, encoder, carried: Vec::new() }
    }

    /// The shape of the encoder.
    pub fn config(&self) -> &ModelConfig {
        &self.directory.config
    }

    /// Values in an embedding, `C`.
    pub fn dimension(&self) -> usize {
        self.config().hidden_size
    }

    /// A prompt for this model; `text` may be one of those that the model brings along
    /// ([`directory.prompts`](crate::Prompts)) or any other.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub fn prompt<'a>(&self, text: &'a str) -> Result<Prompt<'a>> {
        let ModelDirectory { tokenizer, max_seq_length, include_prompt, .. } = &self.directory;
        let excluded = if *include_prompt { 0 } else { tokenizer.prompt_length(text, *max_seq_length)? };
        Ok(Prompt { text, excluded })
    }

    /// The token ids of each sentence, special tokens included, cut at the model's maximum length; without any prompt.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub fn tokenize<S: AsRef<str> + Sync>(&self, sentences: &[S]) -> Result<Tokens> {
        self.tokenize_with_prompt(Prompt::default(), sentences)
    }

    /// [`SentenceEncoder::tokenize`] with a prompt in front of each sentence; it counts toward the length.
    ///
    /// # Errors
    /// What the tokenizer reports.
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

    /// The embeddings of a batch, one row a sentence, (S, C).
    pub fn forward(&self, tape: &mut Tape, batch: &TokenBatch, dropout: Option<&DropoutPlan>) -> Var {
        self.forward_after(0, tape, batch, dropout)
    }

    /// [`SentenceEncoder::forward`] for sentences whose first `excluded` tokens are a prompt's that is not pooled.
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

    /// The embeddings of sentences, one row each, (S, C), with the model's default prompt, if it has one, in front of them; of
    /// unit length only if the model has a Normalize module. An embedding's bits depend on its sentence alone.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub fn encode<S: AsRef<str> + Sync>(&self, sentences: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.default_prompt(), sentences)
    }

    /// [`SentenceEncoder::encode`] with the model's prompt for queries. sentence-transformers: `encode_query`.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub fn encode_query<S: AsRef<str> + Sync>(&self, queries: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.query(), queries)
    }

    /// [`SentenceEncoder::encode`] with the model's prompt for documents. sentence-transformers: `encode_document`.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub fn encode_document<S: AsRef<str> + Sync>(&self, documents: &[S]) -> Result<Array2<f32>> {
        self.encode_with_prompt(self.directory.prompts.document(), documents)
    }

    /// [`SentenceEncoder::encode`] with `prompt` in front of each sentence instead of the default; an empty one is none.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub fn encode_with_prompt<S: AsRef<str> + Sync>(&self, prompt: &str, sentences: &[S]) -> Result<Array2<f32>> {
        let embeddings = self.encode_with_prompt_while(prompt, sentences, |_| true)?;
        Ok(embeddings.expect("nothing says stop"))
    }

    /// [`SentenceEncoder::encode`], a part of the sentences at a time. Before each part `go_on` is told how many sentences are
    /// done; `None` if it says no.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub fn encode_while<S: AsRef<str> + Sync>(
        &self,
        sentences: &[S],
        go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<Array2<f32>>> {
        self.encode_with_prompt_while(self.directory.prompts.default_prompt(), sentences, go_on)
    }

    /// [`SentenceEncoder::encode_while`] with `prompt` in front of each sentence.
    ///
    /// # Errors
    /// What the tokenizer reports.
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

    /// The embeddings of sentences given as token ids, special tokens included, with buffers from `pool`.
    pub fn encode_tokens(&self, sentences: &[Vec<u32>], pool: &mut BufferPool) -> Array2<f32> {
        self.encode_tokens_after(0, sentences, pool)
    }

    /// [`SentenceEncoder::encode_tokens`] for sentences whose first `excluded` tokens are a prompt's that is not pooled.
    pub fn encode_tokens_after(&self, excluded: usize, sentences: &[Vec<u32>], pool: &mut BufferPool) -> Array2<f32> {
        let mut embeddings = Array2::zeros((sentences.len(), self.dimension()));
        let mut first = 0;
        while first < sentences.len() {
            let fits = sentences[first..].iter().scan(0, |tokens, ids| {
                *tokens += ids.len();
                (*tokens <= Self::ENCODED_TOKENS).then_some(())
            });
            let next = first + fits.count().max(1);
            let batch = TokenBatch::new(self.config(), &sentences[first..next], vec![0; next - first]);
            let mut tape = self.tape(pool, &batch, false);
            let encoded = self.forward_after(excluded, &mut tape, &batch, None);
            embeddings.slice_mut(s![first..next, ..]).assign(tape.value(encoded));
            first = next;
        }
        embeddings
    }

    /// About the bytes of the directory that [`SentenceEncoder::save`] writes, and never fewer.
    pub fn size_on_disk(&self) -> u64 {
        let carried: usize = self.carried.iter().map(CarriedTensor::size).sum();
        let weights = size_of_val(self.params.values()) + carried + 256 * self.params.layout().parameters().len();
        weights as u64 + self.directory.size_on_disk()
    }

    /// Writes a directory that sentence-transformers loads as its own.
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
        write_safetensors(&ModelDirectory::weights_path(dir), tensors, &self.carried)
    }
}
