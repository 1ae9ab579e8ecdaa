//! `y = gelu(h)·Wᵀ + b` with the exact `gelu(h) = h·Φ(h)` (Hendrycks and Gimpel 2016).
//!
//! PyTorch: `linear(torch.nn.functional.gelu(h), W, b)`. `h` (N, F), `W` (C, F), `b` (C), `y` (N,
//! C).
//!
//! One op, so that only `h` is kept: its backward needs Φ(h) for the derivative anyway, and
//! `gelu(h)` falls out.

use ndarray::Array2;
use rayon::prelude::*;

use crate::gemm::Addend;
use crate::ops::context::Context;
use crate::ops::elementwise::{CHUNK, flat, flat_mut};
use crate::ops::linear::{self, Linear};
use crate::params::Grads;
use crate::profile::{Part, time};
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// `g` (N, F) is overwritten with `gelu(h)`, `y` (N, C) with the result.
pub(crate) fn forward(context: Context, h: &Array2<f32>, linear: Linear, g: &mut Array2<f32>, y: &mut Array2<f32>) {
    let chunks = flat_mut(g).par_chunks_mut(CHUNK).zip(flat(h).par_chunks(CHUNK));
    time(Part::GELU, || chunks.for_each(|(g, h)| dispatch(Gelu { h, g })));
    time(Part::FORWARD, || linear::forward(context, g, linear, y));
}

/// `dW += dyᵀ·gelu(h)`, `db += Σ_i dy[i]`, `dh = (dy·W) ⊙ gelu'(h)`. Overwrites `h` with `gelu(h)`.
pub(crate) fn backward(
    context: Context,
    h: &mut Array2<f32>,
    linear: Linear,
    dy: &Array2<f32>,
    dh: &mut Array2<f32>,
    grads: &mut Grads,
) {
    time(Part::DX, || linear::backward_input(context, linear, dy, Addend::Zero, dh));
    let chunks = flat_mut(h).par_chunks_mut(CHUNK).zip(flat_mut(dh).par_chunks_mut(CHUNK));
    time(Part::GELU, || chunks.for_each(|(h, dh)| dispatch(GeluBackward { h, dh })));
    time(Part::DW, || linear::backward_parameters(context, h, linear, dy, grads));
}

struct Gelu<'a> {
    h: &'a [f32],
    g: &'a mut [f32],
}

impl Kernel for Gelu<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) {
        math::zip(s, self.h, self.g, |h, _| s.mul(h, math::normal(s, h).0));
    }
}

/// `dh ← dh·gelu'(h)`, `h ← gelu(h)`; `gelu'(h) = Φ(h) + h·φ(h)`.
struct GeluBackward<'a> {
    h: &'a mut [f32],
    dh: &'a mut [f32],
}

impl Kernel for GeluBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) {
        const INV_SQRT_2PI: f32 = 0.398_942_3;
        for i in (0..self.h.len()).step_by(S::LANES) {
            math::prefetch(s, self.h, i);
            math::prefetch(s, self.dh, i);
            let h = s.load_padded(&self.h[i..], 0.0);
            let dg = s.load_padded(&self.dh[i..], 0.0);
            let (cdf, bell) = math::normal(s, h);
            let slope = s.fma(s.mul(h, bell), s.splat(INV_SQRT_2PI), cdf);
            s.store_fitting(s.mul(dg, slope), &mut self.dh[i..]);
            s.store_fitting(s.mul(h, cdf), &mut self.h[i..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;
    use proptest::prelude::*;

    use crate::ops::testing::{Case, check, sentences};
    use crate::simd::math::tests::cdf;

    proptest! {
        #[test]
        fn agrees_with_f64(rows in sentences(), width in 1..7usize, out in 1..7usize, seed: u64) {
            let (inputs, params) = (vec![(rows.tokens(), width)], vec![(out, width), (out, 1)]);
            check(
                &Case { rows, inputs, params, seed },
                |tape, h, p| tape.gelu_linear(h[0], p[0], p[1]),
                |h, p| h[0].mapv(|h| h * cdf(h)).dot(&p[0].t()) + p[1].t().index_axis(Axis(0), 0),
            );
        }
    }
}
