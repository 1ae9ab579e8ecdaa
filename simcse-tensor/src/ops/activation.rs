//! `y = f(h)` with an activation function `f`.
//!
//! PyTorch: `ACT2FN[name](h)`, where `ACT2FN` is that of transformers' `activations.py`. `h` (N,
//! F), `y` (N, F).
//!
//! All functions but ReLU are gated: `f(h) = h·g(h)` with a gate between 0 and 1. For the exact
//! GELU `g` is the normal distribution, for all others the logistic function `σ` of a polynomial
//! `p`, because `½(1 + tanh(u)) = σ(2u)`. Hence `f′ = σ(p) + h·σ(p)·σ(−p)·p′`.

use std::marker::PhantomData;

use ndarray::Array2;
use rayon::prelude::*;

use crate::named::Named;
use crate::ops::elementwise::{CHUNK, flat, flat_mut};
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// An activation function. Values with the same formula differ in nothing but their name.
///
/// ```
/// use simcse_tensor::{Activation, Named};
///
/// assert_eq!(Activation::from_name("gelu_new"), Ok(Activation::GeluNew));
/// assert_eq!(Activation::default().name(), "gelu");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// `h·Φ(h)`, the exact GELU (Hendrycks and Gimpel 2016). PyTorch: `nn.functional.gelu(h)`.
    #[default]
    Gelu,
    /// The exact GELU. PyTorch: `h * 0.5 * (1.0 + erf(h / sqrt(2.0)))`.
    GeluPython,
    /// The tanh approximation of GELU. PyTorch:
    /// `0.5 * h * (1.0 + tanh(sqrt(2.0 / pi) * (h + 0.044715 * pow(h, 3.0))))`.
    GeluNew,
    /// The tanh approximation of GELU. PyTorch: `nn.functional.gelu(h, approximate="tanh")`.
    GeluPytorchTanh,
    /// The tanh approximation of GELU. PyTorch:
    /// `0.5 * h * (1.0 + tanh(h * 0.7978845608 * (1.0 + 0.044715 * h * h)))`.
    GeluFast,
    /// The sigmoid approximation of GELU. PyTorch: `h * sigmoid(1.702 * h)`.
    QuickGelu,
    /// `h·σ(h)`. PyTorch: `nn.functional.silu(h)`.
    Silu,
    /// `max(h, 0)`; its slope at 0 is 0. PyTorch: `nn.functional.relu(h)`.
    Relu,
}

impl Named for Activation {
    const ALL: &'static [Self] = &[
        Self::Gelu,
        Self::GeluPython,
        Self::GeluNew,
        Self::GeluPytorchTanh,
        Self::GeluFast,
        Self::QuickGelu,
        Self::Silu,
        Self::Relu,
    ];

    /// The function's name in transformers, as in `hidden_act` of a `config.json`.
    fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluPython => "gelu_python",
            Self::GeluNew => "gelu_new",
            Self::GeluPytorchTanh => "gelu_pytorch_tanh",
            Self::GeluFast => "gelu_fast",
            Self::QuickGelu => "quick_gelu",
            Self::Silu => "silu",
            Self::Relu => "relu",
        }
    }
}

/// What is done with an activation function.
pub(crate) trait Task {
    /// Does it with `F`, which kernels know when they are compiled.
    fn run<F: Function>(self);
}

/// Chooses the function, once for a whole matrix.
pub(crate) fn with_function(activation: Activation, task: impl Task) {
    match activation {
        Activation::Gelu | Activation::GeluPython => task.run::<ExactGelu>(),
        Activation::GeluNew | Activation::GeluPytorchTanh | Activation::GeluFast => task.run::<Gated<Cubic>>(),
        Activation::QuickGelu => task.run::<Gated<Scaled>>(),
        Activation::Silu => task.run::<Gated<Identity>>(),
        Activation::Relu => task.run::<Relu>(),
    }
}

/// Writes `y` (N, F).
pub(crate) fn forward(activation: Activation, h: &Array2<f32>, y: &mut Array2<f32>) {
    struct Values<'a>(&'a [f32], &'a mut [f32]);
    impl Task for Values<'_> {
        fn run<F: Function>(self) {
            let chunks = self.1.par_chunks_mut(CHUNK).zip(self.0.par_chunks(CHUNK));
            chunks.for_each(|(fh, h)| dispatch(Forward::<F> { h, fh, of: PhantomData }));
        }
    }
    with_function(activation, Values(flat(h), flat_mut(y)));
}

/// Turns `dy` into `dh = dy ⊙ f′(h)`. Overwrites `h` with `f(h)`.
pub(crate) fn backward(activation: Activation, h: &mut Array2<f32>, dy: &mut Array2<f32>) {
    struct Gradients<'a>(&'a mut [f32], &'a mut [f32]);
    impl Task for Gradients<'_> {
        fn run<F: Function>(self) {
            let chunks = self.0.par_chunks_mut(CHUNK).zip(self.1.par_chunks_mut(CHUNK));
            chunks.for_each(|(h, dh)| dispatch(Backward::<F> { h, dh, of: PhantomData }));
        }
    }
    with_function(activation, Gradients(flat_mut(h), flat_mut(dy)));
}

struct Forward<'a, F> {
    h: &'a [f32],
    fh: &'a mut [f32],
    of: PhantomData<F>,
}

impl<F: Function> Kernel for Forward<'_, F> {
    type Output = ();

    // A loop of its own: a closure around an activation would be too large to be inlined.
    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) {
        for i in (0..self.h.len()).step_by(S::LANES) {
            math::prefetch(s, self.h, i);
            math::prefetch(s, self.fh, i);
            let value = F::value(s, s.load_padded(&self.h[i..], 0.0));
            s.store_fitting(value, &mut self.fh[i..]);
        }
    }
}

struct Backward<'a, F> {
    h: &'a mut [f32],
    dh: &'a mut [f32],
    of: PhantomData<F>,
}

impl<F: Function> Kernel for Backward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) {
        for i in (0..self.h.len()).step_by(S::LANES) {
            math::prefetch(s, self.h, i);
            math::prefetch(s, self.dh, i);
            let (value, slope) = F::value_and_slope(s, s.load_padded(&self.h[i..], 0.0));
            let dvalue = s.load_padded(&self.dh[i..], 0.0);
            s.store_fitting(s.mul(dvalue, slope), &mut self.dh[i..]);
            s.store_fitting(value, &mut self.h[i..]);
        }
    }
}

/// A function of one variable and its derivative.
pub(crate) trait Function: Send + Sync {
    /// `f(h)`.
    fn value<S: Simd>(s: S, h: S::F32) -> S::F32;

    /// `f(h)` and `f′(h)`.
    fn value_and_slope<S: Simd>(s: S, h: S::F32) -> (S::F32, S::F32);
}

/// `h·Φ(h)`, with the slope `Φ(h) + h·φ(h)`.
struct ExactGelu;

impl Function for ExactGelu {
    #[inline(always)]
    fn value<S: Simd>(s: S, h: S::F32) -> S::F32 {
        let (cdf, _) = math::normal(s, h);
        s.mul(h, cdf)
    }

    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, h: S::F32) -> (S::F32, S::F32) {
        const INV_SQRT_2PI: f32 = 0.398_942_3;
        let (cdf, bell) = math::normal(s, h);
        let slope = s.fma(s.mul(h, bell), s.splat(INV_SQRT_2PI), cdf);
        (s.mul(h, cdf), slope)
    }
}

/// `max(h, 0)`.
struct Relu;

impl Function for Relu {
    #[inline(always)]
    fn value<S: Simd>(s: S, h: S::F32) -> S::F32 {
        s.max(s.splat(0.0), h) // this order keeps NaN
    }

    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, h: S::F32) -> (S::F32, S::F32) {
        let slope = s.where_less(s.splat(0.0), h, s.splat(1.0), s.splat(0.0));
        (Self::value(s, h), slope)
    }
}

/// `h·σ(p(h))` with a polynomial `p`.
struct Gated<P>(PhantomData<P>);

/// The polynomial in a gate.
trait Polynomial: Send + Sync {
    /// `p(h)` and `p′(h)`.
    fn value_and_slope<S: Simd>(s: S, h: S::F32) -> (S::F32, S::F32);
}

impl<P: Polynomial> Function for Gated<P> {
    #[inline(always)]
    fn value<S: Simd>(s: S, h: S::F32) -> S::F32 {
        let (p, _) = P::value_and_slope(s, h);
        let (gate, _) = math::sigmoid(s, p);
        s.mul(h, gate)
    }

    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, h: S::F32) -> (S::F32, S::F32) {
        let (p, dp) = P::value_and_slope(s, h);
        let (gate, complement) = math::sigmoid(s, p);
        // Far from 0, the product of the gates is exactly 0; it comes first, so that h cannot
        // overflow.
        let slope = s.fma(s.mul(h, s.mul(gate, complement)), dp, gate);
        (s.mul(h, gate), slope)
    }
}

/// The tanh approximation of GELU: `p = 2√(2/π)·(h + 0.044715h³)`.
struct Cubic;

impl Polynomial for Cubic {
    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, h: S::F32) -> (S::F32, S::F32) {
        const SCALE: f32 = 1.595_769; // 2√(2/π)
        const CUBIC: f32 = 0.044_715;
        // p(±16) is ±317, where the gate has long been 0 or 1. Beyond, a cube would overflow, and
        // the slope would be 0·∞.
        const LIMIT: f32 = 16.0;
        let limit = s.splat(LIMIT);
        let h = s.max(s.where_less(h, limit, h, limit), s.splat(-LIMIT));
        let square = s.mul(h, h);
        let value = s.mul(s.mul(h, s.splat(SCALE)), s.fma(square, s.splat(CUBIC), s.splat(1.0)));
        let slope = s.fma(square, s.splat(3.0 * CUBIC * SCALE), s.splat(SCALE));
        (value, slope)
    }
}

/// The sigmoid approximation of GELU: `p = 1.702h`.
struct Scaled;

impl Polynomial for Scaled {
    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, h: S::F32) -> (S::F32, S::F32) {
        let scale = s.splat(1.702);
        (s.mul(h, scale), scale)
    }
}

/// SiLU: `p = h`.
struct Identity;

impl Polynomial for Identity {
    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, h: S::F32) -> (S::F32, S::F32) {
        (h, s.splat(1.0))
    }
}

#[cfg(test)]
#[path = "tests/activation.rs"]
pub(crate) mod tests;
