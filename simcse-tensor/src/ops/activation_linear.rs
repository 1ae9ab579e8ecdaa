//! `y = f(h)·Wᵀ + b` with an activation function `f`.
//!
//! PyTorch: `linear(ACT2FN[name](h), W, b)`, where `ACT2FN` is that of transformers'
//! `activations.py`. `h` (N, F), `W` (C, F), `b` (C), `y` (N, C).
//!
//! This is one operation rather than two, so that only `h` is kept: backward computes what `f′(h)`
//! needs anyway, and `f(h)` is a by-product.

use ndarray::Array2;

use crate::gemm::Addend;
use crate::ops::activation::{self, Activation};
use crate::ops::context::Context;
use crate::ops::linear::{self, Linear};
use crate::params::Grads;
use crate::profile::{Part, time};

/// Writes `f(h)` to `fh` (N, F), and `y` (N, C).
pub(crate) fn forward(
    context: Context,
    activation: Activation,
    h: &Array2<f32>,
    linear: Linear,
    fh: &mut Array2<f32>,
    y: &mut Array2<f32>,
) {
    time(Part::ACTIVATION, || activation::forward(activation, h, fh));
    time(Part::FORWARD, || linear::forward(context, fh, linear, y));
}

/// `dW += dyᵀ·f(h)`, `db += Σ_i dy[i]`, `dh = (dy·W) ⊙ f′(h)`. Overwrites `h` with `f(h)`.
pub(crate) fn backward(
    context: Context,
    activation: Activation,
    h: &mut Array2<f32>,
    linear: Linear,
    dy: &Array2<f32>,
    dh: &mut Array2<f32>,
    grads: &mut Grads,
) {
    time(Part::DX, || linear::backward_input(context, linear, dy, Addend::Zero, dh));
    time(Part::ACTIVATION, || activation::backward(activation, h, dh));
    time(Part::DW, || linear::backward_parameters(context, h, linear, dy, grads));
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;
    use proptest::prelude::*;

    use crate::ops::activation::tests::{any_activation, oracle};
    use crate::ops::testing::{Case, check, sentences};

    proptest! {
        #[test]
        fn agrees_with_f64(
            activation in any_activation(),
            rows in sentences(),
            width in 1..7usize,
            out in 1..7usize,
            seed: u64,
        ) {
            let inputs = vec![(rows.tokens(), width)];
            let params = vec![(out, width), (out, 1)];
            check(
                &Case { rows, inputs, params, seed },
                |tape, h, p| tape.activation_linear(h[0], activation, p[0], p[1]),
                |h, p| h[0].mapv(|h| oracle(activation, h).0).dot(&p[0].t()) + p[1].t().index_axis(Axis(0), 0),
            );
        }
    }
}
