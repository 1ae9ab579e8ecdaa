//! The innermost product: one tile of C in registers, and how its operands are packed for it.
//!
//! Operands are words (see [`words`](crate::words)) in panels, each of `MR` rows of A or `NR` columns of B, in the order in which
//! the product reads them.

#![allow(unsafe_code)]

use ndarray::ArrayView2;

use crate::simd::Simd;
use crate::words::Words;

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
    /// Words along K come in multiples of this.
    const STEP: usize;
    /// Rows of A packed at a time.
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
    unsafe fn multiply(self, kc: usize, a: *const f32, b: *const f32, acc: &mut Accumulators);
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
    const STEP: usize = 1;
    const MC: usize = 112;
    const NC: usize = 192;

    #[inline(always)]
    fn begin(s: S) -> Self {
        Self(s, std::marker::PhantomData)
    }

    #[inline(always)]
    fn end(self) {}

    #[inline(always)]
    unsafe fn multiply(self, kc: usize, a: *const f32, b: *const f32, to: &mut Accumulators) {
        let s = self.0;
        let mut acc = [[s.splat(0.0); NV]; MR];
        for k in 0..kc {
            let mut b_row = [s.splat(0.0); NV];
            for (v, b_row) in b_row.iter_mut().enumerate() {
                // SAFETY: row `k` of `b` has `NV` vectors.
                *b_row = s.load(unsafe { std::slice::from_raw_parts(b.add((k * NV + v) * S::LANES), S::LANES) });
                s.prefetch(b.wrapping_add(((k + 12) * NV + v) * S::LANES));
            }
            for (r, acc) in acc.iter_mut().enumerate() {
                // SAFETY: row `k` of `a` has `MR_PACKED` words.
                let a = s.splat(unsafe { *a.add(k * Self::MR_PACKED + r) });
                for v in 0..NV {
                    acc[v] = W::multiply_add(s, a, b_row[v], acc[v]);
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
    use crate::simd::{Avx2, Avx512};
    use crate::words::{OneF32, TwoBf16};

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
        const NC: usize = 384;

        #[inline(always)]
        fn begin(_: Self::S) -> Self {
            assert_eq!(crate::Isa::detected(), crate::Isa::Amx, "this processor does not have AMX");
            // SAFETY: asserted.
            unsafe { crate::amx::configure() };
            Self(())
        }

        #[inline(always)]
        fn end(self) {
            // SAFETY: `begin` saw AMX.
            unsafe { crate::amx::release() };
        }

        #[inline(always)]
        fn pack_a(s: Self::S, from: ArrayView2<f32>, to: &mut [f32]) {
            pack::<Self::S, Self::W, true>(s, from, 16, Self::STEP, to);
        }

        #[inline(always)]
        unsafe fn multiply(self, kc: usize, a: *const f32, b: *const f32, acc: &mut Accumulators) {
            // SAFETY: `begin` has configured the tiles; the rest is the caller's promise.
            unsafe { crate::amx::multiply(kc / Self::STEP, a, b, acc.0.as_mut_ptr()) };
        }
    }
}

/// Packs a matrix (K × R) into panels of `width` columns, word after word, each word's columns filled up to whole vectors; or,
/// `BY_COLUMN`, in squares one behind the other, in which a column's words are neighbours. Behind the last column, and behind
/// K up to a multiple of `step` words, are zeros; behind the columns of a narrow panel is anything.
///
/// One of the matrix's strides is 1.
#[inline(always)]
fn pack<S: Simd, W: Words<S>, const BY_COLUMN: bool>(
    s: S,
    from: ArrayView2<f32>,
    width: usize,
    step: usize,
    to: &mut [f32],
) {
    let (n, side, stride) = (from.ncols(), S::LANES, width.next_multiple_of(S::LANES));
    let kc = from.nrows().div_ceil(W::DEPTH).next_multiple_of(step);
    let row_major = is_row_major(&from);
    let panels = n.div_ceil(width);
    let squares = kc.div_ceil(side);
    for i in 0..panels * squares {
        // In the order in which the matrix lies in memory.
        let (panel, k) = if row_major { (i % panels, i / panels * side) } else { (i / squares, i % squares * side) };
        let to = &mut to[panel * kc * stride + k * stride..];
        for j in (0..stride).step_by(side) {
            let column = panel * width + j;
            if BY_COLUMN {
                let square = match row_major {
                    true => s.transpose(rows_of_words::<S, W>(s, &from, k, column)),
                    false => columns_of_words::<S, W>(s, &from, k, column),
                };
                store(s, square, side, side, to);
            } else {
                let square = match row_major {
                    true => rows_of_words::<S, W>(s, &from, k, column),
                    false => s.transpose(columns_of_words::<S, W>(s, &from, k, column)),
                };
                store(s, square, stride, side.min(kc - k), &mut to[j..]);
            }
        }
    }
}

/// Writes the first `count` vectors, `stride` apart.
#[inline(always)]
fn store<S: Simd>(s: S, square: S::Square, stride: usize, count: usize, to: &mut [f32]) {
    if count == S::LANES {
        for i in 0..S::LANES {
            s.store(square.as_ref()[i], &mut to[i * stride..]);
        }
    } else {
        for i in 0..count {
            s.store(square.as_ref()[i], &mut to[i * stride..]);
        }
    }
}

/// Whether the values of a row are neighbours, or else those of a column.
pub(crate) fn is_row_major(matrix: &ArrayView2<f32>) -> bool {
    matrix.strides()[1] == 1 || matrix.ncols() <= 1
}

/// A square of words from word `k` and column `j` on: vector `i` holds word `k + i` of each column.
#[inline(always)]
fn rows_of_words<S: Simd, W: Words<S>>(s: S, from: &ArrayView2<f32>, k: usize, j: usize) -> S::Square {
    let mut square = s.zero_square();
    let (rows, width) = (from.nrows(), S::LANES.min(from.ncols().saturating_sub(j)));
    // SAFETY of both: the row and its columns from `j` on are inside the matrix, and the values of a row are neighbours.
    let first = from.as_ptr().wrapping_offset(j as isize);
    let row = |row: usize| first.wrapping_offset(row as isize * from.strides()[0]);
    if width == S::LANES && (k + S::LANES) * W::DEPTH <= rows {
        for i in 0..S::LANES {
            let [first, second] = [(k + i) * W::DEPTH, (k + i + 1) * W::DEPTH - 1];
            let rows = unsafe { [first, second].map(|r| std::slice::from_raw_parts(row(r), S::LANES)) };
            square.as_mut()[i] = W::across(s, rows);
        }
    } else {
        for i in 0..S::LANES {
            let [first, second] = [(k + i) * W::DEPTH, (k + i + 1) * W::DEPTH - 1];
            let length = |r: usize| if r < rows { width } else { 0 };
            let rows = unsafe { [first, second].map(|r| std::slice::from_raw_parts(row(r), length(r))) };
            square.as_mut()[i] = W::across(s, rows);
        }
    }
    square
}

/// The same square, but vector `i` holds the words of column `j + i`.
#[inline(always)]
fn columns_of_words<S: Simd, W: Words<S>>(s: S, from: &ArrayView2<f32>, k: usize, j: usize) -> S::Square {
    let mut square = s.zero_square();
    let (first, columns) = (k * W::DEPTH, from.ncols());
    let length = (S::LANES * W::DEPTH).min(from.nrows().saturating_sub(first));
    // SAFETY of both: the column and its rows from `first` on are inside the matrix, and the values of a column are neighbours.
    let column = |j: usize| from.as_ptr().wrapping_offset(j as isize * from.strides()[1] + first as isize);
    if j + S::LANES <= columns && length == S::LANES * W::DEPTH {
        for i in 0..S::LANES {
            let values = unsafe { std::slice::from_raw_parts(column(j + i), S::LANES * W::DEPTH) };
            square.as_mut()[i] = W::along(s, values);
        }
    } else {
        for i in 0..S::LANES {
            let length = if j + i < columns { length } else { 0 };
            square.as_mut()[i] = W::along(s, unsafe { std::slice::from_raw_parts(column(j + i), length) });
        }
    }
    square
}
