//! Some rows of a matrix: `y[i] = x[index[i]]`.
//!
//! PyTorch: `x[index]`. `x` (N, C), `index` (M) ascending, `y` (M, C).

use ndarray::Array2;

use crate::ops::elementwise::flat_mut;

/// Writes `y` (M, C).
pub(crate) fn forward(index: &[u32], x: &Array2<f32>, y: &mut Array2<f32>) {
    for (&i, mut y) in index.iter().zip(y.rows_mut()) {
        y.assign(&x.row(i as usize));
    }
}

/// Writes `dx` (N, C), which is 0 in rows that were not selected.
pub(crate) fn backward(index: &[u32], dy: &Array2<f32>, dx: &mut Array2<f32>) {
    flat_mut(dx).fill(0.0);
    for (&i, dy) in index.iter().zip(dy.rows()) {
        dx.row_mut(i as usize).assign(&dy);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};
    use proptest::prelude::*;

    use crate::ops::testing::{Case, check, sentences};

    proptest! {
        /// Selects rows, and then maps them: their parameters' gradients are sums over the blocks
        /// of the sentences that the rows belong to.
        #[test]
        fn agrees_with_f64(rows in sentences(), chosen: u64, width in 1..7usize, out in 1..7usize, seed: u64) {
            let tokens = rows.tokens();
            let index: Vec<u32> = (0..tokens as u32).filter(|i| chosen >> (i % 64) & 1 == 1).collect();
            let inputs = vec![(tokens, width)];
            let params = vec![(out, width), (out, 1)];
            check(
                &Case { rows, inputs, params, seed },
                |tape, x, p| {
                    let selected = tape.select(x[0], index.clone().into());
                    tape.linear(selected, p[0], p[1])
                },
                |x, p| {
                    let selected = Array2::from_shape_fn((index.len(), width), |(i, c)| x[0][[index[i] as usize, c]]);
                    selected.dot(&p[0].t()) + p[1].t().index_axis(Axis(0), 0)
                },
            );
        }
    }
}
