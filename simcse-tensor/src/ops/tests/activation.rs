use ndarray::array;
use proptest::prelude::*;

use super::*;
use crate::ops::testing::{Case, check, sentences};
use crate::simd::math::tests::cdf;

/// `f(h)` and `f′(h)` in f64.
pub(crate) fn oracle(activation: Activation, h: f64) -> (f64, f64) {
    use std::f64::consts::PI;
    let gated = |p: f64, dp: f64| {
        let [gate, complement] = [p, -p].map(|p| 1.0 / (1.0 + (-p).exp()));
        (h * gate, gate + h * (gate * complement) * dp)
    };
    match activation {
        Activation::Gelu | Activation::GeluPython => {
            // The series of `cdf` is for moderate numbers.
            let cdf = if h.abs() > 30.0 { f64::from(u8::from(h > 0.0)) } else { cdf(h) };
            (h * cdf, cdf + h * (-h * h / 2.0).exp() / (2.0 * PI).sqrt())
        }
        Activation::GeluNew | Activation::GeluPytorchTanh | Activation::GeluFast => {
            let scale = 2.0 * (2.0 / PI).sqrt();
            gated(scale * (h + 0.044715 * h.powi(3)), scale * (1.0 + 3.0 * 0.044715 * h * h))
        }
        Activation::QuickGelu => gated(1.702 * h, 1.702),
        Activation::Silu => gated(h, 1.0),
        Activation::Relu => (h.max(0.0), f64::from(u8::from(h > 0.0))),
    }
}

pub(crate) fn any_activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(Activation::ALL)
}

proptest! {
    #[test]
    fn agrees_with_f64(activation in any_activation(), rows in sentences(), width in 1..7usize, seed: u64) {
        let inputs = vec![(rows.tokens(), width)];
        check(
            &Case { rows, inputs, params: vec![], seed },
            |tape, h, _| tape.activation(h[0], activation),
            |h, _| h[0].mapv(|h| oracle(activation, h).0),
        );
    }
}

/// PyTorch 2.15 and transformers 5.23, in f64:
///
/// ```python
/// h = torch.tensor([-3.0, -0.5, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
/// y = ACT2FN[name](h)
/// y.sum().backward()
/// print(name, y, h.grad)
/// ```
#[test]
fn names_mean_what_they_mean_in_transformers() {
    const H: [f64; 4] = [-3.0, -0.5, 0.5, 2.0];
    let gelu = [
        [-0.004_049_694, -0.154_268_769, 0.345_731_231, 1.954_499_736],
        [-0.011_945_647, 0.132_504_875, 0.867_495_125, 1.085_231_801],
    ];
    let tanh = [
        [-0.003_637_392, -0.154_285_99, 0.345_714_01, 1.954_597_694],
        [-0.011_584_167, 0.132_630_096, 0.867_369_904, 1.086_099_257],
    ];
    let quick = [
        [-0.018_071_31, -0.149_611_563, 0.350_388_437, 1.935_658_623],
        [-0.024_548_324, 0.120_778_088, 0.879_221_912, 1.073_815_354],
    ];
    let silu = [
        [-0.142_277_62, -0.188_770_334, 0.311_229_666, 1.761_594_156],
        [-0.088_104_106, 0.260_038_813, 0.739_961_187, 1.090_784_249],
    ];
    let relu = [[0.0, 0.0, 0.5, 2.0], [0.0, 0.0, 1.0, 1.0]];
    for (name, [values, slopes]) in [
        ("gelu", gelu),
        ("gelu_python", gelu),
        ("gelu_new", tanh),
        ("gelu_pytorch_tanh", tanh),
        ("gelu_fast", tanh),
        ("quick_gelu", quick),
        ("silu", silu),
        ("relu", relu),
    ] {
        let activation = Activation::from_name(name).unwrap();
        for ((h, value), slope) in H.into_iter().zip(values).zip(slopes) {
            let found = oracle(activation, h);
            let close = (found.0 - value).abs() < 2e-9 && (found.1 - slope).abs() < 2e-9;
            assert!(close, "{name}({h}): {found:?}, expected {value} and {slope}");
        }
    }
}

#[test]
fn functions_pass_nan_on() {
    for &activation in Activation::ALL {
        let mut fh = Array2::zeros((1, 1));
        forward(activation, &array![[f32::NAN]], &mut fh);
        assert!(fh[[0, 0]].is_nan(), "{}", activation.name());
    }
}
