//! What stays the same from step to step.

use simcse_tensor::BufferPool;

use crate::ranks::Ranks;

/// What stays the same from step to step: buffers, the largest piece that they are for, the tokens
/// that pooling excludes, and the processes that share the work.
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
    pub(crate) mini_batch_tokens: Option<usize>,
    /// How many leading tokens of every sentence pooling excludes.
    pub(crate) excluded: usize,
    /// For one piece at a time.
    pub(crate) activations: BufferPool,
    /// For the whole batch.
    pub(crate) embeddings: BufferPool,
    /// Who encodes what of a batch.
    pub(crate) ranks: Ranks,
    /// The gradient of a product with the vocabulary.
    pub(crate) products: Vec<f32>,
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

    /// The same, for this process's share of steps that several take together. The functions that
    /// compute gradients must then be called on every rank, with the same arguments.
    #[must_use]
    pub fn across(self, ranks: Ranks) -> Self {
        Self { ranks, ..self }
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
