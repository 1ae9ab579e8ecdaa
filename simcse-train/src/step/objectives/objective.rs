//! The interface of an objective.

use std::ops::Range;

use ndarray::Array2;
use simcse_tensor::{BufferPool, Precision};

/// A loss that is a function of all embeddings of a batch.
///
/// A step encodes the batch, has the objective compute the loss and its gradient with respect to
/// the embeddings, and starts the backward pass from that gradient. An objective therefore sees the
/// whole batch, even if it was encoded in pieces.
///
/// ```
/// use std::ops::Range;
///
/// use ndarray::{Array2, array};
/// use simcse_model::{BufferPool, Precision};
/// use simcse_train::Objective;
///
/// /// The mean squared distance between the two views: without negatives, and so a bad objective.
/// struct Alignment;
///
/// impl Objective for Alignment {
///     fn loss_and_gradient(
///         &self,
///         z: Array2<f32>,
///         examples: Range<usize>,
///         _: u32,
///         _: Precision,
///         _: &mut BufferPool,
///     ) -> (f32, Array2<f32>) {
///         let batch_size = z.nrows() / 2;
///         let mut dz = Array2::zeros(z.dim());
///         let mut loss = 0.0;
///         for i in examples {
///             let difference = &z.row(i) - &z.row(batch_size + i);
///             loss += difference.dot(&difference) / batch_size as f32;
///             dz.row_mut(i).assign(&(&difference * (2.0 / batch_size as f32)));
///             dz.row_mut(batch_size + i).assign(&(&difference * (-2.0 / batch_size as f32)));
///         }
///         (loss, dz)
///     }
/// }
///
/// let z = array![[1.0, 0.0], [1.0, 2.0]];
/// let mut buffers = BufferPool::new();
/// let (loss, dz) = Alignment.loss_and_gradient(z, 0..1, 0, Precision::F32, &mut buffers);
/// assert_eq!((loss, dz), (4.0, array![[0.0, -4.0], [0.0, 4.0]]));
/// ```
pub trait Objective {
    /// The loss, and its gradient with respect to `embeddings`. Both matrices have the shape (K·B,
    /// C): rows `0..B` are the first texts of the examples, rows `B..2B` the second ones, and so
    /// on. If examples are single sentences, these are their views.
    ///
    /// The loss is a sum of a term for each example, such as a mean. Only the terms of `examples`
    /// are computed: the loss and the gradient are the sums of those for any partition of `0..B`.
    ///
    /// `batch` is the number of the batch in its run, of which everything that an objective draws
    /// at random is a function. `precision` is that of large matrix products. `buffers` provides
    /// working memory; the caller returns the gradient's buffer to it.
    fn loss_and_gradient(
        &self,
        embeddings: Array2<f32>,
        examples: Range<usize>,
        batch: u32,
        precision: Precision,
        buffers: &mut BufferPool,
    ) -> (f32, Array2<f32>);
}
