//! A step's gradient. Of each batch: encode → loss on the embeddings → backward from the embeddings' gradient.
//!
//! The batch goes through the encoder in pieces, so that its size is not bound by memory (Gao et al. 2021, "Scaling Deep
//! Contrastive Learning Batch Size under Memory Limited Setup", GradCache): every piece is encoded without recording, the
//! loss and its gradient are formed over the embeddings of all, and every piece is encoded again, now recording and under
//! the same dropout masks, to go back from its own embeddings' gradient. The first piece is recorded at once and not encoded
//! again: the plain step is the one with a single piece.
//!
//! A piece is so many blocks of sentences ([`Rows::blocks`]), the last one what is left. Parameter gradients are sums over blocks,
//! in order, so pieces of every size give the same bits.

use std::ops::Range;

use ndarray::s;
use simcse_model::{DropoutPlan, ModelConfig, SentenceEncoder, TokenBatch};
use simcse_tensor::{BufferPool, Grads, Rows, Tape, Var};

use crate::step::objectives::Objective;

/// Buffers that last from step to step, and how much of a batch they hold at a time.
#[derive(Debug, Default)]
pub struct StepBuffers {
    mini_batch_tokens: Option<usize>,
    /// Of the pieces.
    activations: BufferPool,
    /// Of the whole batch.
    embeddings: BufferPool,
}

impl StepBuffers {
    /// For pieces of at most `mini_batch_tokens` tokens (both views counted), in whole blocks of sentences and at least
    /// one block; or for whole batches. Gradients do not depend on it.
    #[must_use]
    pub fn new(mini_batch_tokens: Option<usize>) -> Self {
        Self { mini_batch_tokens, ..Self::default() }
    }

    /// The same, with buffers for pieces of at most `tokens` tokens; a longer piece lets them grow.
    #[must_use]
    pub fn with_room(self, tokens: usize) -> Self {
        Self { activations: BufferPool::with_room(tokens), ..self }
    }

    /// The bytes of a piece's activations.
    pub(crate) fn activation_bytes(&self) -> usize {
        self.activations.free_bytes()
    }

    /// How many buffers were ever allocated.
    pub fn allocations(&self) -> usize {
        self.activations.allocations() + self.embeddings.allocations()
    }
}

/// Overwrites `grads` with the mean of the gradients of a step's batches, and returns their mean loss. Batch `i` draws its
/// masks from `dropout(i)`.
///
/// # Panics
/// If there is no batch, or one without sentences.
pub fn mean_gradient(
    encoder: &SentenceEncoder,
    batches: &[Vec<Vec<u32>>],
    dropout: impl Fn(usize) -> DropoutPlan,
    objective: &dyn Objective,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
) -> f32 {
    assert!(!batches.is_empty(), "a step has batches");
    let share = 1.0 / batches.len() as f32;
    grads.clear();
    let mut loss = 0.0;
    for (i, sentences) in batches.iter().enumerate() {
        loss += share * accumulate_gradient(encoder, sentences, Some(&dropout(i)), objective, buffers, grads);
    }
    if batches.len() > 1 {
        grads.scale(share);
    }
    loss
}

/// Adds the loss's gradient for a batch of sentences, given as token ids, to `grads`, and returns the loss.
///
/// # Panics
/// If there are no sentences.
pub fn accumulate_gradient(
    encoder: &SentenceEncoder,
    sentences: &[Vec<u32>],
    dropout: Option<&DropoutPlan>,
    objective: &dyn Objective,
    buffers: &mut StepBuffers,
    grads: &mut Grads,
) -> f32 {
    let StepBuffers { mini_batch_tokens, activations, embeddings: pool } = buffers;
    let pieces = pieces(encoder.config(), sentences, blocks_in(*mini_batch_tokens));
    let (first, rest) = pieces.split_first().expect("a batch has sentences");

    let mut embeddings = pool.take(2 * sentences.len(), encoder.dimension());
    for piece in rest {
        let (tape, encoded) = piece.encode(encoder, dropout, activations, false);
        embeddings.slice_mut(s![piece.views.clone(), ..]).assign(tape.value(encoded));
    }
    let (tape, encoded) = first.encode(encoder, dropout, activations, true);
    embeddings.slice_mut(s![first.views.clone(), ..]).assign(tape.value(encoded));

    let (loss, dembeddings) = objective.loss_and_gradient(embeddings, encoder.precision, pool);

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
    /// Rows of the embeddings: 0..B are the sentences' first views, B..2B the second.
    views: Range<usize>,
    batch: TokenBatch,
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
        let encoded = encoder.forward(&mut tape, &self.batch, dropout);
        (tape, encoded)
    }
}

/// How many blocks of sentences make a piece.
pub(crate) fn blocks_in(mini_batch_tokens: Option<usize>) -> usize {
    mini_batch_tokens.map_or(usize::MAX, |tokens| (tokens / Rows::BLOCK).max(1))
}

/// Cuts the two views of a batch into pieces of `length` blocks. The last one has what is left: not the first, which alone is
/// encoded but once.
///
/// A view's stream of dropout masks is twice the sentence's number in the batch, plus one for the second view.
fn pieces(config: &ModelConfig, sentences: &[Vec<u32>], length: usize) -> Vec<Piece> {
    let views: Vec<&[u32]> = sentences.iter().chain(sentences).map(Vec::as_slice).collect();
    let numbers = 0..sentences.len() as u32;
    let streams: Vec<u32> = numbers.clone().map(|i| 2 * i).chain(numbers.map(|i| 2 * i + 1)).collect();
    let rows = Rows::new(views.iter().map(|ids| ids.len()), streams.clone());

    let blocks: Vec<Range<usize>> = rows.blocks().collect();
    let piece = |run: &[Range<usize>]| {
        let range = run[0].start..run[run.len() - 1].end;
        let batch = TokenBatch::new(config, &views[range.clone()], streams[range.clone()].to_vec());
        Piece { views: range, batch }
    };
    blocks.chunks(length).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use simcse_model::Architecture;

    use super::*;
    use crate::step::objectives::Contrastive;
    use crate::testing::{batch, encoder};

    const OBJECTIVE: Contrastive = Contrastive { scale: 20.0 };

    #[test]
    fn a_step_takes_the_mean_over_its_batches() {
        let encoder = encoder(Architecture::Bert, 1, 32);
        let batches: Vec<_> = (0..3).map(|seed| batch(20, seed)).collect();
        let dropout = |i| DropoutPlan { hidden: 0.1, attention: 0.1, seed: 1, step: 7 + i as u32 };
        let (mut buffers, mut grads) = (StepBuffers::default(), Grads::zeros(encoder.params.layout().clone()));
        let mut expected = vec![0.0; grads.values().len()];
        let mut losses = 0.0;
        for (i, sentences) in batches.iter().enumerate() {
            grads.clear();
            losses +=
                accumulate_gradient(&encoder, sentences, Some(&dropout(i)), &OBJECTIVE, &mut buffers, &mut grads) / 3.0;
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
    fn pieces_have_at_most_their_tokens() {
        let encoder = encoder(Architecture::Bert, 1, 32);
        let sentences = batch(400, 5);
        let tokens = 2 * sentences.iter().map(Vec::len).sum::<usize>();
        let longest = sentences.iter().map(Vec::len).max().unwrap();
        for most in [512, 1024, 2000, 3000, tokens] {
            let pieces = pieces(encoder.config(), &sentences, blocks_in(Some(most)));
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
