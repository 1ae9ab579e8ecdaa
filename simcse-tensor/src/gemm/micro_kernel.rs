//! The innermost product: one tile of C in registers. Its operands are panels of words, see [`packing`](crate::gemm::packing).

#![allow(unsafe_code)]

use ndarray::ArrayView2;

use crate::gemm::packing::pack;
use crate::gemm::prefetch::Prefetch;
use crate::gemm::words::Words;
use crate::simd::Simd;

/// A tile of C, row-major, `NR` wide.
#[repr(C, align(64))]
pub(crate) struct Accumulators(pub(crate) [f32; 32 * 32]);

/// One way of computing a tile of C.
pub(crate) trait MicroKernel: Copy {
    /// The instruction set for everything around it.
    type S: Simd;
    /// What the operands are made of.
    type W: Words<Self::S>;
    /// Rows of a tile.
    const MR: usize;
    /// Columns of a tile.
    const NR: usize;
    /// Words of A for each word along K in a panel: `MR`, rounded up to what packing writes at a time.
    const MR_PACKED: usize;
    /// Words along K in a step of the loop; packed, K is a multiple of it.
    const STEP: usize;
    /// The most rows of A packed at a time.
    const MC: usize;
    /// Columns of B in a block.
    const NC: usize;

    /// Makes a thread ready; the instruction set is the proof that it can be.
    fn begin(s: Self::S) -> Self;
    /// Undoes what [`MicroKernel::begin`] did.
    fn end(self);

    /// Packs a matrix, given as K × M, into panels of `MR`.
    #[inline(always)]
    fn pack_a(s: Self::S, from: ArrayView2<f32>, to: &mut [f32]) {
        pack::<Self::S, Self::W, false>(s, from, Self::MR, Self::STEP, to);
    }

    /// Packs K × N into panels of `NR`, word after word.
    #[inline(always)]
    fn pack_b(s: Self::S, from: ArrayView2<f32>, to: &mut [f32]) {
        pack::<Self::S, Self::W, false>(s, from, Self::NR, Self::STEP, to);
    }

    /// `acc[r][c] = Σ_k a[k][r] · b[k][c]` over `kc` words, of one packed panel each.
    ///
    /// # Safety
    /// `a` has `kc·MR_PACKED` words and `b` has `kc·NR`; `kc` is a multiple of `STEP`.
    unsafe fn multiply(self, kc: usize, a: *const f32, b: *const f32, next: Prefetch, acc: &mut Accumulators);
}

/// `MR × NV` vectors of accumulators; each word of A is multiplied with a row of B.
#[derive(Clone, Copy)]
pub(crate) struct Vectors<S, W, const MR: usize, const NV: usize>(S, std::marker::PhantomData<W>);

impl<S: Simd, W: Words<S>, const MR: usize, const NV: usize> MicroKernel for Vectors<S, W, MR, NV> {
    type S = S;
    type W = W;
    const MR: usize = MR;
    const NR: usize = NV * S::LANES;
    const MR_PACKED: usize = MR.next_multiple_of(S::LANES);
    const STEP: usize = 4;
    const MC: usize = 112;
    const NC: usize = 192;

    #[inline(always)]
    fn begin(s: S) -> Self {
        Self(s, std::marker::PhantomData)
    }

    #[inline(always)]
    fn end(self) {}

    #[inline(always)]
    unsafe fn multiply(self, kc: usize, a: *const f32, b: *const f32, next: Prefetch, to: &mut Accumulators) {
        const AHEAD: usize = 64; // rows of B that are asked for before their turn
        let s = self.0;
        let mut acc = [[s.splat(0.0); NV]; MR];
        for step in 0..kc / Self::STEP {
            s.prefetch_l2(next.address.wrapping_add(step * next.words_per_step));
            for k in 0..Self::STEP {
                let k = step * Self::STEP + k;
                let mut b_row = [s.splat(0.0); NV];
                for (v, b_row) in b_row.iter_mut().enumerate() {
                    // SAFETY: row `k` of `b` has `NV` vectors.
                    *b_row = s.load(unsafe { std::slice::from_raw_parts(b.add((k * NV + v) * S::LANES), S::LANES) });
                    s.prefetch(b.wrapping_add(((k + AHEAD) * NV + v) * S::LANES));
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    // SAFETY: row `k` of `a` has `MR_PACKED` words.
                    let a = s.splat(unsafe { *a.add(k * Self::MR_PACKED + r) });
                    for v in 0..NV {
                        acc[v] = W::multiply_add(s, a, b_row[v], acc[v]);
                    }
                }
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            for (v, &acc) in acc.iter().enumerate() {
                s.store(acc, &mut to.0[(r * NV + v) * S::LANES..]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::*;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use crate::gemm::words::{OneF32, TwoBf16};
    use crate::simd::{Avx2, Avx512};

    /// f32 by AVX2.
    pub(crate) type Avx2F32 = Vectors<Avx2, OneF32, 6, 2>;
    /// f32 by AVX-512.
    pub(crate) type Avx512F32 = Vectors<Avx512<false>, OneF32, 14, 2>;
    /// bf16 by AVX-512.
    pub(crate) type Avx512Bf16 = Vectors<Avx512<true>, TwoBf16, 14, 2>;

    /// bf16 by AMX: four tiles of accumulators.
    #[cfg(target_os = "linux")]
    #[derive(Clone, Copy)]
    pub(crate) struct AmxBf16(());

    #[cfg(target_os = "linux")]
    impl MicroKernel for AmxBf16 {
        type S = Avx512<true>;
        type W = TwoBf16;
        const MR: usize = 32;
        const NR: usize = 32;
        const MR_PACKED: usize = 32;
        const STEP: usize = 16;
        const MC: usize = 256;
        const NC: usize = 128;

        #[inline(always)]
        fn begin(_: Self::S) -> Self {
            assert_eq!(crate::simd::Isa::detected(), crate::simd::Isa::Amx, "this processor does not have AMX");
            // SAFETY: asserted.
            unsafe { crate::gemm::amx::configure() };
            Self(())
        }

        #[inline(always)]
        fn end(self) {
            // SAFETY: `begin` saw AMX.
            unsafe { crate::gemm::amx::release() };
        }

        #[inline(always)]
        fn pack_a(s: Self::S, from: ArrayView2<f32>, to: &mut [f32]) {
            pack::<Self::S, Self::W, true>(s, from, 16, Self::STEP, to);
        }

        #[inline(always)]
        unsafe fn multiply(self, kc: usize, a: *const f32, b: *const f32, next: Prefetch, acc: &mut Accumulators) {
            // SAFETY: `begin` has configured the tiles; the rest is the caller's promise.
            unsafe { crate::gemm::amx::multiply(kc / Self::STEP, a, b, next, acc.0.as_mut_ptr()) };
        }
    }
}
