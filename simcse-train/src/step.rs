//! One training step's gradient: encode → loss on the embeddings → backward from the embeddings' gradient.

use simcse_model::{DropoutPlan, SentenceEncoder, TokenBatch};
use simcse_tensor::{Grads, Pool};

use crate::loss::contrastive;

/// Buffers that go from step to step.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(crate) activations: Pool,
    similarities: Pool,
}

impl Workspace {
    /// How many buffers were ever allocated.
    pub fn allocations(&self) -> usize {
        self.activations.allocations() + self.similarities.allocations()
    }
}

/// Adds the loss's gradient for a batch of sentences, given as token ids, to `grads`, and returns the loss.
///
/// Both views of the batch go through one forward pass: rows 0..B are the first views, B..2B the second. A view's stream of
/// dropout masks is twice the sentence's number in the batch, plus one for the second view.
pub fn accumulate_gradient(
    encoder: &SentenceEncoder,
    sentences: &[Vec<u32>],
    dropout: Option<&DropoutPlan>,
    scale: f32,
    workspace: &mut Workspace,
    grads: &mut Grads,
) -> f32 {
    let numbers = 0..sentences.len() as u32;
    let streams = numbers.clone().map(|i| 2 * i).chain(numbers.map(|i| 2 * i + 1)).collect();
    let views: Vec<&[u32]> = sentences.iter().chain(sentences).map(Vec::as_slice).collect();
    let batch = TokenBatch::new(encoder.config(), &views, streams);

    let mut tape = encoder.tape(&mut workspace.activations, &batch, true);
    let embeddings = encoder.forward(&mut tape, &batch, dropout);
    let (loss, dembeddings) = contrastive(tape.copy(embeddings), scale, &mut workspace.similarities);
    tape.backward(vec![(embeddings, dembeddings)], grads);
    loss
}
