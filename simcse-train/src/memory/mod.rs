//! How much memory a run will use, and how large the pieces of a batch may be for the run to fit.
//!
//! This room knows settings, the encoder's shape, the run's first draws and the system's memory. It
//! must not know files or the training loop. Kernels say themselves how much scratch memory they
//! need.
//!
//! What is loaded before training (parameters, tokenizer, sentences) is measured. What training
//! adds is forecast, for P parameters:
//!
//! ```text
//!   4·P bytes of gradients + 8·P bytes of AdamW's moments
//! + bytes of activations per token · tokens in the largest piece
//! + (embeddings, their gradient, a block of similarities) · texts per batch
//! + scratch memory of the kernels + what an evaluation holds
//! ```
//!
//! Training on a single sentence shows how many bytes of activations a token takes. The lengths of
//! the run's first draws show how many tokens the largest piece has. No more is needed, because
//! every buffer of a [`BufferPool`] has room for as many tokens as the largest piece.
//!
//! ```
//! # mod common { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_model.rs")); }
//! # let texts: Vec<String> = (0..40).map(|i| format!("sentence {i}")).collect();
//! # let encoder = common::small_model(&texts);
//! # let output = tempfile::tempdir().unwrap();
//! use simcse_train::{Error, Examples, Settings, Trainer};
//!
//! let sentences = Examples::from_texts("test", &texts, 1)?;
//! let settings = Settings { batch_size: 8, ..Settings::for_model(&encoder) };
//! let mut trainer = Trainer::new(encoder, &sentences, settings, output.path())?;
//! let plan = trainer.plan_memory(0, None)?;
//! println!("at most {} bytes", plan.peak);
//!
//! // With one megabyte, nothing fits: the error says what would.
//! assert!(matches!(trainer.plan_memory(0, Some(1_000_000)), Err(Error::Memory { .. })));
//! # Ok::<(), Error>(())
//! ```

mod longest;
mod system;
mod vocabulary;

use simcse_model::{SentenceEncoder, TokenBatch};
use simcse_tensor::{
    BufferPool, ContrastiveLoss, Grads, PAGE, Precision, Rows, attention_scratch_bytes, contrastive_scratch_bytes,
    gemm_scratch_bytes, vocabulary_loss_scratch_bytes,
};

use crate::data::examples::Examples;
use crate::draws::Draws;
use crate::error::{Error, Result};
use crate::memory::longest::Longest;
use crate::ranks::Ranks;
use crate::settings::Settings;
use crate::step::batch::TokenizedBatch;
use crate::step::buffers::StepBuffers;
use crate::step::gradient::accumulate_gradient;
use crate::step::masked_lm::{MaskedTexts, accumulate_masked_gradient};
use crate::step::masking::Masked;
use crate::step::pieces::blocks_in;

pub(crate) use longest::SAMPLE;
pub use system::peak as peak_memory;

const F32: u64 = size_of::<f32>() as u64;
/// What no term counts: allocator fragmentation, stacks, token ids, files being written. A share of
/// everything, and a constant; `tools/measure/memory.sh` checks that they suffice.
const SLACK: (u64, u64) = (24, 6 << 20);
/// Copies of the embeddings that an evaluation holds: as encoded, and normalized.
const EVALUATION_COPIES: u64 = 2;

/// The memory of a run that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The most memory that the process will use, in bytes.
    pub peak: u64,
    /// What a run without pieces would use, in bytes, if this run encodes its batches in pieces.
    pub whole_batch: Option<u64>,
    /// The most that the process may use, in bytes; `None` if the system does not say what is
    /// available.
    pub limit: Option<u64>,
    /// The setting of the same name, chosen by the plan if need be.
    pub(crate) mini_batch_tokens: Option<usize>,
    /// Tokens in the largest piece.
    piece_tokens: usize,
}

impl MemoryPlan {
    /// Buffers of the right size for the run.
    pub(crate) fn buffers(&self) -> StepBuffers {
        StepBuffers::new(self.mini_batch_tokens).with_room(self.piece_tokens)
    }
}

/// What a plan depends on, apart from model, data and settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions<'a> {
    /// Who shares the work, and perhaps the memory.
    pub(crate) ranks: &'a Ranks,
    /// Steps to come.
    pub(crate) steps: u64,
    /// The number of texts in the largest set that the run evaluates on.
    pub(crate) evaluated: usize,
    /// In bytes; by default it is what the process uses now, apart from pages of files, plus what
    /// is available, which ranks on the same host share.
    pub(crate) limit: Option<u64>,
}

/// Forecasts the memory of a run's next steps. If whole batches would not fit and the
/// settings do not request pieces, it finds the largest pieces that fit.
///
/// # Errors
/// [`Error::Memory`] with the largest setting that fits; what the tokenizer reports.
pub(crate) fn plan_memory(
    settings: &Settings,
    encoder: &SentenceEncoder,
    examples: &Examples,
    draws: &mut Draws,
    Conditions { ranks, steps, evaluated, limit }: Conditions,
) -> Result<MemoryPlan> {
    let mut longest = Longest::of(settings, encoder, examples, draws, steps)?;
    if ranks.size() > 1 {
        // A share ends with a whole sentence.
        longest.batch = longest.batch.div_ceil(ranks.size()) + longest.sentence;
    }
    // What loading and tokenizing freed must not count as resident: the run will use those pages
    // again.
    simcse_tensor::give_back_pages();
    let resident = system::resident().unwrap_or(encoder.params.layout().len() as u64 * F32);
    let available = || Some(resident + system::limit()?.saturating_sub(resident) / ranks.on_this_host() as u64);
    let limit = limit.or_else(available);
    let mut demand = Demand::of(settings, encoder, examples, &longest, evaluated, resident);
    demand.fixed += ranks.exchange_bytes() as u64;
    simcse_tensor::give_back_pages(); // and what the probe freed
    let (mini_batch_tokens, peak) = demand.fit(settings, limit.unwrap_or(u64::MAX))?;
    // Loading the model may already have used more than training will.
    let peak = peak.max(system::peak().unwrap_or(0));
    let whole_batch = mini_batch_tokens.map(|_| demand.peak(settings.batch_size, demand.batch_tokens));
    Ok(MemoryPlan { peak, whole_batch, limit, mini_batch_tokens, piece_tokens: demand.piece(mini_batch_tokens) })
}

/// What the memory of a run depends on.
#[derive(Clone, Copy, Debug)]
struct Demand {
    /// Bytes that do not depend on the batch, including what is loaded already.
    fixed: u64,
    /// Bytes of activations per token of a piece.
    per_token: u64,
    /// Shape and precision of the matrix products: C, E and F.
    hidden_size: usize,
    embedding_width: usize,
    intermediate_size: usize,
    precision: Precision,
    /// The number of tokens to predict from, or 0.
    vocabulary: usize,
    /// Values in an embedding.
    dimension: usize,
    loss: Option<ContrastiveLoss>,
    /// Matrices of the size of a batch's embeddings.
    embeddings: usize,
    /// Tokens in all views of the longest batch.
    batch_tokens: usize,
    /// Tokens in the longest block of sentences; a piece consists of whole blocks.
    block_tokens: usize,
}

impl Demand {
    fn of(
        settings: &Settings,
        encoder: &SentenceEncoder,
        examples: &Examples,
        longest: &Longest,
        evaluated: usize,
        resident: u64,
    ) -> Self {
        let config = encoder.config();
        let dense = encoder.directory.dense();
        let width = encoder.dimension() as u64;
        let probe = Probe::of(encoder, settings, longest.sentence);

        // The gradient of the products with the vocabulary.
        let vocabulary = if settings.has_masked_lm() { config.vocab_size } else { 0 };
        let head = (vocabulary * config.embedding_width()) as u64 * F32;
        // Gradients and two moments. Of the word embeddings', only rows that are touched take
        // memory, and what shares a page with them; weight decay and the products touch all of
        // them.
        let table = config.vocab_size * config.embedding_width();
        let touched = match settings.weight_decay > 0.0 || settings.has_masked_lm() {
            true => table,
            false => table.min(longest.distinct * (config.embedding_width() + PAGE)),
        };
        let flat_buffers = 3 * (encoder.params.layout().len() - table + touched) as u64 * F32;
        // An evaluation encodes this many tokens at a time, next to the buffers of training.
        let encoded_tokens =
            (evaluated * settings.max_seq_length).min(SentenceEncoder::ENCODED_TOKENS.max(settings.max_seq_length));
        let evaluation = probe.encoding * encoded_tokens as u64 + EVALUATION_COPIES * evaluated as u64 * width * F32;
        // Of the batches of an epoch: its order, and the last batch of each group of texts.
        let batches_of_an_epoch = size_of::<u32>() * (examples.len() + examples.groups().len());
        let attention = attention_scratch_bytes(longest.sentence, config.hidden_size, config.num_attention_heads);
        Self {
            fixed: resident + flat_buffers + head + evaluation + batches_of_an_epoch as u64 + attention as u64,
            per_token: probe.training,
            hidden_size: config.hidden_size,
            embedding_width: config.embedding_width(),
            dimension: encoder.dimension(),
            // A dense layer on embeddings may be wider than the feed-forward network.
            intermediate_size: dense.iter().map(|it| it.out_features).fold(config.feed_forward_width(), usize::max),
            precision: settings.precision,
            vocabulary,
            loss: settings.is_contrastive().then(|| settings.contrastive(examples.columns())),
            // The embeddings and their gradient, and for Matryoshka the same once more, truncated.
            embeddings: if settings.matryoshka_dims.is_empty() { 2 } else { 4 },
            batch_tokens: longest.batch,
            block_tokens: longest.block,
        }
    }

    /// The peak, in bytes, of a run whose pieces have at most `piece_tokens` tokens.
    fn peak(&self, batch_size: usize, piece_tokens: usize) -> u64 {
        let Self { hidden_size, embedding_width, intermediate_size, dimension, .. } = *self;
        // Scratch memory is shared by all products, so the largest one counts: that of the
        // feed-forward network, in one of the three kinds y = x·Wᵀ, dx = dy·W, dW = dyᵀ·x.
        let products = [
            gemm_scratch_bytes(self.precision, hidden_size, intermediate_size),
            gemm_scratch_bytes(self.precision, intermediate_size, hidden_size),
            gemm_scratch_bytes(self.precision, piece_tokens, intermediate_size),
        ];
        let product = products.into_iter().fold(0, usize::max);
        let product = match self.vocabulary {
            0 => product,
            vocabulary => product.max(vocabulary_loss_scratch_bytes(self.precision, vocabulary, embedding_width)),
        };
        let loss = self.loss.as_ref().map_or(0, |loss| {
            let embeddings = self.embeddings * (loss.columns * batch_size * dimension) * size_of::<f32>();
            embeddings + contrastive_scratch_bytes(loss, batch_size, dimension)
        });
        let added = self.fixed + self.per_token * piece_tokens as u64 + (product + loss) as u64;
        added + added / SLACK.0 + SLACK.1
    }

    /// The most tokens that a piece can have.
    fn piece(&self, mini_batch_tokens: Option<usize>) -> usize {
        blocks_in(mini_batch_tokens).saturating_mul(self.block_tokens).min(self.batch_tokens)
    }

    /// The `mini_batch_tokens` of the settings or, if they request whole batches and only pieces
    /// fit, the largest that fits; and the peak in bytes.
    fn fit(&self, settings: &Settings, limit: u64) -> Result<(Option<usize>, u64)> {
        let requested = settings.mini_batch_tokens;
        let peak = |tokens| self.peak(settings.batch_size, self.piece(tokens));
        if peak(requested) <= limit {
            return Ok((requested, peak(requested)));
        }
        // The longest batch has at least this many blocks. A piece of as many would be the whole
        // batch, which does not fit, so pieces of fewer blocks are tried, the largest first.
        let blocks = self.batch_tokens.div_ceil(self.block_tokens);
        let largest = (1..blocks).rev().map(|blocks| blocks * Rows::BLOCK).find(|&tokens| peak(Some(tokens)) <= limit);
        match (requested, largest) {
            (None, Some(tokens)) => Ok((largest, peak(Some(tokens)))),
            // An explicit setting is never changed silently: the error advises another one.
            _ => Err(Error::Memory {
                needed: peak(requested.or(Some(Rows::BLOCK))),
                limit,
                advice: self.advice(largest, limit),
            }),
        }
    }

    /// The largest setting that fits, in words: pieces of `mini_batch_tokens` if there is such a
    /// size, else the largest batch of which one block at a time fits.
    fn advice(&self, mini_batch_tokens: Option<usize>, limit: u64) -> String {
        if let Some(tokens) = mini_batch_tokens {
            return format!("the largest that fits is --mini-batch-tokens {tokens}");
        }
        let smallest_piece = self.piece(Some(Rows::BLOCK));
        let fits = |batch_size| self.peak(batch_size, smallest_piece) <= limit;
        // The peak grows with the batch, so bisection finds the largest one. Invariant: `low` fits
        // or is 1, which is not a batch; `high` does not fit.
        let mut low: usize = 1;
        let mut high: usize = 1 << 32;
        while high - low > 1 {
            let middle = low.midpoint(high);
            if fits(middle) { low = middle } else { high = middle }
        }
        match low {
            1 => "no batch fits: use more memory, or a smaller model".to_owned(),
            _ => format!("the largest that fits is --batch-size {low} with --mini-batch-tokens {}", Rows::BLOCK),
        }
    }
}

/// Bytes of activations per token, measured.
struct Probe {
    /// In a recorded forward pass and its backward pass.
    training: u64,
    /// In a forward pass that is not recorded.
    encoding: u64,
}

impl Probe {
    /// Computes the gradient of one sentence of `tokens` tokens, and encodes it.
    fn of(encoder: &SentenceEncoder, settings: &Settings, tokens: usize) -> Self {
        let last = encoder.directory.tokenizer.ids() - 1;
        let sentence = vec![encoder.config().pad_token_id.min(last) as u32; tokens.max(1)];
        let tokens = 2 * sentence.len() as u64;
        let mut buffers = StepBuffers::default().with_room(2 * sentence.len());
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let dropout = Some(settings.dropout(0, 0));
        if settings.is_contrastive() {
            // The activations do not depend on the objective.
            let objective = ContrastiveLoss::simcse(settings.scale);
            let batch = TokenizedBatch::new(1, vec![sentence.clone()]);
            accumulate_gradient(encoder, &batch, dropout.as_ref(), &objective, &mut buffers, &mut grads);
        }
        if settings.has_masked_lm() {
            // Some batches have more masked tokens than their share.
            let masked = (1.5 * settings.mlm_probability * sentence.len() as f32).ceil() as u32;
            let labels = vec![sentence[0]; masked as usize];
            let text = Masked { ids: sentence.clone(), positions: (0..masked).collect(), labels };
            let texts = MaskedTexts::new(vec![text.clone(), text], vec![0, 1]);
            accumulate_masked_gradient(encoder, &texts, 1.0, dropout.as_ref(), &mut buffers, &mut grads);
        }

        let mut pool = BufferPool::with_room(2 * sentence.len());
        let batch = TokenBatch::new(encoder.config(), &[&sentence, &sentence], vec![0, 1]);
        encoder.forward(&mut encoder.tape(&mut pool, &batch, false), &batch, None);
        let [training, encoding] =
            [buffers.activation_bytes(), pool.free_bytes()].map(|bytes| bytes as u64 / tokens + 1);
        Self { training, encoding }
    }
}

#[cfg(test)]
#[path = "tests/memory.rs"]
mod tests;
