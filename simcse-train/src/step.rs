//! A step's gradient. Of each batch: encode → loss on the embeddings → backward from the embeddings' gradient.
//!
//! The batch goes through the encoder in pieces, so that its size is not bound by memory (Gao et al. 2021, "Scaling Deep
//! Contrastive Learning Batch Size under Memory Limited Setup", GradCache): every piece is encoded without recording, the
//! loss and its gradient are formed over the embeddings of all, and every piece is encoded again, now recording and under
//! the same dropout masks, to go back from its own embeddings' gradient. The first piece is recorded at once and not encoded
//! again: the plain step is the one with a single piece.
//!
//! Pieces end where a block of sentences does ([`Rows::blocks`]). Parameter gradients are sums over blocks, in order, so
//! pieces of every size give the same bits.

use std::ops::Range;

use ndarray::s;
use simcse_model::{DropoutPlan, ModelConfig, SentenceEncoder, TokenBatch};
use simcse_tensor::{Grads, Pool, Rows, Tape, Var};

use crate::loss::contrastive;

/// Buffers that go from step to step, and how much of a batch they hold at a time.
#[derive(Debug, Default)]
pub struct Workspace {
    mini_batch_tokens: Option<usize>,
    /// The most pieces that a batch was cut into; all later ones are, so that pieces stay alike and buffers fit.
    pieces: usize,
    /// Of the pieces.
    activations: Pool,
    /// Of the whole batch.
    embeddings: Pool,
}

impl Workspace {
    /// For pieces of about `mini_batch_tokens` tokens (both views counted), or for whole batches. Gradients do not depend on
    /// it.
    #[must_use]
    pub fn new(mini_batch_tokens: Option<usize>) -> Self {
        Self { mini_batch_tokens, ..Self::default() }
    }

    /// The most bytes of a piece's activations.
    pub(crate) fn activation_bytes(&self) -> usize {
        self.activations.most_bytes()
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
    scale: f32,
    workspace: &mut Workspace,
    grads: &mut Grads,
) -> f32 {
    assert!(!batches.is_empty(), "a step has batches");
    let share = 1.0 / batches.len() as f32;
    grads.clear();
    let mut loss = 0.0;
    for (i, sentences) in batches.iter().enumerate() {
        loss += share * accumulate_gradient(encoder, sentences, Some(&dropout(i)), scale, workspace, grads);
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
    scale: f32,
    workspace: &mut Workspace,
    grads: &mut Grads,
) -> f32 {
    let tokens = 2 * sentences.iter().map(Vec::len).sum::<usize>();
    let count = workspace.mini_batch_tokens.map_or(1, |most| tokens.div_ceil(most));
    workspace.pieces = workspace.pieces.max(count);
    let pieces = pieces(encoder.config(), sentences, workspace.pieces);
    let Workspace { activations, embeddings: pool, .. } = workspace;
    let (first, rest) = pieces.split_first().expect("a batch has sentences");

    let mut embeddings = pool.take(2 * sentences.len(), encoder.dimension());
    for piece in rest {
        let (tape, encoded) = piece.encode(encoder, dropout, activations, false);
        embeddings.slice_mut(s![piece.views.clone(), ..]).assign(tape.value(encoded));
    }
    let (tape, encoded) = first.encode(encoder, dropout, activations, true);
    embeddings.slice_mut(s![first.views.clone(), ..]).assign(tape.value(encoded));

    let (loss, dembeddings) = contrastive(embeddings, scale, pool);

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
        pool: &'a mut Pool,
        recording: bool,
    ) -> (Tape<'a>, Var) {
        let mut tape = encoder.tape(pool, &self.batch, recording);
        let encoded = encoder.forward(&mut tape, &self.batch, dropout);
        (tape, encoded)
    }
}

/// Cuts the two views of a batch into `count` pieces, or as many as there are blocks of sentences, equal up to a block.
///
/// A view's stream of dropout masks is twice the sentence's number in the batch, plus one for the second view.
fn pieces(config: &ModelConfig, sentences: &[Vec<u32>], count: usize) -> Vec<Piece> {
    let views: Vec<&[u32]> = sentences.iter().chain(sentences).map(Vec::as_slice).collect();
    let numbers = 0..sentences.len() as u32;
    let streams: Vec<u32> = numbers.clone().map(|i| 2 * i).chain(numbers.map(|i| 2 * i + 1)).collect();
    let rows = Rows::new(views.iter().map(|ids| ids.len()), streams.clone());

    let piece_of = |block: &Range<usize>| rows.span(block).start * count / rows.tokens();
    let blocks: Vec<Range<usize>> = rows.blocks().collect();
    let runs = blocks.chunk_by(|a, b| piece_of(a) == piece_of(b));
    let piece = |run: &[Range<usize>]| {
        let range = run[0].start..run[run.len() - 1].end;
        let batch = TokenBatch::new(config, &views[range.clone()], streams[range.clone()].to_vec());
        Piece { views: range, batch }
    };
    runs.map(piece).collect()
}

#[cfg(test)]
mod tests {
    use simcse_model::Architecture;

    use super::*;
    use crate::testing::{batch, encoder};

    #[test]
    fn a_step_takes_the_mean_over_its_batches() {
        let encoder = encoder(Architecture::Bert, 1, 32);
        let batches: Vec<_> = (0..3).map(|seed| batch(20, seed)).collect();
        let dropout = |i| DropoutPlan { hidden: 0.1, attention: 0.1, seed: 1, step: 7 + i as u32 };
        let (mut workspace, mut grads) = (Workspace::default(), Grads::zeros(encoder.params.layout().clone()));
        let mut expected = vec![0.0; grads.values().len()];
        let mut losses = 0.0;
        for (i, sentences) in batches.iter().enumerate() {
            grads.clear();
            losses +=
                accumulate_gradient(&encoder, sentences, Some(&dropout(i)), 20.0, &mut workspace, &mut grads) / 3.0;
            expected.iter_mut().zip(grads.values()).for_each(|(sum, &g)| *sum += f64::from(g) / 3.0);
        }

        let loss = mean_gradient(&encoder, &batches, dropout, 20.0, &mut workspace, &mut grads);
        assert!((loss - losses).abs() < 1e-6, "{loss}, expected {losses}");
        let largest = expected.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
        assert!(largest > 1e-3, "{largest}");
        for (&found, expected) in grads.values().iter().zip(&expected) {
            assert!((f64::from(found) - expected).abs() < 1e-6 * largest, "{found}, expected {expected}");
        }
    }

    #[test]
    fn pieces_are_whole_blocks_of_about_equal_size() {
        let encoder = encoder(Architecture::Bert, 1, 32);
        let sentences = batch(400, 5);
        let tokens = 2 * sentences.iter().map(Vec::len).sum::<usize>();
        for count in [1, 2, 3, 7] {
            let pieces = pieces(encoder.config(), &sentences, count);
            assert_eq!(pieces.len(), count);
            let share = tokens / count;
            let mut next = 0;
            for piece in &pieces {
                assert_eq!(piece.views.start, next);
                next = piece.views.end;
                assert!(piece.batch.rows().tokens().abs_diff(share) <= Rows::BLOCK, "{count} pieces");
            }
            assert_eq!(next, 800);
        }
    }
}
