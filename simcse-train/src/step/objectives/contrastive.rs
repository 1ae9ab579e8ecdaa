//! The contrastive loss of SimCSE (Gao et al. 2021, equation 4). With two views `z1`, `z2` of each
//! sentence, it is the mean over the batch of
//!
//! `ℓᵢ = −log( e^{scale·cos(z1ᵢ, z2ᵢ)} / Σⱼ e^{scale·cos(z1ᵢ, z2ⱼ)} )`.
//!
//! sentence-transformers: `MultipleNegativesRankingLoss(scale=scale)` on pairs (sentence,
//! sentence).

use std::sync::Arc;

use ndarray::{Array2, arr2};
use simcse_tensor::{BufferPool, Grads, Params, Precision, Rows, Tape};

use crate::step::objectives::objective::Objective;

/// In-batch negatives: the positive of a sentence is its second view, its negatives are the second
/// views of the other sentences.
///
/// ```
/// use ndarray::array;
/// use simcse_model::{BufferPool, Precision};
/// use simcse_train::{Contrastive, Objective};
///
/// // Two sentences, orthogonal to each other; the two views of each are equal.
/// let embeddings = array![[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
/// let objective = Contrastive { scale: 20.0 };
/// let mut buffers = BufferPool::new();
/// let (loss, gradient) = objective.loss_and_gradient(embeddings, Precision::F32, &mut buffers);
/// assert!((f64::from(loss) - (1.0 + (-20.0f64).exp()).ln()).abs() < 1e-7);
/// assert_eq!(gradient.dim(), (4, 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrastive {
    /// The factor on cosine similarities: the inverse of the paper's temperature τ.
    pub scale: f32,
}

impl Objective for Contrastive {
    fn loss_and_gradient(
        &self,
        embeddings: Array2<f32>,
        precision: Precision,
        buffers: &mut BufferPool,
    ) -> (f32, Array2<f32>) {
        let no_parameters = Arc::default();
        let params = Params::zeros(Arc::clone(&no_parameters));
        let mut tape = Tape::new(&params, buffers, Arc::new(Rows::default()), true).with_precision(precision);
        let input = tape.input(embeddings);
        let z = tape.normalize(input);
        let loss = tape.contrastive(z, self.scale);
        let value = tape.value(loss)[[0, 0]];
        let mut gradients = tape.backward(&[(loss, arr2(&[[1.0]]).view())], &mut Grads::zeros(no_parameters));
        (value, gradients.take(input))
    }
}
