//! A step's gradient. For each batch: encode → loss of the embeddings → backward from the
//! embeddings' gradient.
//!
//! The batch goes through the encoder in pieces, so that memory does not limit its size (GradCache:
//! Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup").
//! Every piece is encoded without recording; the loss and its gradient are computed from the
//! embeddings of all pieces; then every piece is encoded again, this time recorded and with the
//! same dropout masks, and the backward pass starts from its own rows of the embeddings' gradient.
//! One piece is recorded when it is first encoded and need not be encoded again: the plain step is
//! a step of a single piece.
//!
//! A piece consists of whole blocks of sentences ([`Rows::blocks`]). Parameter gradients are sums
//! over blocks, added in order, so pieces of every size give the same bits.

use std::ops::Range;

use ndarray::s;
use simcse_model::{DropoutPlan, ModelConfig, SentenceEncoder, TokenBatch};
use simcse_tensor::{BufferPool, Grads, Rows, Tape, Var};

use crate::step::batch::TokenizedBatch;
use crate::step::objectives::Objective;

/// What stays the same from step to step: buffers, the largest piece that they are for, and the
/// tokens that pooling excludes.
///
/// ```
/// # mod common { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_model.rs")); }
/// # let encoder = common::small_model(&["boot from usb"]);
/// use simcse_tensor::Grads;
/// use simcse_train::{ContrastiveLoss, StepBuffers, TokenizedBatch, accumulate_gradient};
///
/// // Token ids of 100 sentences, 1400 tokens in both views.
/// let sentences = (0..100).map(|i| vec![2, 9 + i, 9, 8, 7, 6, 3]).collect();
/// let batch = TokenizedBatch::new(1, sentences);
/// let objective = ContrastiveLoss::simcse(20.0);
/// let mut gradients = Vec::new();
/// for mini_batch_tokens in [None, Some(512)] {
///     let mut buffers = StepBuffers::new(mini_batch_tokens);
///     let mut grads = Grads::zeros(encoder.params.layout().clone());
///     accumulate_gradient(&encoder, &batch, None, &objective, &mut buffers, &mut grads);
///     gradients.push(grads.values().to_vec());
/// }
/// // Encoded whole or in pieces, the gradients are the same to the last bit.
/// assert_eq!(gradients[0], gradients[1]);
/// ```
#[derive(Debug, Default)]
pub struct StepBuffers {
    mini_batch_tokens: Option<usize>,
    /// How many leading tokens of every sentence pooling excludes.
    excluded: usize,
    /// For one piece at a time.
    activations: BufferPool,
    /// For the whole batch.
    embeddings: BufferPool,
}

impl StepBuffers {
    /// For pieces of at most `mini_batch_tokens` tokens (all views count), rounded down to whole
    /// blocks of sentences but at least one block; or, with `None`, for whole batches. Gradients do
    /// not depend on it.
    #[must_use]
    pub fn new(mini_batch_tokens: Option<usize>) -> Self {
        Self { mini_batch_tokens, ..Self::default() }
    }

    /// The same, with buffers of the right size for pieces of at most `tokens` tokens. For a longer
    /// piece they grow.
    #[must_use]
    pub fn with_room(self, tokens: usize) -> Self {
        Self { activations: BufferPool::with_room(tokens), ..self }
    }

    /// The same, for a model whose pooling excludes the first `excluded` tokens of every sentence:
    /// a prompt's ([`Prompt::excluded`](simcse_model::Prompt::excluded)).
    #[must_use]
    pub fn excluding(self, excluded: usize) -> Self {
        Self { excluded, ..self }
    }

    /// The number of leading tokens that pooling excludes.
    pub(crate) fn excluded(&self) -> usize {
        self.excluded
    }

    /// Bytes of a piece's activations.
    pub(crate) fn activation_bytes(&self) -> usize {
        self.activations.free_bytes()
    }

    /// The number of buffers allocated so far.
    pub fn allocations(&self) -> usize {
        self.activations.allocations() + self.embeddings.allocations()
    }
}

/// Overwrites `grads` with the mean of the gradients of a step's batches and returns their mean
/// loss. Batch `i` takes its dropout masks from `dropout(i)`.
///
/// # Panics
/// If there is no batch, or if a batch has no examples.
///
/// ```
/// # mod common { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_model.rs")); }
/// # let encoder = common::small_model(&["boot from usb"]);
/// use simcse_model::DropoutPlan;
/// use simcse_tensor::Grads;
/// use simcse_train::{ContrastiveLoss, StepBuffers, TokenizedBatch, mean_gradient};
///
/// let batch = |first, second| TokenizedBatch::new(1, vec![vec![2, first, 3], vec![2, second, 3]]);
/// let batches = vec![batch(9, 8), batch(7, 6)];
/// let dropout = |batch| DropoutPlan { hidden: 0.1, attention: 0.1, seed: 42, step: batch as u32 };
/// let objective = ContrastiveLoss::simcse(20.0);
/// let mut grads = Grads::zeros(encoder.params.layout().clone());
/// let mut buffers = StepBuffers::default();
/// let loss = mean_gradient(&encoder, &batches, dropout, &objective, &mut buffers, &mut grads);
/// assert!(loss > 0.0 && grads.values().iter().any(|&gradient| gradient != 0.0));
/// ```
pub fn mean_gradient(
    encoder: &SentenceEncoder,
    batches: &[TokenizedBatch],
    dropout: impl Fn(usize) -> DropoutPlan,
    objective: &dyn Objective,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
) -> f32 {
    assert!(!batches.is_empty(), "a step has batches");
    let share = 1.0 / batches.len() as f32;
    grads.clear();
    let mut loss = 0.0;
    for (i, batch) in batches.iter().enumerate() {
        loss += share * accumulate_gradient(encoder, batch, Some(&dropout(i)), objective, buffers, grads);
    }
    if batches.len() > 1 {
        grads.scale(share);
    }
    loss
}

/// Adds the gradient of the loss of one batch to `grads`, and returns the loss. [`StepBuffers`] has
/// an example.
///
/// # Panics
/// If there are no examples, or the objective is for another number of views.
pub fn accumulate_gradient(
    encoder: &SentenceEncoder,
    batch: &TokenizedBatch,
    dropout: Option<&DropoutPlan>,
    objective: &dyn Objective,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
) -> f32 {
    let StepBuffers { mini_batch_tokens, excluded, activations, embeddings: pool } = buffers;
    let pieces = pieces(encoder.config(), batch, *excluded, blocks_in(*mini_batch_tokens));
    let (first, rest) = pieces.split_first().expect("a batch has examples");

    // The first piece is encoded last, because its recording must stay until the loss is known, and
    // while it does, no other piece can use the buffers.
    let mut embeddings = pool.take(batch.views() * batch.len(), encoder.dimension()); // (K·B, C)
    for piece in rest {
        let (tape, encoded) = piece.encode(encoder, dropout, activations, false);
        embeddings.slice_mut(s![piece.views.clone(), ..]).assign(tape.value(encoded));
    }
    let (tape, encoded) = first.encode(encoder, dropout, activations, true);
    embeddings.slice_mut(s![first.views.clone(), ..]).assign(tape.value(encoded));

    // The gradient is (K·B, C), too.
    let number = dropout.map_or(0, |plan| plan.step);
    let (loss, dembeddings) = objective.loss_and_gradient(embeddings, number, encoder.precision, pool);

    // Backward in the order of the pieces: the sums of parameter gradients are over blocks in this
    // order, whatever the size of the pieces.
    tape.backward(&[(encoded, dembeddings.slice(s![first.views.clone(), ..]))], grads);
    for piece in rest {
        let (tape, encoded) = piece.encode(encoder, dropout, activations, true);
        tape.backward(&[(encoded, dembeddings.slice(s![piece.views.clone(), ..]))], grads);
    }
    pool.give(dembeddings);
    loss
}

/// Consecutive views that go through the encoder together.
struct Piece {
    /// Their rows in the embeddings: 0..B are the first views of the examples, B..2B the second
    /// views, and so on.
    views: Range<usize>,
    batch: TokenBatch,
    /// How many leading tokens of every view pooling excludes.
    excluded: usize,
}

impl Piece {
    fn encode<'a>(
        &self,
        encoder: &'a SentenceEncoder,
        dropout: Option<&DropoutPlan>,
        pool: &'a mut BufferPool,
        recording: bool,
    ) -> (Tape<'a>, Var) {
        let mut tape = encoder.tape(pool, &self.batch, recording);
        let encoded = encoder.forward_after(self.excluded, &mut tape, &self.batch, dropout);
        (tape, encoded)
    }
}

/// The number of blocks of sentences in a piece.
pub(crate) fn blocks_in(mini_batch_tokens: Option<usize>) -> usize {
    mini_batch_tokens.map_or(usize::MAX, |tokens| (tokens / Rows::BLOCK).max(1))
}

/// Splits the views of a batch into pieces of `length` blocks. The blocks that are left make the
/// last piece, not the first: the first piece is encoded only once, so it should be a full one.
fn pieces(config: &ModelConfig, batch: &TokenizedBatch, excluded: usize, length: usize) -> Vec<Piece> {
    let (views, streams) = batch.rows();
    let rows = Rows::new(views.iter().map(|ids| ids.len()), streams.clone());

    let blocks: Vec<Range<usize>> = rows.blocks().collect();
    let piece = |run: &[Range<usize>]| {
        let range = run[0].start..run[run.len() - 1].end;
        let batch = TokenBatch::new(config, &views[range.clone()], streams[range.clone()].to_vec());
        Piece { views: range, batch, excluded }
    };
    blocks.chunks(length).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use simcse_model::{Architecture, Named, Pooling};

    use super::*;
    use crate::testing::{batch, encoder};
    use simcse_tensor::ContrastiveLoss;

    const OBJECTIVE: ContrastiveLoss = ContrastiveLoss::simcse(20.0);

    #[test]
    fn a_step_takes_the_mean_over_its_batches() {
        let encoder = encoder(Architecture::Bert, 1, 32);
        let batches: Vec<_> = (0..3).map(|seed| batch(20, seed)).collect();
        let dropout = |i| DropoutPlan { hidden: 0.1, attention: 0.1, seed: 1, step: 7 + i as u32 };
        let mut buffers = StepBuffers::default();
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let mut expected = vec![0.0; grads.values().len()];
        let mut losses = 0.0;
        for (i, batch) in batches.iter().enumerate() {
            grads.clear();
            losses +=
                accumulate_gradient(&encoder, batch, Some(&dropout(i)), &OBJECTIVE, &mut buffers, &mut grads) / 3.0;
            expected.iter_mut().zip(grads.values()).for_each(|(sum, &g)| *sum += f64::from(g) / 3.0);
        }

        let loss = mean_gradient(&encoder, &batches, dropout, &OBJECTIVE, &mut buffers, &mut grads);
        assert!((loss - losses).abs() < 1e-6, "{loss}, expected {losses}");
        let largest = expected.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
        assert!(largest > 1e-3, "{largest}");
        for (&found, expected) in grads.values().iter().zip(&expected) {
            assert!((f64::from(found) - expected).abs() < 1e-6 * largest, "{found}, expected {expected}");
        }
    }

    #[test]
    fn pooling_excludes_the_prompt_in_pieces_of_every_size() {
        const PROMPT: usize = 2;
        for &pooling in Pooling::ALL {
            let mut encoder = encoder(Architecture::Bert, 1, 32);
            encoder.directory.pooling = pooling;
            let sentences = batch(100, 3);
            let run = |mini_batch_tokens, excluded| {
                let mut buffers = StepBuffers::new(mini_batch_tokens).excluding(excluded);
                let mut grads = Grads::zeros(encoder.params.layout().clone());
                let loss = accumulate_gradient(&encoder, &sentences, None, &OBJECTIVE, &mut buffers, &mut grads);
                (loss, grads.values().to_vec())
            };
            let whole = run(None, PROMPT);
            let views = [sentences.texts(), sentences.texts()].concat();
            let embeddings = encoder.encode_tokens_after(PROMPT, &views, &mut BufferPool::new());
            let (expected, _) = OBJECTIVE.loss_and_gradient(embeddings, 0, encoder.precision, &mut BufferPool::new());
            assert!((whole.0 - expected).abs() < 1e-5, "{pooling:?}: {}, expected {expected}", whole.0);
            assert!(whole == run(Some(512), PROMPT), "{pooling:?}: pieces give other bits");
            // The last token is never one of the prompt.
            assert_eq!(whole.1 == run(None, 0).1, pooling == Pooling::LastToken, "{pooling:?}");
        }
    }

    #[test]
    fn pieces_are_as_full_as_whole_blocks_allow() {
        let encoder = encoder(Architecture::Bert, 1, 32);
        let sentences = batch(400, 5);
        let tokens = 2 * sentences.texts().iter().map(Vec::len).sum::<usize>();
        let longest = sentences.texts().iter().map(Vec::len).max().unwrap();
        for most in [512, 1024, 2000, 3000, tokens] {
            let pieces = pieces(encoder.config(), &sentences, 0, blocks_in(Some(most)));
            let (last, others) = pieces.split_last().unwrap();
            let fullest = most / Rows::BLOCK * Rows::BLOCK;
            let emptiest = most / Rows::BLOCK * (Rows::BLOCK - longest);
            for piece in others {
                let tokens = piece.batch.rows().tokens();
                assert!(emptiest < tokens && tokens <= fullest, "{tokens} tokens in a piece of {most}");
            }
            assert!(last.batch.rows().tokens() <= fullest);
            assert_eq!(pieces.iter().map(|piece| piece.batch.rows().tokens()).sum::<usize>(), tokens);
            assert!(pieces.windows(2).all(|pair| pair[0].views.end == pair[1].views.start));
        }
    }
}
