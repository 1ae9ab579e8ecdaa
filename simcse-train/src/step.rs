//! One batch's gradient: encode → loss on the embeddings → backward from the embeddings' gradient.
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

    /// How many buffers were ever allocated.
    pub fn allocations(&self) -> usize {
        self.activations.allocations() + self.embeddings.allocations()
    }
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
    let Workspace { mini_batch_tokens, activations, embeddings: pool } = workspace;
    let pieces = pieces(encoder.config(), sentences, *mini_batch_tokens);
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

/// Cuts the two views of a batch into as few pieces of about `mini_batch_tokens` tokens as there can be, equal up to a block
/// of sentences.
///
/// A view's stream of dropout masks is twice the sentence's number in the batch, plus one for the second view.
fn pieces(config: &ModelConfig, sentences: &[Vec<u32>], mini_batch_tokens: Option<usize>) -> Vec<Piece> {
    let views: Vec<&[u32]> = sentences.iter().chain(sentences).map(Vec::as_slice).collect();
    let numbers = 0..sentences.len() as u32;
    let streams: Vec<u32> = numbers.clone().map(|i| 2 * i).chain(numbers.map(|i| 2 * i + 1)).collect();
    let rows = Rows::new(views.iter().map(|ids| ids.len()), streams.clone());

    let count = mini_batch_tokens.map_or(1, |tokens| rows.tokens().div_ceil(tokens));
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
