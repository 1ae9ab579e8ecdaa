//! The operands of a matrix product as 32-bit words: one f32 each, or two bf16 values that are
//! neighbors along K.
//!
//! A product of words is the same algorithm in both precisions, and so is packing them. Past the
//! end of K, words are zero, which add nothing to a sum.

use crate::simd::{Simd, SimdBf16};

/// How words are made and multiplied.
pub(crate) trait Words<S: Simd>: Copy {
    /// The number of values in a word.
    const DEPTH: usize;
    /// `acc + a·b`, summed over the values of each word.
    fn multiply_add(s: S, a: S::F32, b: S::F32, acc: S::F32) -> S::F32;
    /// The words of neighboring columns: word `j` is `rows[0][j]` and, if a word has two values,
    /// `rows[1][j]`. Zeros past the ends.
    fn across(s: S, rows: [&[f32]; 2]) -> S::F32;
    /// The words of neighboring values along K. Zeros past their end.
    fn along(s: S, values: &[f32]) -> S::F32;
}

/// Words of one f32.
#[derive(Clone, Copy)]
pub(crate) struct OneF32;

impl<S: Simd> Words<S> for OneF32 {
    const DEPTH: usize = 1;

    #[inline(always)]
    fn multiply_add(s: S, a: S::F32, b: S::F32, acc: S::F32) -> S::F32 {
        s.fma(a, b, acc)
    }

    #[inline(always)]
    fn across(s: S, [row, _]: [&[f32]; 2]) -> S::F32 {
        s.load_padded(row, 0.0)
    }

    #[inline(always)]
    fn along(s: S, values: &[f32]) -> S::F32 {
        s.load_padded(values, 0.0)
    }
}

/// Words of two bf16 values.
#[derive(Clone, Copy)]
pub(crate) struct TwoBf16;

impl<S: SimdBf16> Words<S> for TwoBf16 {
    const DEPTH: usize = 2;

    #[inline(always)]
    fn multiply_add(s: S, a: S::F32, b: S::F32, acc: S::F32) -> S::F32 {
        s.dot_pairs(a, b, acc)
    }

    #[inline(always)]
    fn across(s: S, [first, second]: [&[f32]; 2]) -> S::F32 {
        s.pairs(s.load_padded(first, 0.0), s.load_padded(second, 0.0))
    }

    #[inline(always)]
    fn along(s: S, values: &[f32]) -> S::F32 {
        let (low, high) = values.split_at(S::LANES.min(values.len()));
        s.neighbors(s.load_padded(low, 0.0), s.load_padded(high, 0.0))
    }
}
