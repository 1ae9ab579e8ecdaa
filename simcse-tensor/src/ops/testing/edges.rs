//! Numerical edges: what is finite in exact arithmetic stays finite and right, however large, small or equal the inputs.

use ndarray::Array2;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::ops::attention::{self, Attention};
use crate::ops::elementwise::{flat, flat_mut};
use crate::ops::layer_norm::{self, LayerNorm};
use crate::ops::{contrastive, gelu_linear, normalize};
use crate::simd::math::{self, SoftmaxMoments, tests::cdf};
use crate::simd::{Kernel, Simd, dispatch};
use crate::{Grads, Layout, Params, Precision, Rows};

const CASES: u32 = 10_000;

/// An ordinary number, or one of the ends of f32's range as far as activations and logits may go.
fn number() -> impl Strategy<Value = f32> {
    let denormal =
        (1..0x0080_0000u32, any::<bool>()).prop_map(|(bits, minus)| f32::from_bits(bits | u32::from(minus) << 31));
    prop_oneof![4 => -40f32..40.0, 1 => Just(1e30), 1 => Just(-1e30), 1 => Just(0.0), 1 => denormal]
}

fn row() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![4 => prop::collection::vec(number(), 1..40), 1 => (number(), 1..40usize).prop_map(|(x, n)| vec![x; n])]
}

/// Equal up to rounding; below f32's normal range, up to that.
fn near(found: f32, expected: f64, bound: f64) -> bool {
    (f64::from(found) - expected).abs() <= bound * expected.abs() + f64::from(f32::MIN_POSITIVE)
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The softmax in f64, and the log-sum-exp in two parts, whose sum may swallow the second.
fn softmax(x: &[f64]) -> (Vec<f64>, [f64; 2]) {
    let highest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = x.iter().map(|x| (x - highest).exp()).sum();
    (x.iter().map(|x| (x - highest).exp() / total).collect(), [highest, total.ln()])
}

struct Softmax<'a>(&'a mut [f32]);
impl Kernel for Softmax<'_> {
    type Output = SoftmaxMoments;
    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) -> SoftmaxMoments {
        math::softmax(s, 1.0, self.0)
    }
}

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    #[test]
    fn softmax_and_log_sum_exp(mut x in row()) {
        let (expected, log_sum_exp) = softmax(&wide(&x));
        let [highest, total] = dispatch(Softmax(&mut x));
        let log_sum_exp: f64 = log_sum_exp.iter().sum();
        let found = f64::from(highest + total.ln());
        prop_assert!((found - log_sum_exp).abs() <= 1e-6 * (1.0 + log_sum_exp.abs()), "{found}, not {log_sum_exp}");
        for (found, expected) in x.iter().zip(expected) {
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-6, "{found}, not {expected}");
        }
    }

    #[test]
    fn cross_entropy_of_logits(size in 1..9usize, numbers in prop::collection::vec(number(), 64)) {
        let mut x = Array2::from_shape_fn((size, size), |(i, j)| numbers[8 * i + j]);
        let loss_of = |i: usize| {
            let (_, [highest, rest]) = softmax(&wide(&numbers[8 * i..][..size]));
            highest - f64::from(numbers[9 * i]) + rest
        };
        let expected = (0..size).map(loss_of).sum::<f64>() / size as f64;
        let loss = contrastive::cross_entropy(flat_mut(&mut x), 0, size, 1.0) / size as f64;
        prop_assert!((loss - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{loss}, not {expected}");
        for (i, row) in x.outer_iter().enumerate() {
            let (expected, _) = softmax(&wide(&numbers[8 * i..][..size]));
            for (j, (found, expected)) in row.iter().zip(expected).enumerate() {
                let expected = (expected - f64::from(u8::from(i == j))) / size as f64;
                prop_assert!((f64::from(*found) - expected).abs() <= 1e-6, "d[{i}, {j}] = {found}, not {expected}");
            }
        }
    }

    /// Rows of one value, too: their variance is zero, and all of γ, β and dy that an output or gradient sees is exact.
    #[test]
    fn layer_norm_of_rows_without_variance(
        x in prop_oneof![(-40f32..40.0, 1..40usize).prop_map(|(x, n)| vec![x; n]), prop::collection::vec(-1e-38f32..1e-38, 1..40)],
        dy in prop::collection::vec(-1f32..1.0, 40),
    ) {
        let width = x.len();
        let (mut layout, rows) = (Layout::default(), Rows::new([1], vec![0]));
        let [gamma, beta] = ["gamma", "beta"].map(|name| layout.push(name, &[width], false, true));
        let mut params = Params::zeros(layout.into());
        params.slice_mut(gamma).fill(1.5);
        params.slice_mut(beta).fill(0.25);
        let mut grads = Grads::zeros(params.layout().clone());
        let op = LayerNorm { gamma, beta, eps: 1e-12, dropout: None };
        let (mut sum, mut y) = (Array2::from_shape_vec((1, width), x).unwrap(), Array2::zeros((1, width)));
        let (mut moments, values) = ([[0.0; 2]], wide(flat(&sum)));
        layer_norm::forward(&op, &mut sum, None, &params, &rows, &mut moments, &mut y);
        let mean = values.iter().sum::<f64>() / width as f64;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        let rstd = 1.0 / (variance + 1e-12).sqrt();
        for (found, x) in flat(&y).iter().zip(&values) {
            let expected = (x - mean) * rstd * 1.5 + 0.25;
            prop_assert!(near(*found, expected, 1e-6), "{found}, not {expected}");
        }
        let mut d = Array2::from_shape_vec((1, width), dy[..width].to_vec()).unwrap();
        let g: Vec<f64> = wide(flat(&d)).iter().map(|dy| 1.5 * dy).collect();
        layer_norm::backward(&op, &sum, &params, &rows, &moments, &mut d, None, &mut grads);
        let mean_g = g.iter().sum::<f64>() / width as f64;
        for (found, g) in flat(&d).iter().zip(&g) {
            let expected = (g - mean_g) * rstd; // x̂ is 0
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-6 * rstd, "{found}, not {expected}");
        }
    }

    #[test]
    fn normalization_of_any_length(x in row(), dy in prop::collection::vec(-1f32..1.0, 40)) {
        let width = x.len();
        let values = wide(&x);
        let length = values.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut y = Array2::from_shape_vec((1, width), x).unwrap();
        let lengths = normalize::forward(&mut y);
        for (found, x) in flat(&y).iter().zip(&values) {
            prop_assert!(near(*found, x / length.max(1e-12), 1e-6), "{found}, not {x} / {length}");
        }
        let mut dx = Array2::from_shape_vec((1, width), dy[..width].to_vec()).unwrap();
        normalize::backward(&y, &lengths, &mut dx);
        let along: f64 = values.iter().zip(&dy).map(|(x, dy)| x / length.max(1e-12) * f64::from(*dy)).sum();
        for ((found, x), dy) in flat(&dx).iter().zip(&values).zip(&dy) {
            let y = x / length.max(1e-12);
            let expected = (f64::from(*dy) - if length > 1e-12 { y * along } else { 0.0 }) / length.max(1e-12);
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-5 / length.max(1e-12), "{found}, not {expected}");
        }
    }

    #[test]
    fn gelu_and_its_slope(h in row()) {
        let width = h.len();
        let mut layout = Layout::default();
        let [weight, bias] = [layout.push("weight", &[width, width], true, true), layout.push("bias", &[width], false, true)];
        let mut params = Params::zeros(layout.into());
        (0..width).for_each(|i| params.slice_mut(weight)[i * width + i] = 1.0);
        let mut grads = Grads::zeros(params.layout().clone());
        let (values, mut h) = (wide(&h), Array2::from_shape_vec((1, width), h).unwrap());
        let [mut g, mut y, mut dh] = [(); 3].map(|()| Array2::zeros((1, width)));
        gelu_linear::forward(Precision::F32, &h, weight, bias, &params, &mut g, &mut y);
        let phi = |x: f64| if x.abs() > 30.0 { f64::from(u8::from(x > 0.0)) } else { cdf(x) };
        for (found, &x) in flat(&g).iter().zip(&values) {
            let bound = 4e-7 * x.abs().min(30.0) + f64::from(f32::MIN_POSITIVE);
            prop_assert!(near(*found, x * phi(x), 1e-6) || (f64::from(*found) - x * phi(x)).abs() <= bound, "gelu({x}) = {found}");
        }
        let rows = Rows::new([1], vec![0]);
        let dy = Array2::ones((1, width));
        gelu_linear::backward(Precision::F32, &mut h, weight, bias, &params, &rows, &dy, &mut dh, &mut grads);
        for (found, &x) in flat_mut(&mut dh).iter().zip(&values) {
            let expected = phi(x) + x * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-6, "gelu'({x}) = {found}, not {expected}");
        }
    }

    /// Sentences of nothing but their special tokens, with logits of up to ±10³⁰; one column a head, so that a logit is one
    /// product and rounding cannot decide between two.
    #[test]
    fn attention_of_two_tokens(
        heads in 1..4usize,
        logits in prop::collection::vec(prop_oneof![4 => -6f32..6.0, 1 => Just(1e15), 1 => Just(-1e15), 1 => Just(1e-40)], 12),
        values in prop::collection::vec(prop_oneof![-40f32..40.0, Just(1e-40)], 6),
        dout in prop::collection::vec(-1f32..1.0, 6),
    ) {
        let op = Attention { heads, dropout: None };
        let rows = Rows::new([2], vec![0]);
        let mut qkv = Array2::from_shape_fn((2, 3 * heads), |(i, j)| if j < 2 * heads { logits[6 * i + j] } else { values[3 * i + j - 2 * heads] });
        let column = |part: usize, h: usize| [0, 1].map(|i| f64::from(qkv[[i, part * heads + h]]));
        let expected = Array2::from_shape_fn((2, heads), |(i, h)| {
            let (q, k, v) = (column(0, h), column(1, h), column(2, h));
            let (p, _) = softmax(&k.map(|k| q[i] * k));
            p[0] * v[0] + p[1] * v[1]
        });
        let largest = values.iter().fold(0.0, |largest: f64, &v| largest.max(f64::from(v).abs()));
        let (mut moments, mut o) = (vec![[0.0; 2]; 2 * heads], Array2::zeros((2, heads)));
        attention::forward(&op, &qkv, &rows, &mut moments, &mut o);
        for (found, expected) in o.iter().zip(&expected) {
            prop_assert!((f64::from(*found) - expected).abs() <= 3e-6 * largest + f64::from(f32::MIN_POSITIVE), "{found}, not {expected}");
        }
        let dout = Array2::from_shape_fn((2, heads), |(i, h)| dout[3 * i + h]);
        attention::backward(&op, &mut qkv, &rows, &moments, &dout);
        prop_assert!(qkv.iter().all(|d| d.is_finite()), "{qkv}");
    }
}
