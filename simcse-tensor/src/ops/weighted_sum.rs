//! `y = Σ_t w_t·x_t`, a sum of matrices with fixed weights.
//!
//! sentence-transformers: `WeightedLayerPooling`, whose weights are divided by their sum. `x_t` and
//! `y` (N, C).

use ndarray::Array2;
use rayon::prelude::*;

use crate::ops::elementwise::{CHUNK, flat, flat_mut};

/// Writes `y` (N, C); the terms are added in their order.
pub(crate) fn forward(terms: &[(&Array2<f32>, f32)], y: &mut Array2<f32>) {
    flat_mut(y).par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
        y.fill(0.0);
        for (x, weight) in terms {
            let x = &flat(x)[chunk * CHUNK..][..y.len()];
            y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
        }
    });
}

/// Writes `dx = w·dy` (N, C), for one of the terms.
pub(crate) fn backward(weight: f32, dy: &Array2<f32>, dx: &mut Array2<f32>) {
    let chunks = flat_mut(dx).par_chunks_mut(CHUNK).zip(flat(dy).par_chunks(CHUNK));
    chunks.for_each(|(dx, dy)| dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = weight * dy));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ops::testing::{Case, check, sentences};

    proptest! {
        #[test]
        fn agrees_with_f64(
            rows in sentences(), width in 1..7usize, weights in prop::collection::vec(-2.0..2f32, 1..4), seed: u64,
        ) {
            let inputs = vec![(rows.tokens(), width); weights.len()];
            check(
                &Case { rows, inputs, params: vec![], seed },
                |tape, x, _| tape.weighted_sum(x.iter().copied().zip(weights.iter().copied()).collect()),
                |x, _| {
                    let terms = x.iter().zip(&weights).map(|(x, &weight)| x * f64::from(weight));
                    terms.reduce(|sum, term| sum + term).unwrap()
                },
            );
        }
    }
}
