//! Tests of numerical edges: what is finite in exact arithmetic stays finite and right, however
//! large, small or equal the inputs are.

use ndarray::Array2;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::named::Named;
use crate::ops::activation::{Activation, tests::oracle};
use crate::ops::activation_linear;
use crate::ops::attention;
use crate::ops::attention::op::Attention;
use crate::ops::context::Context;
use crate::ops::contrastive::example::{Block, cross_entropy};
use crate::ops::contrastive::loss::ContrastiveLoss;
use crate::ops::elementwise::{flat, flat_mut};
use crate::ops::layer_norm::{self, LayerNorm, Norm};
use crate::ops::linear::Linear;
use crate::ops::normalize;
use crate::simd::math::{self, SoftmaxStatistics};
use crate::simd::{Kernel, Simd, dispatch};
use crate::{Grads, Layout, Params, Precision, Rows};

const CASES: u32 = 10_000;

/// An ordinary number, or one at the limits of what activations and logits may be in f32.
fn number() -> impl Strategy<Value = f32> {
    let denormal =
        (1..0x0080_0000u32, any::<bool>()).prop_map(|(bits, minus)| f32::from_bits(bits | u32::from(minus) << 31));
    let limits = prop::sample::select(&[1e30, -1e30, 0.0, -0.0][..]);
    prop_oneof![4 => -40f32..40.0, 3 => limits, 1 => denormal]
}

fn row() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        4 => prop::collection::vec(number(), 1..40),
        1 => (number(), 1..40usize).prop_map(|(x, n)| vec![x; n]),
    ]
}

/// Equal up to a relative error, or up to the smallest normal number.
fn near(found: f32, expected: f64, bound: f64) -> bool {
    (f64::from(found) - expected).abs() <= bound * expected.abs() + f64::from(f32::MIN_POSITIVE)
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The softmax in f64, and the two parts of the log-sum-exp, whose sum may swallow the second.
fn softmax(x: &[f64]) -> (Vec<f64>, [f64; 2]) {
    let highest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = x.iter().map(|x| (x - highest).exp()).sum();
    (x.iter().map(|x| (x - highest).exp() / total).collect(), [highest, total.ln()])
}

struct Softmax<'a>(&'a mut [f32]);
impl Kernel for Softmax<'_> {
    type Output = SoftmaxStatistics;

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) -> SoftmaxStatistics {
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
        let error = (found - log_sum_exp).abs();
        prop_assert!(error <= 1e-6 * (1.0 + log_sum_exp.abs()), "{found}, expected {log_sum_exp}");
        for (found, expected) in x.iter().zip(expected) {
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-6, "{found}, expected {expected}");
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
        let options = ContrastiveLoss::simcse(1.0);
        let block = Block { loss: &options, size, first: 0, parts: [flat_mut(&mut x), &mut [], &mut []] };
        let loss = cross_entropy(block) / size as f64;
        prop_assert!((loss - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{loss}, expected {expected}");
        for (i, row) in x.outer_iter().enumerate() {
            let (expected, _) = softmax(&wide(&numbers[8 * i..][..size]));
            for (j, (found, expected)) in row.iter().zip(expected).enumerate() {
                let expected = (expected - f64::from(u8::from(i == j))) / size as f64;
                let error = (f64::from(*found) - expected).abs();
                prop_assert!(error <= 1e-6, "d[{i}, {j}] = {found}, expected {expected}");
            }
        }
    }

    /// Includes rows of one repeated value, whose variance is zero: the output is exactly β.
    #[test]
    fn layer_norm_of_rows_without_variance(
        x in prop_oneof![
            (-40f32..40.0, 1..40usize).prop_map(|(x, n)| vec![x; n]),
            prop::collection::vec(-1e-38f32..1e-38, 1..40),
        ],
        dy in prop::collection::vec(-1f32..1.0, 40),
    ) {
        let width = x.len();
        let rows = Rows::new([1], vec![0]);
        let mut layout = Layout::default();
        let [gamma, beta] = ["gamma", "beta"].map(|name| layout.push(name, &[width], false, true));
        let mut params = Params::zeros(layout.into());
        params.slice_mut(gamma).fill(1.5);
        params.slice_mut(beta).fill(0.25);
        let context = Context { params: &params, rows: &rows, precision: Precision::F32 };
        let mut grads = Grads::zeros(params.layout().clone());
        let op = LayerNorm { norm: Norm { gamma, beta: Some(beta), eps: 1e-12 }, dropout: None };
        let mut sum = Array2::from_shape_vec((1, width), x).unwrap();
        let values = wide(flat(&sum));
        let mut statistics = [[0.0; 2]];
        let mut y = Array2::zeros((1, width));
        layer_norm::forward(context, &op, &mut sum, None, &mut statistics, &mut y);
        let mean = values.iter().sum::<f64>() / width as f64;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        let rstd = 1.0 / (variance + 1e-12).sqrt();
        for (found, x) in flat(&y).iter().zip(&values) {
            let expected = (x - mean) * rstd * 1.5 + 0.25;
            prop_assert!(near(*found, expected, 1e-6), "{found}, expected {expected}");
        }

        let mut d = Array2::from_shape_vec((1, width), dy[..width].to_vec()).unwrap();
        let g: Vec<f64> = wide(flat(&d)).iter().map(|dy| 1.5 * dy).collect();
        layer_norm::backward(context, &op, &sum, &statistics, &mut d, None, &mut grads);
        let mean_g = g.iter().sum::<f64>() / width as f64;
        for (found, g) in flat(&d).iter().zip(&g) {
            let expected = (g - mean_g) * rstd; // x̂ is 0
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-6 * rstd, "{found}, expected {expected}");
        }
    }

    #[test]
    fn normalization_of_rows_of_any_length(x in row(), dy in prop::collection::vec(-1f32..1.0, 40)) {
        let width = x.len();
        let values = wide(&x);
        let length = values.iter().map(|x| x * x).sum::<f64>().sqrt();
        let divisor = length.max(1e-12);
        let mut y = Array2::from_shape_vec((1, width), x).unwrap();
        let lengths = normalize::forward(&mut y);
        for (found, x) in flat(&y).iter().zip(&values) {
            prop_assert!(near(*found, x / divisor, 1e-6), "{found}, expected {x} / {length}");
        }

        let mut dx = Array2::from_shape_vec((1, width), dy[..width].to_vec()).unwrap();
        normalize::backward(&y, &lengths, &mut dx);
        let along: f64 = values.iter().zip(&dy).map(|(x, dy)| x / divisor * f64::from(*dy)).sum();
        for ((found, x), dy) in flat(&dx).iter().zip(&values).zip(&dy) {
            let y = x / divisor;
            let projection = if length > 1e-12 { y * along } else { 0.0 };
            let expected = (f64::from(*dy) - projection) / divisor;
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-5 / divisor, "{found}, expected {expected}");
        }
    }

    #[test]
    fn activations_and_their_slopes(activation in prop::sample::select(Activation::ALL), h in row()) {
        let width = h.len();
        let rows = Rows::new([1], vec![0]);
        // A linear map that changes nothing.
        let mut layout = Layout::default();
        let weight = layout.push("weight", &[width, width], true, true);
        let bias = layout.push("bias", &[width], false, true);
        let linear = Linear { weight, bias: Some(bias) };
        let mut params = Params::zeros(layout.into());
        (0..width).for_each(|i| params.slice_mut(weight)[i * width + i] = 1.0);
        let context = Context { params: &params, rows: &rows, precision: Precision::F32 };
        let mut grads = Grads::zeros(params.layout().clone());
        let name = activation.name();

        let values = wide(&h);
        let mut h = Array2::from_shape_vec((1, width), h).unwrap();
        let [mut fh, mut y, mut dh] = [(); 3].map(|()| Array2::zeros((1, width)));
        activation_linear::forward(context, activation, &h, linear, &mut fh, &mut y);
        for (found, &x) in flat(&fh).iter().zip(&values) {
            let (expected, _) = oracle(activation, x);
            let bound = 4e-7 * x.abs().min(30.0) + f64::from(f32::MIN_POSITIVE);
            let error = (f64::from(*found) - expected).abs();
            prop_assert!(near(*found, expected, 1e-6) || error <= bound, "{name}({x}) = {found}, expected {expected}");
        }
        let dy = Array2::ones((1, width));
        activation_linear::backward(context, activation, &mut h, linear, &dy, &mut dh, &mut grads);
        for (found, &x) in flat(&dh).iter().zip(&values) {
            let (_, expected) = oracle(activation, x);
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-6, "{name}'({x}) = {found}, expected {expected}");
        }
        prop_assert_eq!(flat(&h), flat(&fh), "{} differs between forward and backward", name);
    }

    /// Sentences of nothing but their two special tokens, with logits of up to ±10³⁰. Heads are one
    /// column wide, so that a logit is a single product and rounding cannot decide between two.
    #[test]
    fn attention_of_two_tokens(
        heads in 1..4usize,
        logits in prop::collection::vec(
            prop_oneof![4 => -6f32..6.0, 1 => Just(1e15), 1 => Just(-1e15), 1 => Just(1e-40)],
            12,
        ),
        values in prop::collection::vec(prop_oneof![-40f32..40.0, Just(1e-40)], 6),
        dout in prop::collection::vec(-1f32..1.0, 6),
    ) {
        let op = Attention { heads, ..Attention::default() };
        let rows = Rows::new([2], vec![0]);
        let mut qkv = Array2::from_shape_fn((2, 3 * heads), |(i, j)| {
            if j < 2 * heads { logits[6 * i + j] } else { values[3 * i + j - 2 * heads] }
        });
        let column = |part: usize, h: usize| [0, 1].map(|i| f64::from(qkv[[i, part * heads + h]]));
        let expected = Array2::from_shape_fn((2, heads), |(i, h)| {
            let [q, k, v] = [0, 1, 2].map(|part| column(part, h));
            let (p, _) = softmax(&k.map(|k| q[i] * k));
            p[0] * v[0] + p[1] * v[1]
        });
        let largest = values.iter().fold(0.0, |largest: f64, &v| largest.max(f64::from(v).abs()));
        let bound = 3e-6 * largest + f64::from(f32::MIN_POSITIVE);
        let mut statistics = vec![[0.0; 2]; 2 * heads];
        let mut o = Array2::zeros((2, heads));
        attention::forward(&op, &qkv, None, &rows, &mut statistics, &mut o);
        for (found, expected) in o.iter().zip(&expected) {
            prop_assert!((f64::from(*found) - expected).abs() <= bound, "{found}, expected {expected}");
        }
        let dout = Array2::from_shape_fn((2, heads), |(i, h)| dout[3 * i + h]);
        attention::backward(&op, &mut qkv, None, &rows, &statistics, &dout);
        prop_assert!(qkv.iter().all(|d| d.is_finite()), "{qkv}");
    }
}
