//! The operations of the tape, one file each: `forward` above `backward`, plain functions over matrices.
//!
//! Arguments have the same order in both. `x` is an input, `y` the output, `dx` and `dy` the loss's gradients with respect
//! to them. Gradients of parameters are added to [`Grads`](crate::Grads). Outputs are overwritten, whatever they hold.

pub(crate) mod attention;
pub(crate) mod contrastive;
pub(crate) mod dropout;
#[cfg(test)]
mod edges;
pub(crate) mod embedding;
pub(crate) mod gelu_linear;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod normalize;
pub(crate) mod pooling;
pub(crate) mod softmax;
#[cfg(test)]
pub(crate) mod testing;

use rayon::prelude::*;

use crate::math;
use crate::simd::{Kernel, Simd, dispatch};

/// `y ← y + x`, element by element.
pub(crate) fn add(x: &[f32], y: &mut [f32]) {
    struct Add<'a>(&'a [f32], &'a mut [f32]);
    impl Kernel for Add<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S, _: &mut [f32]) {
            math::zip(s, self.0, self.1, |x, y| s.add(x, y));
        }
    }
    assert_eq!(x.len(), y.len());
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| dispatch(Add(x, y)));
}

/// Values that one task of an elementwise operation handles.
pub(crate) const CHUNK: usize = 1 << 14;

/// The values of a matrix, row after row.
///
/// # Panics
/// If it is not row-major without gaps; all matrices of a tape are.
pub(crate) fn flat(matrix: &ndarray::Array2<f32>) -> &[f32] {
    matrix.as_slice().expect("a matrix of the tape is row-major")
}

/// The same, to change.
pub(crate) fn flat_mut(matrix: &mut ndarray::Array2<f32>) -> &mut [f32] {
    matrix.as_slice_mut().expect("a matrix of the tape is row-major")
}
