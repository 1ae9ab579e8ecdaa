//! How much memory a run will take, and how much of a batch may go through the encoder at a time for it to fit.
//!
//! What is loaded before training (parameters, tokenizer, sentences) is measured. What training adds is counted:
//!
//! ```text
//! 4·P·(gradients 1 + AdamW's moments 2)
//! + activations of a token · tokens in the largest piece
//! + (embeddings, their gradient, a block of similarities) · sentences in a batch
//! + working memory of the kernels + what an evaluation holds
//! ```
//!
//! How many bytes of activations a token takes is found by training on one sentence, and the largest piece by looking at
//! the lengths of the batches that the run draws first. That is all there is to it because every buffer of a piece has the height
//! of the largest one ([`BufferPool`]).

mod system;

use simcse_model::{SentenceEncoder, TokenBatch};
use simcse_tensor::{
    BufferPool, Grads, Precision, Rows, attention_scratch_bytes, contrastive_scratch_bytes, gemm_scratch_bytes,
};

use crate::data::sentences::Sentences;
use crate::draws::Draws;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::step::gradient::{StepBuffers, accumulate_gradient, blocks_in};
use crate::step::objectives::Contrastive;

pub use system::peak as peak_memory;

const F32: u64 = size_of::<f32>() as u64;
/// What no term counts: allocator fragmentation, stacks, token ids, files being written. A share of
/// everything, and a constant; `tools/measure/memory.sh` checks that they suffice.
const SLACK: (u64, u64) = (24, 6 << 20);
/// Copies of the embeddings that an evaluation holds: as they come and at unit length.
const EVALUATION_COPIES: u64 = 2;

/// Sentences that the plan looks at: the first ones that the run draws.
const SAMPLE: usize = 8192;

/// What was found about a run that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The most that the process will take, in bytes.
    pub peak: u64,
    /// What a run without pieces would take, if this one has them.
    pub whole_batch: Option<u64>,
    /// The most that it may take; `None` if the system does not say what is available.
    pub limit: Option<u64>,
    /// The largest piece of a batch that goes through the encoder at a time; the whole batch if `None`.
    pub(crate) mini_batch_tokens: Option<usize>,
    /// Tokens of the largest piece.
    piece_tokens: usize,
}

impl MemoryPlan {
    /// Buffers for the run.
    pub(crate) fn buffers(&self) -> StepBuffers {
        StepBuffers::new(self.mini_batch_tokens).with_room(self.piece_tokens)
    }
}

/// Predicts the memory of a run's next `steps` steps and, where whole batches would not fit and the settings do not say
/// how they are to be cut, finds the largest pieces that fit.
///
/// `evaluated` is the number of texts of the largest set that the run evaluates on; `limit` is in bytes, by default what the
/// process has now and what is available.
///
/// # Errors
/// [`Error::Memory`] with the largest setting that fits; what the tokenizer reports.
pub(crate) fn plan_memory(
    settings: &Settings,
    encoder: &SentenceEncoder,
    sentences: &Sentences,
    draws: &mut Draws,
    steps: u64,
    evaluated: usize,
    limit: Option<u64>,
) -> Result<MemoryPlan> {
    let longest = Longest::of(settings, encoder, draws, steps)?;
    simcse_tensor::give_back_pages(); // what loading and tokenizing left behind
    let resident = system::resident().unwrap_or(encoder.params.layout().len() as u64 * F32);
    let limit = limit.or_else(|| Some(resident + system::available()?));
    let demand = Demand::of(settings, encoder, sentences, &longest, evaluated, resident);
    simcse_tensor::give_back_pages(); // what the probe left
    let (mini_batch_tokens, peak) = demand.fit(settings, limit.unwrap_or(u64::MAX))?;
    let peak = peak.max(system::peak().unwrap_or(0));
    let whole_batch = mini_batch_tokens.map(|_| demand.peak(settings.batch_size, demand.batch_tokens));
    Ok(MemoryPlan { peak, whole_batch, limit, mini_batch_tokens, piece_tokens: demand.piece(mini_batch_tokens) })
}

/// The most tokens that a run meets.
#[derive(Clone, Copy, Debug, Default)]
struct Longest {
    /// In both views of a batch.
    batch: usize,
    /// In a block of sentences.
    block: usize,
    /// In a sentence.
    sentence: usize,
}

impl Longest {
    /// Exact if the sample is all that the run draws. Otherwise the longest batch of `steps` steps is estimated: the tokens
    /// of a batch are a sum of many lengths, so they are nearly normal, and of n normal variables the largest is about
    /// μ + σ·√(2·ln n). Should a batch exceed the estimate after all, the buffers grow.
    fn of(settings: &Settings, encoder: &SentenceEncoder, draws: &mut Draws, steps: u64) -> Result<Self> {
        let sample = draws.look_ahead(encoder, steps, SAMPLE)?;
        let all = sample.len() as u64 >= steps;
        let mut longest = Self::default();
        let mut lengths = Vec::new();
        for batch in sample.iter().flat_map(|draw| &draw.batches) {
            let views = batch.iter().chain(batch).map(Vec::len);
            let rows = Rows::new(views, vec![0; 2 * batch.len()]);
            longest.batch = longest.batch.max(rows.tokens());
            longest.block = rows.blocks().map(|block| rows.span(&block).len()).fold(longest.block, usize::max);
            lengths.extend(batch.iter().map(|ids| ids.len() as f64));
        }
        longest.sentence = lengths.iter().fold(0.0, |longest: f64, &length| longest.max(length)) as usize;
        if !all {
            let batches = steps as f64 * settings.gradient_accumulation_steps as f64;
            longest.batch = longest.batch.max(estimated_batch(&lengths, settings.batch_size, batches));
            longest.block = longest.block.max(Rows::BLOCK);
        }
        Ok(longest)
    }
}

/// The tokens in both views of the longest of `batches` batches of `size` sentences, whose lengths are distributed as in
/// the sample.
fn estimated_batch(lengths: &[f64], size: usize, batches: f64) -> usize {
    let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
    let variance = lengths.iter().map(|length| (length - mean).powi(2)).sum::<f64>() / lengths.len() as f64;
    let size = size as f64;
    let deviations = (2.0 * batches.max(2.0).ln()).sqrt();
    (2.0 * (size * mean + deviations * (size * variance).sqrt())).ceil() as usize
}

/// The bytes of a run, by what they grow with.
#[derive(Clone, Copy, Debug)]
struct Demand {
    /// What is there before, and whatever the batch.
    fixed: u64,
    /// Activations of each token of a piece.
    per_token: u64,
    /// Shape and precision of the products: C, F.
    hidden_size: usize,
    intermediate_size: usize,
    precision: Precision,
    /// Tokens in both views of the longest batch.
    batch_tokens: usize,
    /// Tokens in the longest block of sentences; a piece is some number of blocks.
    block_tokens: usize,
}

impl Demand {
    fn of(
        settings: &Settings,
        encoder: &SentenceEncoder,
        sentences: &Sentences,
        longest: &Longest,
        evaluated: usize,
        resident: u64,
    ) -> Self {
        let config = encoder.config();
        let width = encoder.dimension() as u64;
        let probe = Probe::of(encoder, settings, longest.sentence);

        let flat_buffers = 3 * encoder.params.layout().len() as u64 * F32; // gradients, two moments
        let encoded_tokens =
            (evaluated * settings.max_seq_length).min(SentenceEncoder::ENCODED_TOKENS.max(settings.max_seq_length));
        let evaluation = probe.encoding * encoded_tokens as u64 + EVALUATION_COPIES * evaluated as u64 * width * F32;
        let order_of_an_epoch = 2 * size_of::<u32>() * sentences.len();
        let attention = attention_scratch_bytes(longest.sentence, config.hidden_size, config.num_attention_heads);
        Self {
            fixed: resident + flat_buffers + evaluation + order_of_an_epoch as u64 + attention as u64,
            per_token: probe.training,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            precision: settings.precision,
            batch_tokens: longest.batch,
            block_tokens: longest.block,
        }
    }

    /// The peak of a run whose pieces have at most `piece_tokens` tokens.
    fn peak(&self, batch_size: usize, piece_tokens: usize) -> u64 {
        let Self { hidden_size, intermediate_size, .. } = *self;
        // The widest products of the three kinds: y = x·Wᵀ, dx = dy·W, dW = dyᵀ·x.
        let products = [
            gemm_scratch_bytes(self.precision, hidden_size, intermediate_size),
            gemm_scratch_bytes(self.precision, intermediate_size, hidden_size),
            gemm_scratch_bytes(self.precision, piece_tokens, intermediate_size),
        ];
        let product = products.into_iter().fold(0, usize::max);
        let embeddings_and_gradient = 2 * (2 * batch_size * hidden_size) * size_of::<f32>();
        let loss = embeddings_and_gradient + contrastive_scratch_bytes(batch_size, hidden_size);
        let added = self.fixed + self.per_token * piece_tokens as u64 + (product + loss) as u64;
        added + added / SLACK.0 + SLACK.1
    }

    /// The most tokens of a piece.
    fn piece(&self, mini_batch_tokens: Option<usize>) -> usize {
        blocks_in(mini_batch_tokens).saturating_mul(self.block_tokens).min(self.batch_tokens)
    }

    /// The `mini_batch_tokens` of the settings, or the largest that fits if only pieces fit, and the peak.
    fn fit(&self, settings: &Settings, limit: u64) -> Result<(Option<usize>, u64)> {
        let asked = settings.mini_batch_tokens;
        let peak = |tokens| self.peak(settings.batch_size, self.piece(tokens));
        if peak(asked) <= limit {
            return Ok((asked, peak(asked)));
        }
        let blocks = self.batch_tokens.div_ceil(self.block_tokens); // at least so many in the longest batch
        let cuts = (1..blocks).rev().map(|blocks| blocks * Rows::BLOCK);
        let largest = cuts.into_iter().find(|&tokens| peak(Some(tokens)) <= limit);
        match (asked, largest) {
            (None, Some(tokens)) => Ok((largest, peak(Some(tokens)))),
            _ => Err(Error::Memory {
                needed: peak(asked.or(Some(Rows::BLOCK))),
                limit,
                advice: self.advice(largest, limit),
            }),
        }
    }

    /// The largest setting that fits.
    fn advice(&self, mini_batch_tokens: Option<usize>, limit: u64) -> String {
        if let Some(tokens) = mini_batch_tokens {
            return format!("the largest that fits is --mini-batch-tokens {tokens}");
        }
        let smallest_piece = self.piece(Some(Rows::BLOCK));
        let fits = |batch_size: &usize| self.peak(*batch_size, smallest_piece) <= limit;
        // By bisection: `low` fits or is 1, `high` does not.
        let (mut low, mut high): (usize, usize) = (1, 1 << 32);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if fits(&middle) { low = middle } else { high = middle }
        }
        match low {
            1 => "no batch fits: it takes more memory, or a smaller model".to_owned(),
            _ => format!("the largest that fits is --batch-size {low} with --mini-batch-tokens {}", Rows::BLOCK),
        }
    }
}

/// Bytes of activations per token.
struct Probe {
    /// Forward, recorded, and backward.
    training: u64,
    /// Forward alone.
    encoding: u64,
}

impl Probe {
    /// Trains on one sentence of `tokens` tokens and encodes it.
    fn of(encoder: &SentenceEncoder, settings: &Settings, tokens: usize) -> Self {
        let sentence = vec![encoder.config().pad_token_id as u32; tokens.max(1)];
        let tokens = 2 * sentence.len() as u64;
        let mut buffers = StepBuffers::default().with_room(2 * sentence.len());
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let dropout = settings.dropout(0, 0);
        accumulate_gradient(
            encoder,
            std::slice::from_ref(&sentence),
            Some(&dropout),
            &Contrastive { scale: settings.scale },
            &mut buffers,
            &mut grads,
        );

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
