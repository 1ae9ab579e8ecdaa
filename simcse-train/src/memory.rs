//! How much memory a run will take, and how much of a batch may go through the encoder at a time for it to fit.
//!
//! What is loaded before training (parameters, tokenizer, sentences) is measured. What training adds is counted:
//!
//! ```text
//! 4·P·(gradients 1 + AdamW's moments 2 )
//! + activations of a token · tokens in a piece
//! + (embeddings, their gradient, a block of similarities) · sentences in a batch
//! + working memory of the kernels + what an evaluation holds
//! ```
//!
//! How many bytes of activations a token takes is found by training on one sentence, and the largest piece by looking at
//! the lengths of all batches that the run will draw.

mod system;
#[cfg(test)]
mod tests;

use simcse_model::{ModelConfig, SentenceEncoder, TokenBatch};
use simcse_tensor::{Grads, Pool, Rows, Tape};

use crate::data::Sentences;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::step::{Workspace, accumulate_gradient};
use crate::trainer::steps;

pub use system::peak as peak_memory;

const F32: u64 = size_of::<f32>() as u64;
/// What no term counts: fragments of the allocator, stacks, token ids, files being written. A share of everything, and a
/// constant; `tools/memory.sh` says whether they hold.
const SLACK: (u64, u64) = (12, 6 << 20);
/// The share that pieces take beyond their tokens': a short one borrows the buffers of a long one. Measured, as the slack is.
const PIECES_SLACK: u64 = 8;
/// A block of similarities and, packed for the products, the embeddings of their columns.
const PACKED_COPIES: u64 = 2;
/// Copies of the embeddings that an evaluation holds: as they come and at unit length.
const EVALUATION_COPIES: u64 = 2;

/// What was found about a run that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The most that the process will take, in bytes.
    pub peak: u64,
    /// What a run without pieces would take, if this one has them.
    pub whole_batch: Option<u64>,
    /// The most that it may take; `None` if the system does not say what is available.
    pub limit: Option<u64>,
}

/// Predicts the memory of a run before it begins and, where whole batches would not fit and the settings do not say how
/// they are to be cut, sets `mini_batch_tokens` to the largest pieces that fit.
///
/// `evaluated` is the number of texts of the largest set that the run evaluates on; `limit` is in bytes, by default what the
/// process has now and what is available.
///
/// # Errors
/// [`Error::Memory`] with the largest setting that fits; what the tokenizer reports.
pub fn plan_memory(
    settings: &mut Settings,
    encoder: &SentenceEncoder,
    sentences: &Sentences,
    total_steps: u64,
    evaluated: usize,
    limit: Option<u64>,
) -> Result<MemoryPlan> {
    let longest = Longest::of(settings, encoder, sentences, total_steps)?;
    simcse_tensor::give_back_pages(); // what loading and tokenising left behind
    let resident = system::resident().unwrap_or(encoder.params.layout().len() as u64 * F32);
    let limit = limit.or_else(|| Some(resident + system::available()?));
    let demand = Demand::of(settings, encoder, &longest, evaluated, resident);
    simcse_tensor::give_back_pages(); // what the probe left
    let (mini_batch_tokens, peak) = demand.fit(settings, limit.unwrap_or(u64::MAX))?;
    settings.mini_batch_tokens = mini_batch_tokens;
    let peak = peak.max(system::peak().unwrap_or(0));
    let whole_batch = mini_batch_tokens.map(|_| demand.peak(settings.batch_size, demand.batch_tokens));
    Ok(MemoryPlan { peak, whole_batch, limit })
}

/// Bytes as people read them: 812 MB, 2.31 GB.
pub fn size(bytes: u64) -> String {
    const MEGA: f64 = 1e6;
    let bytes = bytes as f64;
    if bytes < 1000.0 * MEGA { format!("{:.0} MB", bytes / MEGA) } else { format!("{:.2} GB", bytes / (1000.0 * MEGA)) }
}

/// The most tokens that a run meets.
#[derive(Clone, Copy, Debug, Default)]
struct Longest {
    /// In both views of a batch.
    batch: usize,
    sentence: usize,
}

impl Longest {
    /// Goes through all batches of the run. A sentence is tokenised once.
    fn of(settings: &Settings, encoder: &SentenceEncoder, sentences: &Sentences, total_steps: u64) -> Result<Self> {
        let mut lengths = vec![0; sentences.len()]; // 0: not yet known; special tokens make every length positive
        let mut longest = Self::default();
        for (_, batches) in steps(settings, sentences).take(total_steps as usize) {
            for batch in batches {
                let unknown: Vec<u32> = batch.iter().copied().filter(|&index| lengths[index as usize] == 0).collect();
                let tokens = encoder.tokenize(&sentences.select(&unknown))?.ids;
                for (&index, ids) in unknown.iter().zip(&tokens) {
                    lengths[index as usize] = ids.len() as u32;
                    longest.sentence = longest.sentence.max(ids.len());
                }
                let views = 2 * batch.iter().map(|&index| lengths[index as usize] as usize).sum::<usize>();
                longest.batch = longest.batch.max(views);
            }
        }
        Ok(longest)
    }
}

/// The bytes of a run, by what they grow with.
#[derive(Clone, Copy, Debug)]
struct Demand {
    /// What is there before and whatever the batch.
    fixed: u64,
    /// For each sentence of a batch.
    per_sentence: u64,
    /// For each token of a piece.
    per_token: u64,
    /// Tokens in both views of the longest batch.
    batch_tokens: usize,
    /// Tokens in a block of sentences, at whose ends pieces are cut.
    block_tokens: usize,
}

impl Demand {
    fn of(settings: &Settings, encoder: &SentenceEncoder, longest: &Longest, evaluated: usize, resident: u64) -> Self {
        let config = encoder.config();
        let (width, parameters) = (encoder.dimension() as u64, encoder.params.layout().len() as u64);
        let probe = Probe::of(encoder, settings, longest.sentence);
        let buffers = 3;
        let embeddings = |texts: usize| texts as u64 * width * F32;
        let encoded =
            (evaluated * settings.max_seq_length).min(SentenceEncoder::ENCODED_TOKENS.max(settings.max_seq_length));
        let evaluation = probe.encoding * encoded as u64 + EVALUATION_COPIES * embeddings(evaluated);
        let similarities = Tape::SIMILARITY_ROWS.min(settings.batch_size) as u64 * F32;
        Self {
            fixed: resident + buffers * parameters * F32 + evaluation + kernels(config, longest),
            per_sentence: 2 * embeddings(2) + PACKED_COPIES * similarities,
            per_token: probe.training,
            batch_tokens: longest.batch,
            block_tokens: Rows::BLOCK.max(longest.sentence),
        }
    }

    /// The most that a run takes whose pieces have at most so many tokens.
    fn peak(&self, batch_size: usize, piece_tokens: usize) -> u64 {
        let activations = self.per_token * piece_tokens as u64;
        let borrowed = if piece_tokens < self.batch_tokens { activations / PIECES_SLACK } else { 0 };
        let added = self.fixed + self.per_sentence * batch_size as u64 + activations + borrowed;
        added + added / SLACK.0 + SLACK.1
    }

    /// Tokens of the longest piece, if pieces are to have about `mini_batch_tokens`: blocks are not cut.
    fn piece(&self, mini_batch_tokens: usize) -> usize {
        match self.batch_tokens.div_ceil(mini_batch_tokens) {
            0 | 1 => self.batch_tokens,
            pieces => (self.batch_tokens / pieces + self.block_tokens).min(self.batch_tokens),
        }
    }

    /// The `mini_batch_tokens` of the settings, or the largest that fits if only pieces fit, and the peak.
    fn fit(&self, settings: &Settings, limit: u64) -> Result<(Option<usize>, u64)> {
        let asked = settings.mini_batch_tokens;
        let peak = |tokens: Option<usize>| {
            self.peak(settings.batch_size, tokens.map_or(self.batch_tokens, |tokens| self.piece(tokens)))
        };
        if peak(asked) <= limit {
            return Ok((asked, peak(asked)));
        }
        let cuts = (2..).map(|pieces| self.batch_tokens.div_ceil(pieces)).take_while(|&tokens| tokens >= Rows::BLOCK);
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
        let smallest_piece = self.piece(Rows::BLOCK);
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

/// Working memory of the kernels: an operand of the largest product in packed form, and the matrices of one attention head
/// for each thread (six of T·D and four of T·T in the backward).
fn kernels(config: &ModelConfig, longest: &Longest) -> u64 {
    const PACKED: usize = 16 << 20;
    const LANES: usize = 16;
    let (tokens, size) = (longest.sentence.next_multiple_of(LANES), config.hidden_size / config.num_attention_heads);
    let head = 6 * tokens * size.next_multiple_of(LANES) + 4 * tokens * tokens;
    let packed = PACKED.min(longest.batch * config.intermediate_size * size_of::<f32>());
    (packed + rayon::current_num_threads() * head * size_of::<f32>()) as u64
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
        let mut workspace = Workspace::default();
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let dropout = settings.dropout(0, 0);
        accumulate_gradient(
            encoder,
            std::slice::from_ref(&sentence),
            Some(&dropout),
            settings.scale,
            &mut workspace,
            &mut grads,
        );

        let mut pool = Pool::new();
        let batch = TokenBatch::new(encoder.config(), &[&sentence, &sentence], vec![0, 1]);
        encoder.forward(&mut encoder.tape(&mut pool, &batch, false), &batch, None);
        let [training, encoding] =
            [workspace.activation_bytes(), pool.most_bytes()].map(|bytes| bytes as u64 / tokens + 1);
        Self { training, encoding }
    }
}
