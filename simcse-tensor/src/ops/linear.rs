//! `y = x·Wᵀ + b`.
//!
//! PyTorch: `torch.nn.functional.linear(x, W, b)`. `x` (N, in), `W` (out, in), `b` (out), `y` (N,
//! out).

use ndarray::Array2;
use rayon::prelude::*;

use crate::gemm::{Addend, gemm};
use crate::ops::context::Context;
use crate::ops::elementwise::{flat, flat_mut};
use crate::params::{Grads, Slot};
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// The parameters of a linear map: `W` (out, in) and, unless there is none, `b` (out).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Slot,
    pub(crate) bias: Option<Slot>,
}

/// Writes `y` (N, out).
pub(crate) fn forward(context: Context, x: &Array2<f32>, linear: Linear, y: &mut Array2<f32>) {
    let addend = linear.bias.map_or(Addend::Zero, |bias| Addend::Bias(context.params.slice(bias)));
    if let Some(packed) = context.params.packed_transpose(linear.weight, context.precision) {
        return packed.product(x.view(), addend, flat_mut(y));
    }
    let weight = context.params.matrix(linear.weight);
    gemm(context.precision, x.view(), weight.reversed_axes(), addend, &[x.ncols()], flat_mut(y));
}

/// `dW += dyᵀ·x` and `db += Σ_i dy[i]`, with one partial sum per block of sentences.
pub(crate) fn backward_parameters(
    context: Context,
    x: &Array2<f32>,
    linear: Linear,
    dy: &Array2<f32>,
    grads: &mut Grads,
) {
    let ends = context.rows.block_ends();
    gemm(context.precision, dy.t(), x.view(), Addend::Existing, &ends, grads.slice_mut(linear.weight));
    if let Some(bias) = linear.bias {
        add_column_sums(flat(dy), dy.ncols(), &ends, grads.slice_mut(bias));
    }
}

/// `dx = addend + dy·W`; `dx` (N, in). With [`Addend::Existing`], the gradient is added to `dx`.
pub(crate) fn backward_input(context: Context, linear: Linear, dy: &Array2<f32>, addend: Addend, dx: &mut Array2<f32>) {
    let weight = context.params.matrix(linear.weight);
    gemm(context.precision, dy.view(), weight, addend, &[dy.ncols()], flat_mut(dx));
}

/// `sums[j] += Σ_i x[i][j]` for rows of `width` values: one partial sum per range of rows that ends
/// at one of `ends`, added in order.
pub(crate) fn add_column_sums(x: &[f32], width: usize, ends: &[usize], sums: &mut [f32]) {
    // Tasks divide the columns, not the rows: each sum then has one fixed order, and needs no
    // second pass over partial sums of other threads.
    const COLUMNS: usize = 256;
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, sums)| {
        dispatch(ColumnSums { x, width, first: chunk * COLUMNS, ends, sums });
    });
}

/// The sums of `sums.len()` columns from column `first` on.
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
        // Prefetched this many rows ahead: a task reads a strip of each row, and hardware does not
        // follow jumps of a whole row.
        const AHEAD: usize = 8;
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
            let inputs = vec![(rows.tokens(), width)];
            let params = vec![(out, width), (out, 1)];
            check(
                &Case { rows, inputs, params, seed },
                |tape, x, p| tape.linear(x[0], p[0], p[1]),
                |x, p| x[0].dot(&p[0].t()) + p[1].t().index_axis(Axis(0), 0),
            );
        }
    }
}
