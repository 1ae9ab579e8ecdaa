//! Functions of vectors: the exponential, the normal distribution, and loops over slices of any
//! length.

use crate::simd::vector::Simd;

/// `eˣ` with a relative error below 2·10⁻⁷; 0 below −87.3, where the result would be denormal, and
/// e⁸⁸ above 88, where it would soon be infinite.
///
/// Cody and Waite 1980: `x = n·ln 2 + r`, `|r| ≤ ln 2 / 2`, `eˣ = 2ⁿ·eʳ`.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F32) -> S::F32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.0;
    // ln 2 in two parts. The first is 355/512, which has so few bits that n·LN2_HIGH is exact, and
    // most of x cancels without an error; the second is the rest.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const TAYLOR: [f32; 8] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    // The clamp keeps n in the range of `exp2i`. NaN becomes `HIGHEST`.
    let highest = s.splat(HIGHEST);
    let clamped = s.max(s.where_less(x, highest, x, highest), s.splat(LOWEST));
    let n = s.round(s.mul(clamped, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN2_HIGH), clamped);
    let r = s.fma(n, s.splat(-LN2_LOW), r);
    let value = s.mul(polynomial(s, r, &TAYLOR), s.exp2i(n));
    s.where_less(x, s.splat(LOWEST), s.splat(0.0), value)
}

/// The normal distribution's `Φ(x)`, with an absolute error below 3·10⁻⁷, and `e^(−x²/2)`.
///
/// `Φ(−a) = ½·e^(−a²/2)·Q(1/(1 + 0.23a))` for `a ≥ 0`. Q is a minimax polynomial for `erfcx(a/√2)`
/// on 0..14 with a relative error of 5·10⁻⁸, in the form of Abramowitz and Stegun 7.1.26.
#[inline(always)]
pub(crate) fn normal<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    const Q: [f32; 9] = [
        -0.156_931_86,
        0.580_813_2,
        -0.556_222_1,
        0.602_907_8,
        -0.065_812_97,
        0.239_015_7,
        0.171_529_24,
        0.184_756_4,
        -5.549_197_7e-5,
    ];
    let zero = s.splat(0.0);
    let one = s.splat(1.0);
    let a = s.max(x, s.sub(zero, x));
    let bell = exp(s, s.mul(s.mul(a, a), s.splat(-0.5)));
    let t = s.div(one, s.fma(a, s.splat(0.23), one));
    let tail = s.mul(s.mul(bell, s.splat(0.5)), polynomial(s, t, &Q));
    (s.where_less(x, zero, tail, s.sub(one, tail)), bell)
}

/// The logistic functions `σ(x) = 1/(1 + e⁻ˣ)` and `σ(−x) = 1 − σ(x)`, with relative errors below
/// 5·10⁻⁷ each; 0 where the result would be denormal.
///
/// Both come from `e^(−|x|)`, which cannot overflow; subtracting from 1 would leave no digits of
/// the smaller one.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    let zero = s.splat(0.0);
    let one = s.splat(1.0);
    let size = s.max(x, s.sub(zero, x));
    let e = exp(s, s.sub(zero, size));
    let larger = s.div(one, s.add(one, e));
    let smaller = s.mul(e, larger);
    (s.where_less(x, zero, smaller, larger), s.where_less(x, zero, larger, smaller))
}

/// Horner's scheme; the coefficient of the highest power comes first.
#[inline(always)]
fn polynomial<S: Simd>(s: S, x: S::F32, coefficients: &[f32]) -> S::F32 {
    let (&first, rest) = coefficients.split_first().expect("a polynomial has coefficients");
    let mut value = s.splat(first);
    for &c in rest {
        value = s.fma(value, x, s.splat(c));
    }
    value
}

/// How many values ahead a pass over memory prefetches, 4 KiB. Hardware prefetchers stop at the end
/// of a page of that size, and a loop that also computes gives them too little time to start over.
const AHEAD: usize = 1024;

/// Prefetches the cache line that is [`AHEAD`] values after value `i`.
#[inline(always)]
pub(crate) fn prefetch<S: Simd>(s: S, x: &[f32], i: usize) {
    s.prefetch(x.as_ptr().wrapping_add(i + AHEAD));
}

/// `x ← f(x)`, element by element.
#[inline(always)]
pub(crate) fn map<S: Simd>(s: S, x: &mut [f32], f: impl Fn(S::F32) -> S::F32) {
    let mut i = 0;
    while i < x.len() {
        prefetch(s, x, i);
        let value = f(s.load_padded(&x[i..], 0.0));
        s.store_fitting(value, &mut x[i..]);
        i += S::LANES;
    }
}

/// `y ← f(x, y)`, element by element.
#[inline(always)]
pub(crate) fn zip<S: Simd>(s: S, x: &[f32], y: &mut [f32], f: impl Fn(S::F32, S::F32) -> S::F32) {
    let n = x.len().min(y.len());
    let mut i = 0;
    while i < n {
        prefetch(s, x, i);
        prefetch(s, y, i);
        let value = f(s.load_padded(&x[i..], 0.0), s.load_padded(&y[i..], 0.0));
        s.store_fitting(value, &mut y[i..]);
        i += S::LANES;
    }
}

/// `Σ f(xᵢ, yᵢ)`. `f(0, 0)` must be 0: the last vector is padded with zeros.
#[inline(always)]
pub(crate) fn sum<S: Simd>(s: S, x: &[f32], y: &[f32], f: impl Fn(S::F32, S::F32) -> S::F32) -> f32 {
    let n = x.len().min(y.len());
    let mut total = s.splat(0.0);
    let mut i = 0;
    while i < n {
        total = s.add(total, f(s.load_padded(&x[i..n], 0.0), s.load_padded(&y[i..n], 0.0)));
        i += S::LANES;
    }
    s.sum(total)
}

/// The statistics of a softmax: what it subtracted from its row before the exponential, and what it
/// divided by afterwards. The first plus the logarithm of the second is the log-sum-exp.
pub(crate) type SoftmaxStatistics = [f32; 2];

/// `x ← softmax(scale·x)`, with the error that [`softmax`](crate::softmax) states.
#[inline(always)]
pub(crate) fn softmax<S: Simd>(s: S, scale: f32, x: &mut [f32]) -> SoftmaxStatistics {
    let highest = x.iter().fold(f32::NEG_INFINITY, |highest, &x| highest.max(x * scale));
    exp_scaled(s, scale, highest, x);
    let total = sum(s, x, x, |x, _| x);
    let divisor = s.splat(total);
    map(s, x, |x| s.div(x, divisor));
    [highest, total]
}

/// [`softmax`] of several rows as if they were one.
#[inline(always)]
pub(crate) fn softmax_of_rows<S: Simd, const ROWS: usize>(
    s: S,
    scale: f32,
    mut rows: [&mut [f32]; ROWS],
) -> SoftmaxStatistics {
    let values = rows.iter().flat_map(|row| row.iter());
    let highest = values.fold(f32::NEG_INFINITY, |highest, &x| highest.max(x * scale));
    let mut total = 0.0;
    for row in &mut rows {
        exp_scaled(s, scale, highest, row);
        total += sum(s, row, row, |x, _| x);
    }
    let divisor = s.splat(total);
    rows.iter_mut().for_each(|row| map(s, row, |x| s.div(x, divisor)));
    [highest, total]
}

/// `x ← e^(scale·x − offset)`. This is a loop of its own, because a closure around [`exp`] would be
/// too large to be inlined.
#[inline(always)]
pub(crate) fn exp_scaled<S: Simd>(s: S, scale: f32, offset: f32, x: &mut [f32]) {
    let scale = s.splat(scale);
    let offset = s.splat(offset);
    let mut i = 0;
    while i < x.len() {
        let value = exp(s, s.sub(s.mul(s.load_padded(&x[i..], 0.0), scale), offset));
        s.store_fitting(value, &mut x[i..]);
        i += S::LANES;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::simd::{Kernel, Portable, dispatch};

    /// `Φ(x)`, `e^(−x²/2)`, `eˣ`, `σ(x)` and `σ(−x)`.
    struct Functions<'a> {
        x: &'a [f32],
        phi: &'a mut [f32],
        bell: &'a mut [f32],
        exponential: &'a mut [f32],
        sigmoid: &'a mut [f32],
        complement: &'a mut [f32],
    }

    /// The functions of each of `x`, in the order of the fields.
    fn functions(x: &[f32], portable: bool) -> [Vec<f32>; 5] {
        let mut values = [(); 5].map(|()| vec![0.0; x.len()]);
        let [phi, bell, exponential, sigmoid, complement] = &mut values;
        let kernel = Functions { x, phi, bell, exponential, sigmoid, complement };
        if portable {
            Portable::call(kernel)
        } else {
            dispatch(kernel)
        }
        values
    }

    impl Kernel for Functions<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S, _: &mut [f32]) {
            zip(s, self.x, self.phi, |x, _| normal(s, x).0);
            zip(s, self.x, self.bell, |x, _| normal(s, x).1);
            zip(s, self.x, self.exponential, |x, _| exp(s, x));
            zip(s, self.x, self.sigmoid, |x, _| sigmoid(s, x).0);
            zip(s, self.x, self.complement, |x, _| sigmoid(s, x).1);
        }
    }

    /// `Φ(x)` in f64 by the series `½ + φ(x)·(x + x³/3 + x⁵/15 + …)` (Marsaglia 2004).
    pub(crate) fn cdf(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        let mut k = 1.0;
        while term.abs() > 1e-18 {
            k += 2.0;
            term *= x * x / k;
            sum += term;
        }
        0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn functions_agree_with_f64() {
        let xs: Vec<f32> = (-120_000..=120_000).map(|i| i as f32 / 10_007.0 * 1.2).collect();
        for portable in [false, true] {
            let [phi, bell, exponential, sigmoid, complement] = functions(&xs, portable);
            for (i, &x) in xs.iter().enumerate() {
                let x = f64::from(x);
                // The series of the oracle cancels where x is large.
                if x.abs() < 6.0 {
                    assert!((f64::from(phi[i]) - cdf(x)).abs() < 3e-7, "Φ({x}) = {}, expected {}", phi[i], cdf(x));
                }
                assert!((f64::from(bell[i]) - (-x * x / 2.0).exp()).abs() < 1.5e-7, "bell({x}) = {}", bell[i]);
                assert!((f64::from(exponential[i]) / x.exp() - 1.0).abs() < 2e-7, "exp({x}) = {}", exponential[i]);
                for (found, x) in [(sigmoid[i], x), (complement[i], -x)] {
                    let expected = 1.0 / (1.0 + (-x).exp());
                    assert!((f64::from(found) / expected - 1.0).abs() < 5e-7, "σ({x}) = {found}, expected {expected}");
                }
            }
        }
    }

    #[test]
    fn functions_are_finite_at_the_edges() {
        let xs = [0.0, -0.0, 1e30, -1e30, f32::MAX, f32::MIN, 1e-40, -1e-40, f32::INFINITY, f32::NEG_INFINITY];
        let [phi, bell, exponential, sigmoid, complement] = functions(&xs, false);
        for (phi, expected) in phi.into_iter().zip([0.5, 0.5, 1.0, 0.0, 1.0, 0.0, 0.5, 0.5, 1.0, 0.0]) {
            assert!((phi - expected).abs() < 2e-7f32, "{phi}, expected {expected}");
        }
        assert!(bell.iter().chain(&exponential).all(|v| v.is_finite()), "{bell:?} {exponential:?}");
        assert_eq!([exponential[3], exponential[9], bell[2], bell[8]], [0.0; 4]);
        assert_eq!(sigmoid, [0.5, 0.5, 1.0, 0.0, 1.0, 0.0, 0.5, 0.5, 1.0, 0.0]);
        assert_eq!(complement, [0.5, 0.5, 0.0, 1.0, 0.0, 1.0, 0.5, 0.5, 0.0, 1.0]);
    }
}
