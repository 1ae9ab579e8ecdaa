//! The instance for any processor.

use crate::buffers::scratch;
use crate::simd::vector::{KernelOn, Simd};

/// Arrays of eight values, for the compiler to vectorize.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

#[inline(always)]
fn zip<T: Copy, R>(a: [T; 8], b: [T; 8], f: impl Fn(T, T) -> R) -> [R; 8] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

#[rustfmt::skip]
impl Simd for Portable {
    const LANES: usize = 8;
    type F32 = [f32; 8];
    type U32 = [u32; 8];
    type Square = [[f32; 8]; 8];

    fn call<K: KernelOn<Self>>(kernel: K) -> K::Output {
        scratch::with(kernel.scratch(), |scratch| kernel.run(Portable, scratch))
    }
    #[inline(always)] fn zero_square(self) -> [[f32; 8]; 8] { [[0.0; 8]; 8] }
    #[inline(always)] fn transpose(self, square: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        std::array::from_fn(|j| std::array::from_fn(|i| square[i][j]))
    }

    #[inline(always)] fn prefetch(self, _: *const f32) {}
    #[inline(always)] fn prefetch_l2(self, _: *const f32) {}
    #[inline(always)] fn splat(self, x: f32) -> [f32; 8] { [x; 8] }
    #[inline(always)] fn load(self, from: &[f32]) -> [f32; 8] { std::array::from_fn(|i| from[i]) }
    #[inline(always)] fn store(self, v: [f32; 8], to: &mut [f32]) { to[..8].copy_from_slice(&v) }
    #[inline(always)] fn add(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] { zip(a, b, |a, b| a + b) }
    #[inline(always)] fn sub(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] { zip(a, b, |a, b| a - b) }
    #[inline(always)] fn mul(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] { zip(a, b, |a, b| a * b) }
    #[inline(always)] fn div(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] { zip(a, b, |a, b| a / b) }
    #[inline(always)] fn fma(self, a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] { self.add(self.mul(a, b), c) }
    #[inline(always)] fn sqrt(self, a: [f32; 8]) -> [f32; 8] { a.map(f32::sqrt) }
    #[inline(always)] fn max(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] { zip(a, b, |a, b| if a > b { a } else { b }) }
    #[inline(always)] fn round(self, a: [f32; 8]) -> [f32; 8] { a.map(f32::round_ties_even) }
    #[inline(always)] fn exp2i(self, n: [f32; 8]) -> [f32; 8] { n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23)) }
    #[inline(always)] fn where_less(self, a: [f32; 8], b: [f32; 8], x: [f32; 8], y: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }
    #[inline(always)] fn splat_u32(self, x: u32) -> [u32; 8] { [x; 8] }
    #[inline(always)] fn lane_index(self) -> [u32; 8] { std::array::from_fn(|i| i as u32) }
    #[inline(always)] fn add_u32(self, a: [u32; 8], b: [u32; 8]) -> [u32; 8] { zip(a, b, u32::wrapping_add) }
    #[inline(always)] fn xor(self, a: [u32; 8], b: [u32; 8]) -> [u32; 8] { zip(a, b, |a, b| a ^ b) }
    #[inline(always)] fn mul_wide(self, a: [u32; 8], b: [u32; 8]) -> ([u32; 8], [u32; 8]) {
        let product = zip(a, b, |a, b| u64::from(a) * u64::from(b));
        (product.map(|p| (p >> 32) as u32), product.map(|p| p as u32))
    }
    #[inline(always)] fn halves(self, a: [u32; 8]) -> ([u32; 8], [u32; 8]) { (a.map(|a| a & 0xffff), a.map(|a| a >> 16)) }
    #[inline(always)] fn where_less_u32(self, a: [u32; 8], b: [u32; 8], x: [f32; 8], y: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }
}
