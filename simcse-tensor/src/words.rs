//! The operands of a matrix product as 32-bit words: one f32 each, or two bf16 values that are neighbours along K.
//!
//! A product of words is the same algorithm in both precisions; a word of zeros stands for values behind the end of K.

use std::fmt;
use std::str::FromStr;

use crate::math;
use crate::simd::{Kernel, KernelBf16, Simd, SimdBf16, dispatch, dispatch_bf16, has_bf16};

/// What the operands of the large matrix products are rounded to. Sums are f32 in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Nothing is rounded.
    #[default]
    F32,
    /// bfloat16, to nearest even; on processors that multiply it.
    Bf16,
}

impl Precision {
    /// `f32`, `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }

    /// Whether this processor (and the instruction set in use, see [`Isa::detected`](crate::Isa::detected)) has it.
    pub fn is_available(self) -> bool {
        self == Precision::F32 || has_bf16()
    }

    /// The fastest that is available.
    pub fn fastest() -> Self {
        if has_bf16() { Precision::Bf16 } else { Precision::F32 }
    }

    /// How many values are in a word.
    pub(crate) fn depth(self) -> usize {
        match self {
            Precision::F32 => 1,
            Precision::Bf16 => 2,
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    /// The precision of this name; the error lists the names.
    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Self::F32, Self::Bf16].into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| "f32 or bf16".to_owned())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How words are made and multiplied.
pub(crate) trait Words<S: Simd> {
    /// Values in a word.
    const DEPTH: usize;
    /// `acc + a·b`, summed over the values of each word.
    fn multiply_add(s: S, a: S::F32, b: S::F32, acc: S::F32) -> S::F32;
    /// `to[j]` becomes the word of `rows[0][j]` and, if a word has two values, `rows[1][j]`. Rows are equally long.
    fn across(s: S, rows: [&[f32]; 2], to: &mut [f32]);
    /// The words of a run of values along K; those of an incomplete last word are followed by zeros.
    fn along(s: S, values: &[f32], to: &mut [f32]);
}

/// Words of one f32.
pub(crate) struct OneF32;

impl<S: Simd> Words<S> for OneF32 {
    const DEPTH: usize = 1;

    #[inline(always)]
    fn multiply_add(s: S, a: S::F32, b: S::F32, acc: S::F32) -> S::F32 {
        s.fma(a, b, acc)
    }

    #[inline(always)]
    fn across(s: S, [row, _]: [&[f32]; 2], to: &mut [f32]) {
        Self::along(s, row, to);
    }

    #[inline(always)]
    fn along(s: S, values: &[f32], to: &mut [f32]) {
        math::zip(s, values, to, |value, _| value);
    }
}

/// Words of two bf16 values.
pub(crate) struct TwoBf16;

impl<S: SimdBf16> Words<S> for TwoBf16 {
    const DEPTH: usize = 2;

    #[inline(always)]
    fn multiply_add(s: S, a: S::F32, b: S::F32, acc: S::F32) -> S::F32 {
        s.dot_pairs(a, b, acc)
    }

    #[inline(always)]
    fn across(s: S, [first, second]: [&[f32]; 2], to: &mut [f32]) {
        for j in (0..first.len()).step_by(S::LANES) {
            let word = s.pairs(s.load_padded(&first[j..], 0.0), s.load_padded(&second[j..], 0.0));
            s.store_fitting(word, &mut to[j..first.len()]);
        }
    }

    #[inline(always)]
    fn along(s: S, values: &[f32], to: &mut [f32]) {
        let words = values.len().div_ceil(2);
        for j in (0..words).step_by(S::LANES) {
            let (low, high) = values[2 * j..].split_at(S::LANES.min(values.len() - 2 * j));
            s.store_fitting(s.neighbours(s.load_padded(low, 0.0), s.load_padded(high, 0.0)), &mut to[j..words]);
        }
    }
}

/// A [`Kernel`] over words of any precision.
pub(crate) trait WordKernel {
    /// As [`Kernel::scratch`].
    fn scratch(&self) -> usize {
        0
    }
    /// As [`Kernel::run`].
    fn run<S: Simd, W: Words<S>>(self, s: S, scratch: &mut [f32]);
}

/// Runs a kernel on the detected instruction set.
///
/// # Panics
/// If the precision is not available.
pub(crate) fn dispatch_words<K: WordKernel>(precision: Precision, kernel: K) {
    struct In<K>(K);
    impl<K: WordKernel> Kernel for In<K> {
        type Output = ();
        fn scratch(&self, _: usize) -> usize {
            self.0.scratch()
        }
        #[inline(always)]
        fn run<S: Simd>(self, s: S, scratch: &mut [f32]) {
            self.0.run::<S, OneF32>(s, scratch);
        }
    }
    impl<K: WordKernel> KernelBf16 for In<K> {
        type Output = ();
        fn scratch(&self, _: usize) -> usize {
            self.0.scratch()
        }
        #[inline(always)]
        fn run<S: SimdBf16>(self, s: S, scratch: &mut [f32]) {
            self.0.run::<S, TwoBf16>(s, scratch);
        }
    }
    match precision {
        Precision::F32 => dispatch(In(kernel)),
        Precision::Bf16 => dispatch_bf16(In(kernel)),
    }
}
