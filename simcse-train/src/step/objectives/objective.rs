//! The interface of an objective.

use ndarray::Array2;
use simcse_tensor::{BufferPool, Precision};

/// A loss that is a function of all embeddings of a batch.
///
/// A step encodes the batch, asks the objective for the loss and its gradient with respect to the embeddings, and starts
/// the backward pass from there. So an objective sees the negatives of the whole batch, whatever the pieces it was
/// encoded in.
pub trait Objective {
    /// The loss and its gradient with respect to `embeddings`, both of shape (2B, C): rows `0..B` are the sentences' first
    /// views, rows `B..2B` the second. Large products of the gradient are rounded to `precision`; working memory comes
    /// from `buffers`, and the result's buffer goes back there.
    fn loss_and_gradient(
        &self,
        embeddings: Array2<f32>,
        precision: Precision,
        buffers: &mut BufferPool,
    ) -> (f32, Array2<f32>);
}
