//! AdamW's update of a run of parameters, and the sum of squares that clipping needs: one pass over
//! memory each.
//!
//! This file knows slices. It must not know which parameters they are.

use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// The decay rates `β₁` and `β₂` of the two moments.
pub const BETAS: [f64; 2] = [0.9, 0.999];

/// One step's update (Loshchilov and Hutter 2019; PyTorch: `torch.optim.AdamW`) given gradient `g`,
/// with everything precomputed that does not depend on the parameter:
///
/// ```text
/// g ← gradient_scale·g
/// m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²
/// p ← keep·p − step_size·m / (√v / root_correction + ε)
/// ```
///
/// The first step, with learning rate `η = 0.01` and without clipping or weight decay, moves each
/// parameter by `η` against its gradient:
///
/// ```
/// use simcse_tensor::{AdamWUpdate, BETAS};
///
/// let update = AdamWUpdate {
///     gradient_scale: 1.0,
///     keep: 1.0,
///     step_size: 0.01 / (1.0 - BETAS[0] as f32),
///     root_correction: (1.0 - BETAS[1] as f32).sqrt(),
///     eps: 1e-8,
/// };
/// let [mut p, mut m, mut v] = [[1.0, 1.0], [0.0; 2], [0.0; 2]];
/// update.apply(&mut p, &[3.0, -0.2], &mut m, &mut v);
/// assert!((p[0] - 0.99).abs() < 1e-5 && (p[1] - 1.01).abs() < 1e-5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AdamWUpdate {
    /// The factor by which clipping scales the gradient.
    pub gradient_scale: f32,
    /// `1 − η·λ`, with learning rate `η` and weight decay `λ`.
    pub keep: f32,
    /// `η / (1 − β₁ᵗ)`, with `t` the number of this step, counted from 1.
    pub step_size: f32,
    /// `√(1 − β₂ᵗ)`.
    pub root_correction: f32,
    /// `ε`.
    pub eps: f32,
}

impl AdamWUpdate {
    /// Updates parameters `p` and their moments `m` and `v`.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn apply(&self, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        let lengths = [g.len(), m.len(), v.len()];
        assert!(lengths == [p.len(); 3], "AdamW: {} parameters; gradients and moments: {lengths:?}", p.len());
        dispatch(Apply { update: self, p, g, m, v });
    }
}

struct Apply<'a> {
    update: &'a AdamWUpdate,
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) {
        let Self { update, p, g, m, v } = self;
        let [beta1, beta2] = BETAS.map(|beta| s.splat(beta as f32));
        let [rest1, rest2] = BETAS.map(|beta| s.splat((1.0 - beta) as f32));
        for i in (0..p.len()).step_by(S::LANES) {
            for x in [&*p, g, &*m, &*v] {
                math::prefetch(s, x, i);
            }
            let g = s.mul(s.load_padded(&g[i..], 0.0), s.splat(update.gradient_scale));
            let first = s.fma(beta1, s.load_padded(&m[i..], 0.0), s.mul(rest1, g));
            let second = s.fma(beta2, s.load_padded(&v[i..], 0.0), s.mul(rest2, s.mul(g, g)));
            let first = flush_denormals(s, first);
            let second = flush_denormals(s, second);
            let root = s.div(s.sqrt(second), s.splat(update.root_correction));
            let step = s.div(first, s.add(root, s.splat(update.eps)));
            let kept = s.mul(s.load_padded(&p[i..], 0.0), s.splat(update.keep));
            s.store_fitting(s.sub(kept, s.mul(s.splat(update.step_size), step)), &mut p[i..]);
            s.store_fitting(first, &mut m[i..]);
            s.store_fitting(second, &mut v[i..]);
        }
    }
}

/// Zero in place of a denormal. The moments of words that never occur again decay into the denormal
/// range and would stay there, where arithmetic costs a hundred times as much.
#[inline(always)]
fn flush_denormals<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let size = s.max(x, s.sub(s.splat(0.0), x));
    s.where_less(size, s.splat(f32::MIN_POSITIVE), s.splat(0.0), x)
}

/// The number of values whose squares are summed in f32.
pub const SQUARES: usize = 1024;

/// `Σ xᵢ²`: summed in f32 over [`SQUARES`] values at a time, then in f64 over these partial sums.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    struct Squares<'a>(&'a [f32]);
    impl Kernel for Squares<'_> {
        type Output = f64;

        #[inline(always)]
        fn run<S: Simd>(self, s: S, _: &mut [f32]) -> f64 {
            let mut total = 0.0;
            for x in self.0.chunks(SQUARES) {
                total += f64::from(math::sum(s, x, x, |x, _| s.mul(x, x)));
            }
            total
        }
    }
    dispatch(Squares(x))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn squares_agree_with_f64(x in prop::collection::vec(-3.0f32..3.0, 0..5000)) {
            let expected: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            prop_assert!((sum_of_squares(&x) - expected).abs() <= 1e-6 * expected);
        }
    }

    #[test]
    fn moments_decay_to_zero_without_passing_through_denormals() {
        let update = AdamWUpdate { gradient_scale: 1.0, keep: 1.0, step_size: 1e-3, root_correction: 1.0, eps: 1e-8 };
        let [mut p, mut m, mut v] = [[1.0; 37], [1e-20; 37], [1e-20; 37]];
        for _ in 0..100_000 {
            update.apply(&mut p, &[0.0; 37], &mut m, &mut v);
            assert!(m.iter().chain(&v).all(|&x| x == 0.0 || x.is_normal()));
        }
        assert_eq!((m, v), ([0.0; 37], [0.0; 37]));
    }
}
