//! One row per sentence: `y_s = Σ_t a_t·x_t` over its tokens, with fixed shares `a`.
//!
//! sentence-transformers: `WordWeights` with mean pooling, whose shares are a sentence's weights
//! divided by their sum. `x` (N, C), `a` (N), `y` (S, C). A sentence without tokens pools to zeros.

use ndarray::Array2;
use rayon::prelude::*;

use crate::ops::elementwise::{flat, flat_mut};
use crate::ops::pooling::SENTENCES_PER_TASK;
use crate::rows::Rows;

/// Writes `y` (S, C); the tokens are added in their order.
pub(crate) fn forward(shares: &[f32], x: &Array2<f32>, rows: &Rows, y: &mut Array2<f32>) {
    let width = x.ncols();
    for (range, y) in rows.iter().zip(flat_mut(y).chunks_exact_mut(width)) {
        y.fill(0.0);
        let tokens = flat(x)[range.start * width..range.end * width].chunks_exact(width);
        for (share, x) in shares[range].iter().zip(tokens) {
            y.iter_mut().zip(x).for_each(|(y, x)| *y += share * x);
        }
    }
}

/// Writes `dx = a·dy` (N, C), given `dy` (S, C).
pub(crate) fn backward(shares: &[f32], rows: &Rows, dy: &Array2<f32>, dx: &mut Array2<f32>) {
    let width = dy.ncols();
    let dx = rows.split_sentences(flat_mut(dx), width);
    let tasks: Vec<_> = dx.into_iter().zip(rows.iter()).zip(dy.outer_iter()).collect();
    tasks.into_par_iter().with_min_len(SENTENCES_PER_TASK).for_each(|((dx, range), dy)| {
        for (share, dx) in shares[range].iter().zip(dx.chunks_exact_mut(width)) {
            dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = share * dy);
        }
    });
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use crate::ops::testing::{Case, check, sentences};

    proptest! {
        #[test]
        fn agrees_with_f64(rows in sentences(), width in 1..9usize, seed: u64) {
            let shares: Vec<_> = (0..rows.tokens()).map(|token| 0.3 * (token % 5) as f32 - 0.2).collect();
            check(
                &Case { rows: rows.clone(), inputs: vec![(rows.tokens(), width)], params: vec![], seed },
                |tape, x, _| tape.weighted_pooling(x[0], shares.clone().into()),
                |x, _| Array2::from_shape_fn((rows.sentences(), width), |(s, c)| {
                    rows.sentence(s).map(|token| f64::from(shares[token]) * x[0][[token, c]]).sum()
                }),
            );
        }
    }
}
