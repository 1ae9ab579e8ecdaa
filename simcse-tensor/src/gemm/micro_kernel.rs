//! The innermost product: one tile of C in registers. Its operands are panels of words; see
//! [`packing`](crate::gemm::packing).

#![allow(unsafe_code)]

use ndarray::ArrayView2;

use crate::buffers::pages::LINE;
use crate::gemm::packing::pack;
use crate::gemm::prefetch::Prefetch;
use crate::gemm::words::Words;
use crate::simd::Simd;

/// The sums of a tile of C, row-major, `NR` wide. There is room for the largest tile, 32 × 32.
#[repr(C, align(64))]
pub(crate) struct Accumulators(pub(crate) [f32; 32 * 32]);

/// One way of computing a tile of C.
pub(crate) trait MicroKernel: Copy {
    /// The instruction set for everything around it.
    type S: Simd;
    /// The words that its operands are made of.
    type W: Words<Self::S>;
    /// The most rows of a tile.
    const MR: usize;
    /// The rows that tiles may have, ascending; the last one is `MR`.
    const HEIGHTS: &'static [usize];
    /// The columns of a tile.
    const NR: usize;
    /// How many words of a panel of A belong to one word along K: its rows, rounded up to whole
    /// vectors, which is what packing writes; as many for each of the `HEIGHTS`.
    const MR_PACKED: usize;
    /// The words along K in one step of the micro-kernel's loop. Packed, K is a multiple of it.
    const STEP: usize;

    /// Prepares a thread; the value of the instruction set proves that the processor has it.
    fn begin(s: Self::S) -> Self;
    /// Undoes [`MicroKernel::begin`].
    fn end(self);

    /// Packs rows of A, given transposed as K × M, into panels of `mr`, one of the `HEIGHTS`.
    #[inline(always)]
    fn pack_a(s: Self::S, mr: usize, from: ArrayView2<f32>, to: &mut [f32]) {
        pack::<Self::S, Self::W, false>(s, from, mr, Self::STEP, to);
    }

    /// Packs columns of B, K × N, into panels of `NR`.
    #[inline(always)]
    fn pack_b(s: Self::S, from: ArrayView2<f32>, to: &mut [f32]) {
        pack::<Self::S, Self::W, false>(s, from, Self::NR, Self::STEP, to);
    }

    /// `acc[r][c] = Σ_k a[k][r] · b[k][c]` over the `kc` words of two packed panels, for at least
    /// `mr` rows, one of the `HEIGHTS`; prefetches `next`.
    ///
    /// # Safety
    /// `a` is valid for reads of `kc·MR_PACKED` words and `b` of `kc·NR`; `kc` is a multiple of
    /// `STEP`.
    unsafe fn multiply(
        self,
        mr: usize,
        kc: usize,
        a: *const f32,
        b: *const f32,
        next: Prefetch,
        acc: &mut Accumulators,
    );
}

/// The micro-kernel of vector instructions: `MR × NV` vectors of sums. Each word of A is broadcast
/// and multiplied with a row of B.
///
/// All sums stay in registers, with room for a row of B and a word of A: 6 × 2 of AVX2's 16
/// registers, 14 × 2 of AVX-512's 32. Each row of B that is loaded then serves `MR` multiply-adds.
#[derive(Clone, Copy)]
pub(crate) struct Vectors<S, W, const MR: usize, const NV: usize>(S, std::marker::PhantomData<W>);

impl<S: Simd, W: Words<S>, const MR: usize, const NV: usize> MicroKernel for Vectors<S, W, MR, NV> {
    type S = S;
    type W = W;
    const MR: usize = MR;
    const HEIGHTS: &'static [usize] = heights(MR, S::LANES);
    const NR: usize = NV * S::LANES;
    const MR_PACKED: usize = MR.next_multiple_of(S::LANES);
    const STEP: usize = 4;

    #[inline(always)]
    fn begin(s: S) -> Self {
        Self(s, std::marker::PhantomData)
    }

    #[inline(always)]
    fn end(self) {}

    #[inline(always)]
    unsafe fn multiply(
        self,
        mr: usize,
        kc: usize,
        a: *const f32,
        b: *const f32,
        next: Prefetch,
        acc: &mut Accumulators,
    ) {
        // SAFETY: by the caller's promise; the guards keep `ROWS` below `MR`.
        unsafe {
            match mr {
                4 if MR > 4 => self.tile::<4>(kc, a, b, next, acc),
                8 if MR > 8 => self.tile::<8>(kc, a, b, next, acc),
                11 if MR > 11 => self.tile::<11>(kc, a, b, next, acc),
                _ => self.tile::<MR>(kc, a, b, next, acc),
            }
        }
    }
}

/// The heights of the tiles of [`Vectors`] up to `most`, all of which take as many vectors of
/// `lanes` in a panel.
const fn heights(most: usize, lanes: usize) -> &'static [usize] {
    let heights: &[usize] = match most {
        6 => &[4, 6],
        14 => &[4, 8, 11, 14],
        _ => panic!("no heights of tiles"),
    };
    let mut i = 0;
    while i < heights.len() {
        assert!(heights[i].next_multiple_of(lanes) == most.next_multiple_of(lanes), "the layout of a panel");
        i += 1;
    }
    heights
}

impl<S: Simd, W: Words<S>, const MR: usize, const NV: usize> Vectors<S, W, MR, NV> {
    /// The sums of a tile of `ROWS` rows.
    ///
    /// # Safety
    /// As [`MicroKernel::multiply`]; `ROWS` is at most `MR`.
    #[inline(always)]
    unsafe fn tile<const ROWS: usize>(
        self,
        kc: usize,
        a: *const f32,
        b: *const f32,
        next: Prefetch,
        to: &mut Accumulators,
    ) {
        // B streams from L2, so each of its lines is prefetched into L1 this many rows ahead of its
        // turn: 8 KiB, a fraction of L1, and far more cycles than L2 takes to answer. A's panel
        // stays in L1, and needs none.
        const AHEAD: usize = 64;
        let s = self.0;
        let mut acc = [[s.splat(0.0); NV]; ROWS];
        for step in 0..kc / <Self as MicroKernel>::STEP {
            for line in (0..next.words_per_step).step_by(LINE) {
                s.prefetch_l2(next.address.wrapping_add(step * next.words_per_step + line));
            }
            for k in 0..<Self as MicroKernel>::STEP {
                let k = step * <Self as MicroKernel>::STEP + k;
                let mut b_row = [s.splat(0.0); NV];
                for (v, b_row) in b_row.iter_mut().enumerate() {
                    // SAFETY: row `k` of `b` has `NV` vectors.
                    *b_row = s.load(unsafe { std::slice::from_raw_parts(b.add((k * NV + v) * S::LANES), S::LANES) });
                    if (v * S::LANES).is_multiple_of(LINE) {
                        s.prefetch(b.wrapping_add(((k + AHEAD) * NV + v) * S::LANES));
                    }
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    // SAFETY: row `k` of `a` has `MR_PACKED` words.
                    let a = s.splat(unsafe { *a.add(k * <Self as MicroKernel>::MR_PACKED + r) });
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
