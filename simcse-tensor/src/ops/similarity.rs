//! Scaled similarities of the two halves of a matrix: `y = scale · z₁·z₂ᵀ`, `z = (z₁; z₂)`.
//!
//! sentence-transformers: `util.cos_sim(embeddings_a, embeddings_b) * scale` with normalised embeddings.
//! `z` (2B, C), `y` (B, B).

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::{CHUNK, flat_mut};
use crate::gemm::{Init, gemm};
use crate::words::Precision;

/// Overwrites `y`.
pub(crate) fn forward(z: &Array2<f32>, scale: f32, y: &mut Array2<f32>) {
    let (z1, z2) = z.view().split_at(Axis(0), z.nrows() / 2);
    gemm(Precision::F32, z1, z2.reversed_axes(), Init::Zero, &[z.ncols()], flat_mut(y));
    multiply(y, scale);
}

/// Overwrites `dz` with `(scale·dy·z₂; scale·dyᵀ·z₁)`, and `dy` with `scale·dy`.
pub(crate) fn backward(z: &Array2<f32>, scale: f32, dy: &mut Array2<f32>, dz: &mut Array2<f32>) {
    multiply(dy, scale);
    let (z1, z2) = z.view().split_at(Axis(0), z.nrows() / 2);
    let (dz1, dz2) = flat_mut(dz).split_at_mut(z1.len());
    gemm(Precision::F32, dy.view(), z2, Init::Zero, &[dy.ncols()], dz1);
    gemm(Precision::F32, dy.t(), z1, Init::Zero, &[dy.nrows()], dz2);
}

fn multiply(y: &mut Array2<f32>, scale: f32) {
    flat_mut(y).par_chunks_mut(CHUNK).for_each(|y| y.iter_mut().for_each(|y| *y *= scale));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::s;
    use proptest::prelude::*;

    use crate::Rows;
    use crate::ops::testing::{Case, check};

    proptest! {
        #[test]
        fn agrees_with_f64(half in 1..12usize, width in 1..9usize, seed: u64) {
            check(
                &Case { rows: Arc::new(Rows::default()), inputs: vec![(2 * half, width)], params: vec![], seed },
                |tape, z, _| tape.similarity(z[0], 20.0),
                |z, _| z[0].slice(s![..half, ..]).dot(&z[0].slice(s![half.., ..]).t()) * 20.0,
            );
        }
    }
}
