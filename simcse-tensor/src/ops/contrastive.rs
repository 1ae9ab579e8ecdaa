//! The contrastive loss of rows of unit length, `z = (z₁; z₂)`:
//! `loss = mean_i ( log Σ_j e^{scale·z₁ᵢ·z₂ⱼ} − scale·z₁ᵢ·z₂ᵢ )`.
//!
//! PyTorch: `cross_entropy(scale * z1 @ z2.T, torch.arange(B))`. `z` (2B, C).
//!
//! The (B, B) matrix of similarities never exists as a whole. The loss is a single number, so its
//! gradient is known, up to a factor, as soon as a row's softmax is: a block of rows is computed,
//! turned into its own gradient in place, and multiplied into `dz` before the next one. Only these
//! last products are rounded to `precision`: in the similarities, the scale would multiply the
//! error.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::gemm::{Addend, gemm, gemm_scratch_bytes};
use crate::ops::elementwise::{CHUNK, flat_mut};
use crate::precision::Precision;
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// How many rows of similarities exist at a time. In tests, few enough that their small batches
/// have several blocks and a last one that is not full.
const ROWS: usize = if cfg!(test) { 5 } else { 1024 };

/// The bytes of memory that the loss needs in addition to `z` and its gradient, for two views of
/// `size` sentences and embeddings of `width` values.
pub fn contrastive_scratch_bytes(size: usize, width: usize) -> usize {
    let [rows, columns] = <[usize; 2]>::from(similarities_shape(size));
    rows * columns * size_of::<f32>() + gemm_scratch_bytes(Precision::F32, width, size)
}

/// The shape of the buffer of similarities that the forward needs.
pub(crate) fn similarities_shape(size: usize) -> (usize, usize) {
    (ROWS.min(size), size)
}

/// Returns the loss and writes its gradient `dz` (2B, C), using `similarities`, whose shape is
/// [`similarities_shape`], as working memory.
pub(crate) fn forward(
    precision: Precision,
    z: &Array2<f32>,
    scale: f32,
    similarities: &mut Array2<f32>,
    dz: &mut Array2<f32>,
) -> f32 {
    let size = z.nrows() / 2;
    let width = z.ncols();
    let (z1, z2) = z.view().split_at(Axis(0), size);
    let (dz1, dz2) = flat_mut(dz).split_at_mut(size * width);
    dz2.fill(0.0);
    let mut sum = 0.0;
    for (block, (z1, dz1)) in z1.axis_chunks_iter(Axis(0), ROWS).zip(dz1.chunks_mut(ROWS * width)).enumerate() {
        let rows = &mut flat_mut(similarities)[..z1.nrows() * size];
        gemm(Precision::F32, z1, z2.t(), Addend::Zero, &[width], rows);
        sum += cross_entropy(rows, block * ROWS, size, scale);
        let ds = ArrayView2::from_shape((z1.nrows(), size), rows).expect("rows of the similarities");
        // A row of dz₁ depends on its block alone; every row of dz₂ is a sum over all blocks.
        gemm(precision, ds, z2, Addend::Zero, &[size], dz1);
        gemm(precision, ds.t(), z1, Addend::Existing, &[z1.nrows()], dz2);
    }
    (sum / size as f64) as f32
}

/// Multiplies `dz`, which the forward wrote for a loss of weight 1, by `dloss`.
pub(crate) fn backward(dz: &mut Array2<f32>, dloss: f32) {
    flat_mut(dz).par_chunks_mut(CHUNK).for_each(|dz| dz.iter_mut().for_each(|dz| *dz *= dloss));
}

/// Overwrites rows of the (B, B) similarities `s`, starting with row `first`, with the mean loss's
/// gradient `(softmax(scale·s) − I)·scale/B`, and returns the sum of the rows' losses.
pub(crate) fn cross_entropy(rows: &mut [f32], first: usize, size: usize, scale: f32) -> f64 {
    let rows = rows.par_chunks_exact_mut(size).enumerate();
    let losses: Vec<f64> = rows.map(|(i, row)| dispatch(CrossEntropy { row, label: first + i, scale })).collect();
    losses.iter().sum()
}

/// One row, whose right answer is column `label`.
struct CrossEntropy<'a> {
    row: &'a mut [f32],
    label: usize,
    scale: f32,
}

impl Kernel for CrossEntropy<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) -> f64 {
        let Self { row, label, scale } = self;
        let right = f64::from(scale) * f64::from(row[label]);
        let [highest, total] = math::softmax(s, scale, row);
        row[label] -= 1.0;
        let factor = s.splat(scale / row.len() as f32);
        math::map(s, row, |x| s.mul(x, factor));
        // log Σ e^x = highest + ln(total). The sum is f64, and the two large terms come first: with
        // logits of 10³⁰ they cancel, and in f32 the small one would be lost.
        f64::from(highest) - right + f64::from(total).ln()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{Array2, s};
    use proptest::prelude::*;

    use crate::Rows;
    use crate::ops::testing::{Case, check};

    const SCALE: f32 = 20.0;

    fn oracle(z: &Array2<f64>) -> Array2<f64> {
        let half = z.nrows() / 2;
        let z1 = z.slice(s![..half, ..]);
        let z2 = z.slice(s![half.., ..]);
        let logits = z1.dot(&z2.t()) * f64::from(SCALE);
        let loss = |(i, row): (usize, ndarray::ArrayView1<f64>)| {
            let highest = row.fold(f64::NEG_INFINITY, |highest, &x| highest.max(x));
            highest + row.mapv(|x| (x - highest).exp()).sum().ln() - row[i]
        };
        Array2::from_elem((1, 1), logits.outer_iter().enumerate().map(loss).sum::<f64>() / half as f64)
    }

    proptest! {
        /// Over up to four blocks of rows.
        #[test]
        fn agrees_with_f64(half in 1..18usize, width in 1..9usize, seed: u64) {
            check(
                &Case { rows: Arc::new(Rows::default()), inputs: vec![(2 * half, width)], params: vec![], seed },
                |tape, z, _| tape.contrastive(z[0], SCALE),
                |z, _| oracle(&z[0]),
            );
        }
    }
}
