//! The instance for aarch64: NEON, which every such processor has.

#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use crate::buffers::scratch;
use crate::simd::isa::Isa;
use crate::simd::vector::{KernelOn, Simd};

/// Eight lanes in two registers of four: with the lanes of AVX2 and its fused multiply-add, every
/// result has the bits that it has there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

#[inline(always)]
fn each<T: Copy, R>(a: [T; 2], f: impl Fn(T) -> R) -> [R; 2] {
    [f(a[0]), f(a[1])]
}

#[inline(always)]
fn zip<T: Copy, U: Copy, R>(a: [T; 2], b: [U; 2], f: impl Fn(T, U) -> R) -> [R; 2] {
    [f(a[0], b[0]), f(a[1], b[1])]
}

type F32x8 = [float32x4_t; 2];
type U32x8 = [uint32x4_t; 2];

// SAFETY of every block: the target has NEON; loads and stores are of eight values that indexing
// the slice has checked, and prefetching may name any address.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Neon {
    const LANES: usize = 8;
    type F32 = F32x8;
    type U32 = U32x8;
    type Square = [F32x8; 8];

    fn call<K: KernelOn<Self>>(kernel: K) -> K::Output {
        assert!(Isa::detected() >= Isa::Neon, "NEON is not to be used");
        scratch::with(kernel.scratch(), |scratch| kernel.run(Neon(()), scratch))
    }
    #[inline(always)] fn zero_square(self) -> [F32x8; 8] { [self.splat(0.0); 8] }
    #[inline(always)] fn transpose(self, [a, b, c, d, e, f, g, h]: [F32x8; 8]) -> [F32x8; 8] {
        unsafe {
            // Lane j of row i of four becomes lane i of row j.
            let four = |a, b, c, d| {
                let pairs = |a, b| (vreinterpretq_f64_f32(vtrn1q_f32(a, b)), vreinterpretq_f64_f32(vtrn2q_f32(a, b)));
                // `_02` has columns 0 and 2 of its two rows, `_13` columns 1 and 3.
                let (ab_02, ab_13) = pairs(a, b);
                let (cd_02, cd_13) = pairs(c, d);
                let quads = [vtrn1q_f64(ab_02, cd_02), vtrn1q_f64(ab_13, cd_13), vtrn2q_f64(ab_02, cd_02), vtrn2q_f64(ab_13, cd_13)];
                quads.map(|quad| vreinterpretq_f32_f64(quad))
            };
            let [top_left, top_right] = [four(a[0], b[0], c[0], d[0]), four(a[1], b[1], c[1], d[1])];
            let [bottom_left, bottom_right] = [four(e[0], f[0], g[0], h[0]), four(e[1], f[1], g[1], h[1])];
            let left = |i: usize| [top_left[i], bottom_left[i]];
            let right = |i: usize| [top_right[i], bottom_right[i]];
            [left(0), left(1), left(2), left(3), right(0), right(1), right(2), right(3)]
        }
    }

    #[inline(always)] fn prefetch(self, at: *const f32) {
        unsafe { asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, readonly, preserves_flags)) }
    }
    #[inline(always)] fn prefetch_l2(self, at: *const f32) {
        unsafe { asm!("prfm pldl2keep, [{at}]", at = in(reg) at, options(nostack, readonly, preserves_flags)) }
    }
    #[inline(always)] fn splat(self, x: f32) -> F32x8 { unsafe { [vdupq_n_f32(x); 2] } }
    #[inline(always)] fn load(self, from: &[f32]) -> F32x8 {
        let from = &from[..8];
        unsafe { [vld1q_f32(from.as_ptr()), vld1q_f32(from[4..].as_ptr())] }
    }
    #[inline(always)] fn store(self, v: F32x8, to: &mut [f32]) {
        let (low, high) = to[..8].split_at_mut(4);
        unsafe {
            vst1q_f32(low.as_mut_ptr(), v[0]);
            vst1q_f32(high.as_mut_ptr(), v[1]);
        }
    }
    #[inline(always)] fn add(self, a: F32x8, b: F32x8) -> F32x8 { zip(a, b, |a, b| unsafe { vaddq_f32(a, b) }) }
    #[inline(always)] fn sub(self, a: F32x8, b: F32x8) -> F32x8 { zip(a, b, |a, b| unsafe { vsubq_f32(a, b) }) }
    #[inline(always)] fn mul(self, a: F32x8, b: F32x8) -> F32x8 { zip(a, b, |a, b| unsafe { vmulq_f32(a, b) }) }
    #[inline(always)] fn div(self, a: F32x8, b: F32x8) -> F32x8 { zip(a, b, |a, b| unsafe { vdivq_f32(a, b) }) }
    #[inline(always)] fn fma(self, a: F32x8, b: F32x8, c: F32x8) -> F32x8 {
        unsafe { [vfmaq_f32(c[0], a[0], b[0]), vfmaq_f32(c[1], a[1], b[1])] }
    }
    #[inline(always)] fn sqrt(self, a: F32x8) -> F32x8 { each(a, |a| unsafe { vsqrtq_f32(a) }) }
    #[inline(always)] fn max(self, a: F32x8, b: F32x8) -> F32x8 {
        // `vmaxq_f32` is NaN where either is.
        zip(a, b, |a, b| unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }
    #[inline(always)] fn round(self, a: F32x8) -> F32x8 { each(a, |a| unsafe { vrndnq_f32(a) }) }
    #[inline(always)] fn exp2i(self, n: F32x8) -> F32x8 {
        each(n, |n| unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        })
    }
    #[inline(always)] fn where_less(self, a: F32x8, b: F32x8, x: F32x8, y: F32x8) -> F32x8 {
        let less = zip(a, b, |a, b| unsafe { vcltq_f32(a, b) });
        unsafe { [vbslq_f32(less[0], x[0], y[0]), vbslq_f32(less[1], x[1], y[1])] }
    }
    #[inline(always)] fn splat_u32(self, x: u32) -> U32x8 { unsafe { [vdupq_n_u32(x); 2] } }
    #[inline(always)] fn lane_index(self) -> U32x8 {
        const LANES: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
        unsafe { [vld1q_u32(LANES.as_ptr()), vld1q_u32(LANES[4..].as_ptr())] }
    }
    #[inline(always)] fn add_u32(self, a: U32x8, b: U32x8) -> U32x8 { zip(a, b, |a, b| unsafe { vaddq_u32(a, b) }) }
    #[inline(always)] fn xor(self, a: U32x8, b: U32x8) -> U32x8 { zip(a, b, |a, b| unsafe { veorq_u32(a, b) }) }
    #[inline(always)] fn mul_wide(self, a: U32x8, b: U32x8) -> (U32x8, U32x8) {
        let products = zip(a, b, |a, b| unsafe {
            let low = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), vget_low_u32(b)));
            let high = vreinterpretq_u32_u64(vmull_high_u32(a, b));
            (vuzp2q_u32(low, high), vuzp1q_u32(low, high))
        });
        (each(products, |(high, _)| high), each(products, |(_, low)| low))
    }
    #[inline(always)] fn halves(self, a: U32x8) -> (U32x8, U32x8) {
        let low = each(a, |a| unsafe { vandq_u32(a, vdupq_n_u32(0xffff)) });
        (low, each(a, |a| unsafe { vshrq_n_u32::<16>(a) }))
    }
    #[inline(always)] fn where_less_u32(self, a: U32x8, b: U32x8, x: F32x8, y: F32x8) -> F32x8 {
        let less = zip(a, b, |a, b| unsafe { vcltq_u32(a, b) });
        unsafe { [vbslq_f32(less[0], x[0], y[0]), vbslq_f32(less[1], x[1], y[1])] }
    }
}
