//! `y = (m ⊙ f(a) ⊙ g)·Wᵀ + b` for `h = [a, g]`, with an activation function `f`: the second half
//! of a feed-forward layer with a gated linear unit (Shazeer 2020, "GLU Variants Improve
//! Transformer"; GeGLU if `f` is GELU).
//!
//! PyTorch: `a, g = h.chunk(2, dim=-1); linear(dropout(ACT2FN[name](a) * g), W, b)`. `h` (N, 2F),
//! `W` (C, F), `b` (C), `y` (N, C). As in [`activation_linear`](crate::ops::activation_linear),
//! only `h` is kept.

use std::marker::PhantomData;

use ndarray::Array2;
use rayon::prelude::*;

use crate::gemm::Addend;
use crate::ops::activation::{self, Activation, Function, Task};
use crate::ops::context::Context;
use crate::ops::dropout::Dropout;
use crate::ops::elementwise::{flat, flat_mut};
use crate::ops::linear::{self, Linear};
use crate::params::Grads;
use crate::profile::{Part, time};
use crate::rows::Rows;
use crate::simd::{Kernel, Simd, dispatch};

/// The activation function of one half, and the dropout of the product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gated {
    pub(crate) activation: Activation,
    pub(crate) dropout: Option<Dropout>,
}

/// Writes `m ⊙ f(a) ⊙ g` to `fh` (N, F), and `y` (N, C).
pub(crate) fn forward(
    context: Context,
    op: Gated,
    h: &Array2<f32>,
    linear: Linear,
    fh: &mut Array2<f32>,
    y: &mut Array2<f32>,
) {
    let task = Values { rows: context.rows, dropout: op.dropout, width: fh.ncols(), h: flat(h), fh: flat_mut(fh) };
    time(Part::ACTIVATION, || activation::with_function(op.activation, task));
    time(Part::FORWARD, || linear::forward(context, fh, linear, y));
}

/// `dW += dyᵀ·fh`, `db += Σ_i dy[i]`, and with `d = m ⊙ (dy·W)`: `da = d ⊙ g ⊙ f′(a)`,
/// `dg = d ⊙ f(a)`. Overwrites `h` with its gradient, and `fh` (N, F) with what it was in the
/// forward.
pub(crate) fn backward(
    context: Context,
    op: Gated,
    h: &mut Array2<f32>,
    linear: Linear,
    dy: &Array2<f32>,
    fh: &mut Array2<f32>,
    grads: &mut Grads,
) {
    time(Part::DX, || linear::backward_input(context, linear, dy, Addend::Zero, fh));
    let task =
        Gradients { rows: context.rows, dropout: op.dropout, width: fh.ncols(), h: flat_mut(h), fh: flat_mut(fh) };
    time(Part::ACTIVATION, || activation::with_function(op.activation, task));
    time(Part::DW, || linear::backward_parameters(context, fh, linear, dy, grads));
}

struct Values<'a> {
    rows: &'a Rows,
    dropout: Option<Dropout>,
    width: usize,
    h: &'a [f32],
    fh: &'a mut [f32],
}

impl Task for Values<'_> {
    fn run<F: Function>(self) {
        let Self { rows, dropout, width, h, fh } = self;
        let fh = rows.split_sentences(fh, width);
        let tasks: Vec<_> = fh.into_iter().zip(rows.iter()).enumerate().collect();
        tasks.into_par_iter().for_each(|(sentence, (fh, range))| {
            let h = &h[2 * width * range.start..2 * width * range.end];
            let mask = Mask { dropout, stream: rows.stream(sentence), width };
            dispatch(Forward::<F> { mask, h, fh, of: PhantomData });
        });
    }
}

struct Gradients<'a> {
    rows: &'a Rows,
    dropout: Option<Dropout>,
    width: usize,
    h: &'a mut [f32],
    fh: &'a mut [f32],
}

impl Task for Gradients<'_> {
    fn run<F: Function>(self) {
        let Self { rows, dropout, width, h, fh } = self;
        let h = rows.split_sentences(h, 2 * width);
        let fh = rows.split_sentences(fh, width);
        let tasks: Vec<_> = h.into_iter().zip(fh).enumerate().collect();
        tasks.into_par_iter().for_each(|(sentence, (h, fh))| {
            let mask = Mask { dropout, stream: rows.stream(sentence), width };
            dispatch(Backward::<F> { mask, h, fh, of: PhantomData });
        });
    }
}

/// The dropout masks of a sentence, a row of `width` values for each token.
struct Mask {
    dropout: Option<Dropout>,
    stream: u32,
    width: usize,
}

impl Mask {
    #[inline(always)]
    fn draw<S: Simd>(&self, s: S, position: usize, mask: &mut [f32]) {
        match &self.dropout {
            Some(dropout) => dropout.mask_with(s, self.stream, position, mask),
            None => mask.fill(1.0),
        }
    }
}

/// One sentence.
struct Forward<'a, F> {
    mask: Mask,
    h: &'a [f32],
    fh: &'a mut [f32],
    of: PhantomData<F>,
}

impl<F: Function> Kernel for Forward<'_, F> {
    type Output = ();

    fn scratch(&self, _: usize) -> usize {
        self.mask.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, mask: &mut [f32]) {
        let width = self.mask.width;
        let rows = self.h.chunks_exact(2 * width).zip(self.fh.chunks_exact_mut(width));
        for (position, (h, fh)) in rows.enumerate() {
            self.mask.draw(s, position, mask);
            let (a, gate) = h.split_at(width);
            for i in (0..width).step_by(S::LANES) {
                let [a, gate, m] = [a, gate, &*mask].map(|row| s.load_padded(&row[i..], 0.0));
                s.store_fitting(s.mul(s.mul(F::value(s, a), gate), m), &mut fh[i..]);
            }
        }
    }
}

/// One sentence.
struct Backward<'a, F> {
    mask: Mask,
    h: &'a mut [f32],
    /// Starts as `dy·W`.
    fh: &'a mut [f32],
    of: PhantomData<F>,
}

impl<F: Function> Kernel for Backward<'_, F> {
    type Output = ();

    fn scratch(&self, _: usize) -> usize {
        self.mask.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, mask: &mut [f32]) {
        let width = self.mask.width;
        let rows = self.h.chunks_exact_mut(2 * width).zip(self.fh.chunks_exact_mut(width));
        for (position, (h, fh)) in rows.enumerate() {
            self.mask.draw(s, position, mask);
            let (a, gate) = h.split_at_mut(width);
            for i in (0..width).step_by(S::LANES) {
                let [x, g, m, d] = [&*a, &*gate, &*mask, &*fh].map(|row| s.load_padded(&row[i..], 0.0));
                let (value, slope) = F::value_and_slope(s, x);
                let d = s.mul(m, d);
                s.store_fitting(s.mul(s.mul(d, g), slope), &mut a[i..]);
                s.store_fitting(s.mul(d, value), &mut gate[i..]);
                s.store_fitting(s.mul(s.mul(value, g), m), &mut fh[i..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, s};
    use proptest::prelude::*;

    use crate::Dropout;
    use crate::ops::activation::tests::{any_activation, oracle};
    use crate::ops::testing::{Case, check, sentences};
    use crate::rng::Philox;

    proptest! {
        #[test]
        fn agrees_with_f64(
            activation in any_activation(),
            rows in sentences(),
            width in 1..20usize,
            out in 1..7usize,
            with_dropout: bool,
            seed: u64,
        ) {
            let dropout = with_dropout.then(|| Dropout { rate: 0.3, philox: Philox::new(seed), step: 1, site: 2 });
            let mask = Dropout::matrix(dropout.as_ref(), &rows, width);
            let inputs = vec![(rows.tokens(), 2 * width)];
            let params = vec![(out, width), (out, 1)];
            check(
                &Case { rows, inputs, params, seed },
                |tape, h, p| tape.gated_linear(h[0], activation, dropout, p[0], p[1]),
                |h, p| {
                    let [a, gate] = [0, width].map(|first| h[0].slice(s![.., first..first + width]));
                    let fh = a.mapv(|a| oracle(activation, a).0) * gate * &mask;
                    fh.dot(&p[0].t()) + p[1].t().index_axis(Axis(0), 0)
                },
            );
        }
    }
}
