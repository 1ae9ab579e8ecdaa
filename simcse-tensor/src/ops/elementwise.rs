//! What operations share: matrices as flat slices, and the sum of two.

use rayon::prelude::*;

use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// The number of values that one parallel task of an elementwise operation handles.
pub(crate) const CHUNK: usize = 1 << 14;

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
    assert_eq!(x.len(), y.len(), "add: different lengths");
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| dispatch(Add(x, y)));
}

/// The values of a matrix, row after row.
///
/// # Panics
/// If it is not row-major without gaps; all matrices of a tape are.
pub(crate) fn flat(matrix: &ndarray::Array2<f32>) -> &[f32] {
    matrix.as_slice().expect("a matrix of the tape is row-major without gaps")
}

/// The values of a matrix, row after row, mutable.
///
/// # Panics
/// As [`flat`].
pub(crate) fn flat_mut(matrix: &mut ndarray::Array2<f32>) -> &mut [f32] {
    matrix.as_slice_mut().expect("a matrix of the tape is row-major without gaps")
}
