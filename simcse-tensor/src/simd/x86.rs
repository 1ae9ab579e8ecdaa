//! The instances for x86-64: AVX2 and AVX-512.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use crate::buffers::scratch;
use crate::simd::isa::{Isa, has_bf16};
use crate::simd::vector::{KernelOn, Simd, SimdBf16};

/// Eight lanes of AVX2. Only [`run_avx2`] creates one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<K: KernelOn<Avx2>>(kernel: K, scratch: &mut [f32]) -> K::Output {
    kernel.run(Avx2(()), scratch)
}

// SAFETY of every block: an `Avx2` exists only inside `run_avx2`, whose caller has checked the
// processor; loads and stores are of eight values that indexing the slice has checked.
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
            // Within each half of the register: first pairs from two rows, then quads from four.
            let pairs = |a, b| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let quads = |a, b| {
                let a = _mm256_castps_pd(a);
                let b = _mm256_castps_pd(b);
                (_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)))
            };
            // `_01` has columns 0, 1 and 4, 5 of its rows, `_23` columns 2, 3 and 6, 7.
            let (ab_01, ab_23) = pairs(a, b);
            let (cd_01, cd_23) = pairs(c, d);
            let (ef_01, ef_23) = pairs(e, f);
            let (gh_01, gh_23) = pairs(g, h);
            let (p0, p1) = quads(ab_01, cd_01); // columns 0 and 4 of rows a to d; columns 1 and 5
            let (p2, p3) = quads(ab_23, cd_23);
            let (q0, q1) = quads(ef_01, gh_01);
            let (q2, q3) = quads(ef_23, gh_23);
            // Then the halves of two registers: columns 0 to 3 are in the low ones, 4 to 7 in the
            // high.
            let low = |p, q| _mm256_permute2f128_ps::<0x20>(p, q);
            let high = |p, q| _mm256_permute2f128_ps::<0x31>(p, q);
            [low(p0, q0), low(p1, q1), low(p2, q2), low(p3, q3), high(p0, q0), high(p1, q1), high(p2, q2), high(p3, q3)]
        }
    }

    #[inline(always)] fn prefetch(self, at: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) } }
    #[inline(always)] fn prefetch_l2(self, at: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) } }
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

/// Sixteen lanes of AVX-512, optionally with its bf16 instructions. Only [`run_avx512`] and
/// [`run_avx512_bf16`] create one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512<const BF16: bool>(());

/// # Safety
/// The processor has AVX2, FMA, and AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn run_avx512<K: KernelOn<Avx512<BF16>>, const BF16: bool>(kernel: K, scratch: &mut [f32]) -> K::Output {
    kernel.run(Avx512(()), scratch)
}

/// # Safety
/// As [`run_avx512`]; the processor also has AVX-512 BF16.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn run_avx512_bf16<K: KernelOn<Avx512<BF16>>, const BF16: bool>(kernel: K, scratch: &mut [f32]) -> K::Output {
    kernel.run(Avx512(()), scratch)
}

impl<const BF16: bool> Avx512<BF16> {
    /// The mask of the first `n` lanes; all lanes if there are no more.
    #[inline(always)]
    fn first(n: usize) -> __mmask16 {
        ((1u32 << n.min(16)) - 1) as __mmask16
    }
}

// SAFETY of every block: an `Avx512` exists only inside `run_avx512…`, whose caller has checked the
// processor; loads and stores are of sixteen values that indexing the slice has checked, or masked
// by the slice's length.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const BF16: bool> Simd for Avx512<BF16> {
    const LANES: usize = 16;
    type F32 = __m512;
    type U32 = __m512i;
    type Square = [__m512; 16];

    fn call<K: KernelOn<Self>>(kernel: K) -> K::Output {
        assert!(Isa::detected() >= Isa::Avx512, "this processor does not have AVX-512");
        assert!(!BF16 || has_bf16(), "this processor does not multiply bf16");
        scratch::with(kernel.scratch(), |scratch| unsafe {
            if BF16 { run_avx512_bf16(kernel, scratch) } else { run_avx512(kernel, scratch) }
        })
    }
    #[inline(always)] fn zero_square(self) -> [__m512; 16] { [self.splat(0.0); 16] }
    #[inline(always)] fn transpose(self, rows: [__m512; 16]) -> [__m512; 16] {
        unsafe {
            // Within each group of four lanes: first pairs from two rows, then quads from four.
            let mut t = rows;
            for i in (0..16).step_by(2) {
                t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
                t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
            }
            let mut u = t; // group l of u[4g + c]: column 4l + c of rows 4g..4g + 4
            for g in (0..16).step_by(4) {
                for c in 0..2 {
                    let a = _mm512_castps_pd(t[g + c]);
                    let b = _mm512_castps_pd(t[g + c + 2]);
                    u[g + 2 * c] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    u[g + 2 * c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
            // Then whole groups: 0x88 picks groups 0 and 2 of both registers, 0xdd groups 1 and 3.
            let mut columns = u;
            for c in 0..4 {
                let even_top = _mm512_shuffle_f32x4::<0x88>(u[c], u[4 + c]);
                let even_bottom = _mm512_shuffle_f32x4::<0x88>(u[8 + c], u[12 + c]);
                let odd_top = _mm512_shuffle_f32x4::<0xdd>(u[c], u[4 + c]);
                let odd_bottom = _mm512_shuffle_f32x4::<0xdd>(u[8 + c], u[12 + c]);
                columns[c] = _mm512_shuffle_f32x4::<0x88>(even_top, even_bottom);
                columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd_top, odd_bottom);
                columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even_top, even_bottom);
                columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd_top, odd_bottom);
            }
            columns
        }
    }

    #[inline(always)] fn prefetch(self, at: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) } }
    #[inline(always)] fn prefetch_l2(self, at: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) } }
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

// SAFETY of every block: an `Avx512<true>` exists only inside `run_avx512_bf16`, whose caller has
// checked the processor.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks)]
impl SimdBf16 for Avx512<true> {
    #[inline(always)] fn pairs(self, first: __m512, second: __m512) -> __m512 {
        unsafe {
            // The conversion puts all of `first` below all of `second`; the permutation interleaves
            // them.
            let lanes = _mm512_add_epi32(self.lane_index(), _mm512_slli_epi32::<16>(self.lane_index()));
            let index = _mm512_add_epi32(lanes, _mm512_set1_epi32(16 << 16)); // 0, 16, 1, 17, …
            let halves = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
            _mm512_castsi512_ps(_mm512_permutexvar_epi16(index, halves))
        }
    }
    #[inline(always)] fn neighbors(self, low: __m512, high: __m512) -> __m512 {
        unsafe { std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low)) }
    }
    #[inline(always)] fn dot_pairs(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe {
            let [a, b] = [a, b].map(|x| std::mem::transmute::<__m512, __m512bh>(x));
            _mm512_dpbf16_ps(c, a, b)
        }
    }
}
