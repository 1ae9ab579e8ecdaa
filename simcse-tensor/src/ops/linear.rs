//! `y = x·Wᵀ + b`.
//!
//! PyTorch: `torch.nn.functional.linear(x, W, b)`. `x` (N, in), `W` (out, in), `b` (out), `y` (N, out).

use ndarray::Array2;
use rayon::prelude::*;

use crate::gemm::{Addend, gemm};
use crate::ops::elementwise::{flat, flat_mut};
use crate::params::{Grads, Params, Slot};
use crate::precision::Precision;
use crate::rows::Rows;
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// `y` (N, out).
pub(crate) fn forward(
    precision: Precision,
    x: &Array2<f32>,
    weight: Slot,
    bias: Slot,
    params: &Params,
    y: &mut Array2<f32>,
) {
    let addend = Addend::Bias(params.slice(bias));
    gemm(precision, x.view(), params.matrix(weight).reversed_axes(), addend, &[x.ncols()], flat_mut(y));
}

/// `dW += dyᵀ·x`, `db += Σ_i dy[i]`, both as partial sums over blocks of sentences.
pub(crate) fn backward_parameters(
    precision: Precision,
    x: &Array2<f32>,
    weight: Slot,
    bias: Slot,
    rows: &Rows,
    dy: &Array2<f32>,
    grads: &mut Grads,
) {
    let ends = rows.block_ends();
    gemm(precision, dy.t(), x.view(), Addend::Existing, &ends, grads.slice_mut(weight));
    add_column_sums(dy, &ends, grads.slice_mut(bias));
}

/// `dx = dy·W`, or `dx += dy·W` where `addend` keeps what is there; `dx` (N, in).
pub(crate) fn backward_input(
    precision: Precision,
    weight: Slot,
    params: &Params,
    dy: &Array2<f32>,
    addend: Addend,
    dx: &mut Array2<f32>,
) {
    gemm(precision, dy.view(), params.matrix(weight), addend, &[dy.ncols()], flat_mut(dx));
}

/// `sums[j] += Σ_i x[i][j]`: one partial sum per run of rows, added in order.
fn add_column_sums(x: &Array2<f32>, ends: &[usize], sums: &mut [f32]) {
    const COLUMNS: usize = 256;
    let (x, width) = (flat(x), x.ncols());
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, sums)| {
        dispatch(ColumnSums { x, width, first: chunk * COLUMNS, ends, sums });
    });
}

/// The sums of the columns from `first` on.
struct ColumnSums<'a> {
    x: &'a [f32],
    width: usize,
    first: usize,
    ends: &'a [usize],
    sums: &'a mut [f32],
}

impl Kernel for ColumnSums<'_> {
    type Output = ();

    fn scratch(&self, _: usize) -> usize {
        self.sums.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, partial: &mut [f32]) {
        const AHEAD: usize = 8; // rows that are asked for before their turn
        let mut start = 0;
        for &end in self.ends {
            partial.fill(0.0);
            for row in self.x[start * self.width..end * self.width].chunks_exact(self.width) {
                let row = &row[self.first..][..partial.len()];
                for j in (0..row.len()).step_by(S::LANES) {
                    s.prefetch(row.as_ptr().wrapping_add(AHEAD * self.width + j));
                    let sum = s.add(s.load_padded(&partial[j..], 0.0), s.load_padded(&row[j..], 0.0));
                    s.store_fitting(sum, &mut partial[j..]);
                }
            }
            math::zip(s, partial, self.sums, |partial, sum| s.add(sum, partial));
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;
    use proptest::prelude::*;

    use crate::ops::testing::{Case, check, sentences};

    proptest! {
        #[test]
        fn agrees_with_f64(rows in sentences(), width in 1..7usize, out in 1..7usize, seed: u64) {
            let (inputs, params) = (vec![(rows.tokens(), width)], vec![(out, width), (out, 1)]);
            check(
                &Case { rows, inputs, params, seed },
                |tape, x, p| tape.linear(x[0], p[0], p[1]),
                |x, p| x[0].dot(&p[0].t()) + p[1].t().index_axis(Axis(0), 0),
            );
        }
    }
}
