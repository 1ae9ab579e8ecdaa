//! A small vector trait: every kernel is written once over [`Simd`], and instruction sets only instantiate it.
//!
//! A value of an instruction set's type is the proof that the processor has it: [`dispatch`] makes it after asking the
//! processor, and calls the kernel in a function compiled for that set.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use crate::scratch;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// Vectors of [`Simd::LANES`] f32 or u32 values of one instruction set.
///
/// Slices must hold at least [`Simd::LANES`] values; what is behind them is left alone.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Values in a vector.
    const LANES: usize;
    /// A vector of f32.
    type F32: Copy;
    /// A vector of u32.
    type U32: Copy;
    /// [`Simd::LANES`] vectors.
    type Square: AsRef<[Self::F32]> + AsMut<[Self::F32]>;

    /// Runs a kernel, in a function compiled for this instruction set, with the working memory that it wants.
    ///
    /// # Panics
    /// If the processor does not have the instruction set.
    fn call<K: KernelOn<Self>>(kernel: K) -> K::Output;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F32;
    /// The first lanes of a slice.
    fn load(self, from: &[f32]) -> Self::F32;
    /// Writes the lanes to the beginning of a slice.
    fn store(self, v: Self::F32, to: &mut [f32]);
    /// `a + b`.
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a − b`.
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a · b`.
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`.
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a · b + c`; one rounding where the instruction set fuses it.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `√a`.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// The larger; `b` where either is NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The nearest integers, ties to even.
    fn round(self, a: Self::F32) -> Self::F32;
    /// `2ⁿ` for integral `n` in −126..=127.
    fn exp2i(self, n: Self::F32) -> Self::F32;
    /// `x` where `a < b`, else `y`.
    fn where_less(self, a: Self::F32, b: Self::F32, x: Self::F32, y: Self::F32) -> Self::F32;

    /// All lanes `x`.
    fn splat_u32(self, x: u32) -> Self::U32;
    /// `0, 1, 2, …`.
    fn lane_index(self) -> Self::U32;
    /// `a + b`, wrapping.
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a ⊕ b`.
    fn xor(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// High and low halves of the 64-bit products `a · b`.
    fn mul_wide(self, a: Self::U32, b: Self::U32) -> (Self::U32, Self::U32);
    /// The low and the high 16 bits of each lane.
    fn halves(self, a: Self::U32) -> (Self::U32, Self::U32);
    /// `x` where `a < b`, else `y`; `a` and `b` below 2³¹.
    fn where_less_u32(self, a: Self::U32, b: Self::U32, x: Self::F32, y: Self::F32) -> Self::F32;

    /// Vectors of zeros.
    fn zero_square(self) -> Self::Square;
    /// Lane `j` of vector `i` becomes lane `i` of vector `j`.
    fn transpose(self, square: Self::Square) -> Self::Square;

    /// Asks for the cache line at an address, which need not be valid.
    fn prefetch(self, at: *const f32);

    /// The first lanes of a slice that may be shorter than a vector; `pad` in the lanes behind its end.
    #[inline(always)]
    fn load_padded(self, from: &[f32], pad: f32) -> Self::F32 {
        if from.len() >= Self::LANES {
            return self.load(from);
        }
        let mut lanes = [pad; MAX_LANES];
        lanes[..from.len()].copy_from_slice(from);
        self.load(&lanes)
    }

    /// Writes as many lanes as a slice, which may be shorter than a vector, has room for.
    #[inline(always)]
    fn store_fitting(self, v: Self::F32, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            return self.store(v, to);
        }
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        to.copy_from_slice(&lanes[..to.len()]);
    }

    /// `Σ lanes`, pairwise.
    #[inline(always)]
    fn sum(self, v: Self::F32) -> f32 {
        self.fold(v, |a, b| a + b)
    }

    /// The lanes combined pairwise: halves, quarters, eighths.
    #[inline(always)]
    fn fold(self, v: Self::F32, f: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        let mut n = Self::LANES;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                lanes[i] = f(lanes[i], lanes[i + n]);
            }
        }
        lanes[0]
    }
}

/// A [`Simd`] that multiplies pairs of bf16 values. A lane of 32 bits holds a pair, the first in the low half.
pub(crate) trait SimdBf16: Simd {
    /// The pairs `(first, second)` of each lane, rounded to nearest even.
    fn pairs(self, first: Self::F32, second: Self::F32) -> Self::F32;
    /// The pairs of neighbours in `low` and then in `high`, rounded to nearest even.
    fn neighbours(self, low: Self::F32, high: Self::F32) -> Self::F32;
    /// `a₁·b₁ + a₀·b₀ + c` of pairs `a` and `b` and f32 `c`; denormal operands and results count as 0.
    fn dot_pairs(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
}

/// The most lanes that an instruction set has.
pub(crate) const MAX_LANES: usize = 16;

/// An algorithm over any instruction set, with its arguments.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;

    /// How many values of working memory it wants, with vectors of `lanes` values.
    fn scratch(&self, _lanes: usize) -> usize {
        0
    }

    /// Runs it with working memory of unspecified contents, aligned to a cache line. Implementations are `#[inline(always)]`,
    /// and so is what they call (closures too must be small): only what is inlined is compiled for the instruction set.
    fn run<S: Simd>(self, s: S, scratch: &mut [f32]) -> Self::Output;
}

/// An algorithm over one instruction set: as [`Kernel`], which is one over each.
pub(crate) trait KernelOn<S> {
    /// What it returns.
    type Output;

    /// As [`Kernel::scratch`].
    fn scratch(&self) -> usize;

    /// As [`Kernel::run`].
    fn run(self, s: S, scratch: &mut [f32]) -> Self::Output;
}

impl<S: Simd, K: Kernel> KernelOn<S> for K {
    type Output = K::Output;

    fn scratch(&self) -> usize {
        Kernel::scratch(self, S::LANES)
    }

    #[inline(always)]
    fn run(self, s: S, scratch: &mut [f32]) -> K::Output {
        Kernel::run(self, s, scratch)
    }
}

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Whatever the target has; matrix products by the crate matrixmultiply.
    Portable,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512: its foundation, `bw`, `dq` and `vl`.
    Avx512,
    /// AVX-512 with its bf16 instructions, and AMX's tiles for products of bf16.
    Amx,
}

impl Isa {
    /// From the plainest to the best.
    const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Amx];

    /// `portable`, `avx2`, `avx512`, `amx`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        }
    }

    /// The best that this processor has, but none better than `SIMCSE_ISA` names.
    /// Results have the same bits on one instruction set only.
    pub fn detected() -> Self {
        static ISA: OnceLock<Isa> = OnceLock::new();
        *ISA.get_or_init(|| {
            let wanted = std::env::var("SIMCSE_ISA").ok();
            let limit = Self::ALL.iter().position(|isa| wanted.as_deref() == Some(isa.name()));
            let allowed = &Self::ALL[..=limit.unwrap_or(Self::ALL.len() - 1)];
            allowed.iter().copied().rfind(|isa| isa.is_present()).unwrap_or(Isa::Portable)
        })
    }

    fn is_present(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Isa::Portable => true,
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Avx512 => {
                Isa::Avx2.is_present()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            Isa::Amx => Isa::Avx512.is_present() && is_x86_feature_detected!("avx512bf16") && crate::amx::is_present(),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Isa::Portable;
    }
}

/// Runs a kernel on the detected instruction set.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match Isa::detected() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => Avx512::<false>::call(kernel),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::call(kernel),
        _ => Portable::call(kernel),
    }
}

/// Whether this processor multiplies bf16 and the detected instruction set makes use of it.
pub(crate) fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return match Isa::detected() {
        Isa::Amx => true,
        Isa::Avx512 => is_x86_feature_detected!("avx512bf16"),
        _ => false,
    };
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Arrays of eight, for the compiler to vectorise as it can.
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Isa, KernelOn, Simd, SimdBf16};
    use crate::scratch;

    /// Eight lanes of AVX2. Only [`run_avx2`] makes one.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Avx2(());

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run_avx2<K: KernelOn<Avx2>>(kernel: K, scratch: &mut [f32]) -> K::Output {
        kernel.run(Avx2(()), scratch)
    }

    // SAFETY of every block: an `Avx2` exists only inside `run_avx2`, whose caller vouches for the processor; loads and
    // stores are of eight values that the slice index has checked.
    #[rustfmt::skip]
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Simd for Avx2 {
        const LANES: usize = 8;
        type F32 = __m256;
        type U32 = __m256i;
        type Square = [__m256; 8];

        fn call<K: KernelOn<Self>>(kernel: K) -> K::Output {
            assert!(Isa::detected() >= Isa::Avx2, "this processor does not have AVX2");
            scratch::with(kernel.scratch(), |scratch| unsafe { run_avx2(kernel, scratch) })
        }
        #[inline(always)] fn zero_square(self) -> [__m256; 8] { [self.splat(0.0); 8] }
        #[inline(always)] fn transpose(self, [a, b, c, d, e, f, g, h]: [__m256; 8]) -> [__m256; 8] {
            unsafe {
                let (pairs, quads) = (
                    |a, b| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)),
                    |a, b| {
                        let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
                        (_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)))
                    },
                );
                let ((ab, ab_), (cd, cd_), (ef, ef_), (gh, gh_)) = (pairs(a, b), pairs(c, d), pairs(e, f), pairs(g, h));
                let ((p0, p1), (p2, p3)) = (quads(ab, cd), quads(ab_, cd_)); // columns 0–3 and 4–7 of rows a–d
                let ((q0, q1), (q2, q3)) = (quads(ef, gh), quads(ef_, gh_));
                let low = |p, q| _mm256_permute2f128_ps::<0x20>(p, q);
                let high = |p, q| _mm256_permute2f128_ps::<0x31>(p, q);
                [low(p0, q0), low(p1, q1), low(p2, q2), low(p3, q3), high(p0, q0), high(p1, q1), high(p2, q2), high(p3, q3)]
            }
        }

        #[inline(always)] fn prefetch(self, at: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) } }
        #[inline(always)] fn splat(self, x: f32) -> __m256 { unsafe { _mm256_set1_ps(x) } }
        #[inline(always)] fn load(self, from: &[f32]) -> __m256 { unsafe { _mm256_loadu_ps(from[..8].as_ptr()) } }
        #[inline(always)] fn store(self, v: __m256, to: &mut [f32]) { unsafe { _mm256_storeu_ps(to[..8].as_mut_ptr(), v) } }
        #[inline(always)] fn add(self, a: __m256, b: __m256) -> __m256 { unsafe { _mm256_add_ps(a, b) } }
        #[inline(always)] fn sub(self, a: __m256, b: __m256) -> __m256 { unsafe { _mm256_sub_ps(a, b) } }
        #[inline(always)] fn mul(self, a: __m256, b: __m256) -> __m256 { unsafe { _mm256_mul_ps(a, b) } }
        #[inline(always)] fn div(self, a: __m256, b: __m256) -> __m256 { unsafe { _mm256_div_ps(a, b) } }
        #[inline(always)] fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 { unsafe { _mm256_fmadd_ps(a, b, c) } }
        #[inline(always)] fn sqrt(self, a: __m256) -> __m256 { unsafe { _mm256_sqrt_ps(a) } }
        #[inline(always)] fn max(self, a: __m256, b: __m256) -> __m256 { unsafe { _mm256_max_ps(a, b) } }
        #[inline(always)] fn round(self, a: __m256) -> __m256 {
            unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
        }
        #[inline(always)] fn exp2i(self, n: __m256) -> __m256 {
            unsafe {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
            }
        }
        #[inline(always)] fn where_less(self, a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
            unsafe { _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) }
        }
        #[inline(always)] fn splat_u32(self, x: u32) -> __m256i { unsafe { _mm256_set1_epi32(x as i32) } }
        #[inline(always)] fn lane_index(self) -> __m256i { unsafe { _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7) } }
        #[inline(always)] fn add_u32(self, a: __m256i, b: __m256i) -> __m256i { unsafe { _mm256_add_epi32(a, b) } }
        #[inline(always)] fn xor(self, a: __m256i, b: __m256i) -> __m256i { unsafe { _mm256_xor_si256(a, b) } }
        #[inline(always)] fn mul_wide(self, a: __m256i, b: __m256i) -> (__m256i, __m256i) {
            unsafe {
                let even = _mm256_mul_epu32(a, b);
                let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
                let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
                let low = _mm256_blend_epi32::<0b1010_1010>(even, _mm256_slli_epi64::<32>(odd));
                (high, low)
            }
        }
        #[inline(always)] fn halves(self, a: __m256i) -> (__m256i, __m256i) {
            unsafe { (_mm256_and_si256(a, _mm256_set1_epi32(0xffff)), _mm256_srli_epi32::<16>(a)) }
        }
        #[inline(always)] fn where_less_u32(self, a: __m256i, b: __m256i, x: __m256, y: __m256) -> __m256 {
            unsafe { _mm256_blendv_ps(y, x, _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a))) }
        }
    }
    /// Sixteen lanes of AVX-512, perhaps with its bf16 instructions. Only [`run_avx512`] and [`run_avx512_bf16`] make one.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Avx512<const BF16: bool>(());

    /// # Safety
    /// The processor has AVX2, FMA, and of AVX-512 the foundation, BW, DQ and VL.
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn run_avx512<K: KernelOn<Avx512<BF16>>, const BF16: bool>(kernel: K, scratch: &mut [f32]) -> K::Output {
        kernel.run(Avx512(()), scratch)
    }

    /// # Safety
    /// As [`run_avx512`], and it has the BF16 instructions.
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    unsafe fn run_avx512_bf16<K: KernelOn<Avx512<BF16>>, const BF16: bool>(
        kernel: K,
        scratch: &mut [f32],
    ) -> K::Output {
        kernel.run(Avx512(()), scratch)
    }

    impl<const BF16: bool> Avx512<BF16> {
        /// The mask of the first `n` lanes, or of all.
        #[inline(always)]
        fn first(n: usize) -> __mmask16 {
            ((1u32 << n.min(16)) - 1) as __mmask16
        }
    }

    // SAFETY of every block: an `Avx512` exists only inside `run_avx512…`, whose caller vouches for the processor; loads and
    // stores are of sixteen values that the slice index has checked, or masked by the slice's length.
    #[rustfmt::skip]
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl<const BF16: bool> Simd for Avx512<BF16> {
        const LANES: usize = 16;
        type F32 = __m512;
        type U32 = __m512i;
        type Square = [__m512; 16];

        fn call<K: KernelOn<Self>>(kernel: K) -> K::Output {
            assert!(Isa::detected() >= Isa::Avx512, "this processor does not have AVX-512");
            assert!(!BF16 || super::has_bf16(), "this processor does not multiply bf16");
            scratch::with(kernel.scratch(), |scratch| unsafe {
                if BF16 { run_avx512_bf16(kernel, scratch) } else { run_avx512(kernel, scratch) }
            })
        }
        #[inline(always)] fn zero_square(self) -> [__m512; 16] { [self.splat(0.0); 16] }
        #[inline(always)] fn transpose(self, rows: [__m512; 16]) -> [__m512; 16] {
            unsafe {
                let mut t = rows;
                for i in (0..16).step_by(2) {
                    (t[i], t[i + 1]) = (_mm512_unpacklo_ps(rows[i], rows[i + 1]), _mm512_unpackhi_ps(rows[i], rows[i + 1]));
                }
                let mut u = t; // lane group l of u[4g + c]: column 4l + c of rows 4g..4g + 4
                for g in (0..16).step_by(4) {
                    for c in 0..2 {
                        let (a, b) = (_mm512_castps_pd(t[g + c]), _mm512_castps_pd(t[g + c + 2]));
                        u[g + 2 * c] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                        u[g + 2 * c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                    }
                }
                let mut columns = u;
                for c in 0..4 {
                    let (even, even_) = (
                        _mm512_shuffle_f32x4::<0x88>(u[c], u[4 + c]),
                        _mm512_shuffle_f32x4::<0x88>(u[8 + c], u[12 + c]),
                    ); // groups 0 and 2
                    let (odd, odd_) = (
                        _mm512_shuffle_f32x4::<0xdd>(u[c], u[4 + c]),
                        _mm512_shuffle_f32x4::<0xdd>(u[8 + c], u[12 + c]),
                    ); // groups 1 and 3
                    columns[c] = _mm512_shuffle_f32x4::<0x88>(even, even_);
                    columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd, odd_);
                    columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even, even_);
                    columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_);
                }
                columns
            }
        }

        #[inline(always)] fn prefetch(self, at: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) } }
        #[inline(always)] fn splat(self, x: f32) -> __m512 { unsafe { _mm512_set1_ps(x) } }
        #[inline(always)] fn load(self, from: &[f32]) -> __m512 { unsafe { _mm512_loadu_ps(from[..16].as_ptr()) } }
        #[inline(always)] fn store(self, v: __m512, to: &mut [f32]) { unsafe { _mm512_storeu_ps(to[..16].as_mut_ptr(), v) } }
        #[inline(always)] fn load_padded(self, from: &[f32], pad: f32) -> __m512 {
            unsafe { _mm512_mask_loadu_ps(self.splat(pad), Self::first(from.len()), from.as_ptr()) }
        }
        #[inline(always)] fn store_fitting(self, v: __m512, to: &mut [f32]) {
            unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), Self::first(to.len()), v) }
        }
        #[inline(always)] fn add(self, a: __m512, b: __m512) -> __m512 { unsafe { _mm512_add_ps(a, b) } }
        #[inline(always)] fn sub(self, a: __m512, b: __m512) -> __m512 { unsafe { _mm512_sub_ps(a, b) } }
        #[inline(always)] fn mul(self, a: __m512, b: __m512) -> __m512 { unsafe { _mm512_mul_ps(a, b) } }
        #[inline(always)] fn div(self, a: __m512, b: __m512) -> __m512 { unsafe { _mm512_div_ps(a, b) } }
        #[inline(always)] fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 { unsafe { _mm512_fmadd_ps(a, b, c) } }
        #[inline(always)] fn sqrt(self, a: __m512) -> __m512 { unsafe { _mm512_sqrt_ps(a) } }
        #[inline(always)] fn max(self, a: __m512, b: __m512) -> __m512 { unsafe { _mm512_max_ps(a, b) } }
        #[inline(always)] fn round(self, a: __m512) -> __m512 {
            unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
        }
        #[inline(always)] fn exp2i(self, n: __m512) -> __m512 {
            unsafe {
                let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
                _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
            }
        }
        #[inline(always)] fn where_less(self, a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
            unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x) }
        }
        #[inline(always)] fn splat_u32(self, x: u32) -> __m512i { unsafe { _mm512_set1_epi32(x as i32) } }
        #[inline(always)] fn lane_index(self) -> __m512i {
            unsafe { _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) }
        }
        #[inline(always)] fn add_u32(self, a: __m512i, b: __m512i) -> __m512i { unsafe { _mm512_add_epi32(a, b) } }
        #[inline(always)] fn xor(self, a: __m512i, b: __m512i) -> __m512i { unsafe { _mm512_xor_si512(a, b) } }
        #[inline(always)] fn mul_wide(self, a: __m512i, b: __m512i) -> (__m512i, __m512i) {
            unsafe {
                let even = _mm512_mul_epu32(a, b);
                let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
                let high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64::<32>(even), odd);
                let low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64::<32>(odd));
                (high, low)
            }
        }
        #[inline(always)] fn halves(self, a: __m512i) -> (__m512i, __m512i) {
            unsafe { (_mm512_and_si512(a, _mm512_set1_epi32(0xffff)), _mm512_srli_epi32::<16>(a)) }
        }
        #[inline(always)] fn where_less_u32(self, a: __m512i, b: __m512i, x: __m512, y: __m512) -> __m512 {
            unsafe { _mm512_mask_blend_ps(_mm512_cmplt_epi32_mask(a, b), y, x) }
        }
    }
    // SAFETY of every block: an `Avx512<true>` exists only inside `run_avx512_bf16`, whose caller vouches for the processor.
    #[rustfmt::skip]
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl SimdBf16 for Avx512<true> {
        #[inline(always)] fn pairs(self, first: __m512, second: __m512) -> __m512 {
            unsafe {
                let lanes = _mm512_add_epi32(self.lane_index(), _mm512_slli_epi32::<16>(self.lane_index()));
                let index = _mm512_add_epi32(lanes, _mm512_set1_epi32(16 << 16)); // 0, 16, 1, 17, …
                let halves = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
                _mm512_castsi512_ps(_mm512_permutexvar_epi16(index, halves))
            }
        }
        #[inline(always)] fn neighbours(self, low: __m512, high: __m512) -> __m512 {
            unsafe { std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low)) }
        }
        #[inline(always)] fn dot_pairs(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe {
                let [a, b] = [a, b].map(|x| std::mem::transmute::<__m512, __m512bh>(x));
                _mm512_dpbf16_ps(c, a, b)
            }
        }
    }
}
