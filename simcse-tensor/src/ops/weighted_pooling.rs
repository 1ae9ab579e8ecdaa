//! One row per sentence: `y_s = Σ_t a_t·x_t` over its tokens, with fixed shares `a`.
//!
//! sentence-transformers: `WordWeights` with mean pooling, whose shares are a sentence's weights
//! divided by their sum. `x` (N, C), `a` (N), `y` (S, C). A sentence without tokens pools to zeros.

use ndarray::{Array2, Axis, Zip};

use crate::ops::elementwise::{flat, flat_mut};
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
    let sentences: Vec<_> = rows.iter().enumerate().flat_map(|(s, range)| range.map(move |_| s)).collect();
    let tokens = Zip::from(dx.axis_iter_mut(Axis(0))).and(shares).and(&sentences);
    tokens.par_for_each(|mut dx, share, &s| dx.zip_mut_with(&dy.row(s), |dx, dy| *dx = share * dy));
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
