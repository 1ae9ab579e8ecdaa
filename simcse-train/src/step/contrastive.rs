//! The contrastive loss of SimCSE (Gao et al. 2021, equation 4): with two views `z1`, `z2` of each sentence,
//! `ℓᵢ = −log( e^{scale·cos(z1ᵢ, z2ᵢ)} / Σⱼ e^{scale·cos(z1ᵢ, z2ⱼ)} )`, averaged over the batch.
//!
//! sentence-transformers: `MultipleNegativesRankingLoss(scale=scale)` of the pairs (sentence, sentence).

use std::sync::Arc;

use ndarray::{Array2, arr2};
use simcse_tensor::{BufferPool, Grads, Params, Precision, Rows, Tape};

/// The loss and its gradient with respect to the embeddings: rows 0..B are the first views, rows B..2B the second, (2B, C). The
/// gradient's products are of `precision`.
pub fn contrastive(
    embeddings: Array2<f32>,
    scale: f32,
    precision: Precision,
    pool: &mut BufferPool,
) -> (f32, Array2<f32>) {
    let nothing = Arc::default(); // the loss has no parameters
    let params = Params::zeros(Arc::clone(&nothing));
    let mut tape = Tape::new(&params, pool, Arc::new(Rows::default()), true).with_precision(precision);
    let input = tape.input(embeddings);
    let z = tape.normalize(input);
    let loss = tape.contrastive(z, scale);
    let value = tape.value(loss)[[0, 0]];
    let mut gradients = tape.backward(&[(loss, arr2(&[[1.0]]).view())], &mut Grads::zeros(nothing));
    (value, gradients.take(input))
}
