//! Matryoshka representation learning (Kusupati et al. 2022): embeddings that may be truncated.

use std::ops::Range;

use ndarray::{Array2, s};
use simcse_tensor::{BufferPool, Precision};

use crate::step::objectives::objective::Objective;

/// The weighted sum of a loss of the embeddings' first `d` values, for several `d`.
///
/// sentence-transformers: `MatryoshkaLoss`.
///
/// ```
/// use ndarray::array;
/// use simcse_model::{BufferPool, Precision};
/// use simcse_train::{ContrastiveLoss, Matryoshka, Objective};
///
/// let inner = ContrastiveLoss::simcse(20.0);
/// let embeddings = array![[1.0, 2.0], [3.0, 1.0], [1.0, 2.0], [3.0, 1.0]];
/// let objective = Matryoshka { loss: inner, dimensions: vec![(2, 1.0), (1, 0.5)] };
/// let mut buffers = BufferPool::new();
/// let (loss, _) = objective.loss_and_gradient(embeddings, 0..2, 0, Precision::F32, &mut buffers);
/// // All first values are positive, so their cosine is 1 and the loss is ln 2.
/// let of_two = (1.0 + (20.0 * (5.0 / 50.0f32.sqrt() - 1.0)).exp()).ln();
/// assert!((loss - (of_two + 0.5 * 2.0f32.ln())).abs() < 1e-4);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Matryoshka<L> {
    /// The loss of truncated embeddings.
    pub loss: L,
    /// Numbers of values, and the weights of their losses.
    pub dimensions: Vec<(usize, f32)>,
}

impl<L: Objective> Objective for Matryoshka<L> {
    /// # Panics
    /// If a dimension is larger than the embeddings'.
    fn loss_and_gradient(
        &self,
        embeddings: Array2<f32>,
        examples: Range<usize>,
        batch: u32,
        precision: Precision,
        buffers: &mut BufferPool,
    ) -> (f32, Array2<f32>) {
        let (rows, width) = embeddings.dim();
        let mut gradient = buffers.take(rows, width);
        gradient.fill(0.0);
        let mut sum = 0.0;
        for &(dimension, weight) in &self.dimensions {
            assert!(dimension <= width, "matryoshka: {dimension} of {width} values");
            let mut truncated = buffers.take(rows, dimension);
            truncated.assign(&embeddings.slice(s![.., ..dimension]));
            let (value, part) = self.loss.loss_and_gradient(truncated, examples.clone(), batch, precision, buffers);
            sum += weight * value;
            gradient.slice_mut(s![.., ..dimension]).scaled_add(weight, &part);
            buffers.give(part);
        }
        buffers.give(embeddings);
        (sum, gradient)
    }
}
