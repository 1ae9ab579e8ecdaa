//! Cross entropy of rows whose right class is their own number: `loss = mean_i (log Σ_j e^{x[i][j]} − x[i][i])`.
//!
//! PyTorch: `torch.nn.functional.cross_entropy(x, torch.arange(B))`. `x` (B, B).

use ndarray::Array2;
use rayon::prelude::*;

use super::flat_mut;
use crate::math;
use crate::simd::{Kernel, Simd, dispatch};

/// Overwrites `x` with its rows' softmax, and returns the loss.
pub(crate) fn forward(x: &mut Array2<f32>) -> f32 {
    let size = x.ncols();
    let rows = flat_mut(x).par_chunks_mut(size).enumerate();
    let losses: Vec<f64> = rows.map(|(i, row)| dispatch(Loss { row, label: i })).collect();
    (losses.iter().sum::<f64>() / size as f64) as f32
}

/// Overwrites the softmax with `dx = (softmax(x) − 1)·dloss/B`, the 1 being the unit matrix.
pub(crate) fn backward(softmax: &mut Array2<f32>, dloss: f32) {
    let size = softmax.ncols();
    flat_mut(softmax).par_chunks_mut(size).enumerate().for_each(|(i, row)| {
        row[i] -= 1.0;
        row.iter_mut().for_each(|x| *x *= dloss / size as f32);
    });
}

/// Overwrites a row with its softmax, and returns its loss.
struct Loss<'a> {
    row: &'a mut [f32],
    label: usize,
}

impl Kernel for Loss<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) -> f64 {
        let right = self.row[self.label];
        let [highest, total] = math::softmax(s, 1.0, self.row);
        f64::from(highest) - f64::from(right) + f64::from(total).ln()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::Array2;
    use proptest::prelude::*;

    use crate::Rows;
    use crate::ops::testing::{Case, check};

    fn oracle(x: &Array2<f64>) -> Array2<f64> {
        let loss = |(i, row): (usize, ndarray::ArrayView1<f64>)| row.mapv(f64::exp).sum().ln() - row[i];
        Array2::from_elem((1, 1), x.outer_iter().enumerate().map(loss).sum::<f64>() / x.nrows() as f64)
    }

    proptest! {
        #[test]
        fn agrees_with_f64(size in 1..20usize, seed: u64) {
            check(
                &Case { rows: Arc::new(Rows::default()), inputs: vec![(size, size)], params: vec![], seed },
                |tape, x, _| tape.cross_entropy(x[0]),
                |x, _| oracle(&x[0]),
            );
        }
    }
}
