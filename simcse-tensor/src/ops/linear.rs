//! `y = x·Wᵀ + b`.
//!
//! PyTorch: `torch.nn.functional.linear(x, W, b)`. `x` (N, in), `W` (out, in), `b` (out), `y` (N,
//! out).

use ndarray::Array2;

use crate::gemm::{Addend, gemm, gemm_with_row_sums};
use crate::ops::context::Context;
use crate::ops::elementwise::flat_mut;
use crate::params::{Grads, Slot};

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
    let (precision, existing) = (context.precision, Addend::Existing);
    match linear.bias {
        None => gemm(precision, dy.t(), x.view(), existing, &ends, grads.slice_mut(linear.weight)),
        Some(bias) => {
            let [dweight, dbias] = grads.slices_mut([linear.weight, bias]);
            gemm_with_row_sums(precision, dy.t(), x.view(), existing, &ends, dbias, dweight);
        }
    }
}

/// `dx = addend + dy·W`; `dx` (N, in). With [`Addend::Existing`], the gradient is added to `dx`.
pub(crate) fn backward_input(context: Context, linear: Linear, dy: &Array2<f32>, addend: Addend, dx: &mut Array2<f32>) {
    let weight = context.params.matrix(linear.weight);
    gemm(context.precision, dy.view(), weight, addend, &[dy.ncols()], flat_mut(dx));
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
