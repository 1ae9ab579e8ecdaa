//! Sums of the rows of A, which a product reads in any case: `db += Σ_i dy[i]` with `dW += dyᵀ·x`.

use ndarray::{ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::simd::{Kernel, Simd, dispatch};

/// `sums[m] += Σ_k a[m][k]`, with one partial sum for each range of K that ends at one of `k_ends`,
/// added in order. The columns of `a` (M × K) must be contiguous.
pub(crate) fn add_row_sums(a: ArrayView2<f32>, k_ends: &[usize], sums: &mut [f32]) {
    // Tasks divide M, not K: each sum then has one fixed order, and needs no second pass over
    // partial sums of other threads.
    const ROWS: usize = 256;
    let tasks = sums.par_chunks_mut(ROWS).zip(a.axis_chunks_iter(Axis(0), ROWS).into_par_iter());
    tasks.for_each(|(sums, a)| dispatch(RowSums { a, k_ends, sums }));
}

/// One task of [`add_row_sums`].
struct RowSums<'a> {
    a: ArrayView2<'a, f32>,
    k_ends: &'a [usize],
    sums: &'a mut [f32],
}

impl Kernel for RowSums<'_> {
    type Output = ();

    fn scratch(&self, _: usize) -> usize {
        0
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) {
        let mut start = 0;
        for &end in self.k_ends {
            add_column_sums(s, self.a.slice(s![.., start..end]).reversed_axes(), self.sums);
            start = end;
        }
    }
}

/// `sums[j] += Σ_k from[k][j]`, as one partial sum. The rows of `from` (K × M) must be contiguous.
#[inline(always)]
pub(super) fn add_column_sums<S: Simd>(s: S, from: ArrayView2<f32>, sums: &mut [f32]) {
    const VECTORS: usize = 4;
    let width = VECTORS * S::LANES;
    for (strip, sums) in sums.chunks_mut(width).enumerate() {
        let mut partial = [s.splat(0.0); VECTORS];
        for row in from.rows() {
            let row = row.to_slice().expect("a contiguous row");
            let values = row[strip * width..][..sums.len()].chunks(S::LANES);
            for (partial, values) in partial.iter_mut().zip(values) {
                *partial = s.add(*partial, s.load_padded(values, 0.0));
            }
        }
        for (partial, sums) in partial.into_iter().zip(sums.chunks_mut(S::LANES)) {
            s.store_fitting(s.add(s.load_padded(sums, 0.0), partial), sums);
        }
    }
}
