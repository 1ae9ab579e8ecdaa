//! The vector trait that every kernel is written over, and what a kernel is.
//!
//! A value of an instruction set's type proves that the processor has the set: only a function that
//! is compiled for the set creates one, and only after checking the processor. So every operation
//! of the trait is safe to call.

/// Vectors of [`Simd::LANES`] f32 or u32 values of one instruction set.
///
/// Slices must hold at least [`Simd::LANES`] values, of which the operations use the first.
pub(crate) trait Simd: Copy + Send + Sync {
    /// The number of values in a vector.
    const LANES: usize;
    /// A vector of f32.
    type F32: Copy;
    /// A vector of u32.
    type U32: Copy;
    /// [`Simd::LANES`] vectors.
    type Square: AsRef<[Self::F32]> + AsMut<[Self::F32]>;

    /// Runs a kernel, with the scratch memory that it needs, in a function that is compiled for
    /// this instruction set.
    ///
    /// # Panics
    /// If the processor does not have the instruction set.
    fn call<K: KernelOn<Self>>(kernel: K) -> K::Output;

    /// `x` in all lanes.
    fn splat(self, x: f32) -> Self::F32;
    /// The first values of a slice.
    fn load(self, from: &[f32]) -> Self::F32;
    /// Writes the lanes to the front of a slice.
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
    /// The larger one; `b` where either is NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The nearest integers, ties to even.
    fn round(self, a: Self::F32) -> Self::F32;
    /// `2ⁿ` for integral `n` in −126..=127.
    fn exp2i(self, n: Self::F32) -> Self::F32;
    /// `x` where `a < b`, else `y`.
    fn where_less(self, a: Self::F32, b: Self::F32, x: Self::F32, y: Self::F32) -> Self::F32;

    /// `x` in all lanes.
    fn splat_u32(self, x: u32) -> Self::U32;
    /// `0, 1, 2, …`.
    fn lane_index(self) -> Self::U32;
    /// `a + b`, wrapping.
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a ⊕ b`.
    fn xor(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// The high and the low halves of the 64-bit products `a · b`.
    fn mul_wide(self, a: Self::U32, b: Self::U32) -> (Self::U32, Self::U32);
    /// The low and the high 16 bits of each lane.
    fn halves(self, a: Self::U32) -> (Self::U32, Self::U32);
    /// `x` where `a < b`, else `y`; `a` and `b` must be below 2³¹, because AVX2 compares signed
    /// numbers.
    fn where_less_u32(self, a: Self::U32, b: Self::U32, x: Self::F32, y: Self::F32) -> Self::F32;

    /// Vectors of zeros.
    fn zero_square(self) -> Self::Square;
    /// Lane `j` of vector `i` becomes lane `i` of vector `j`.
    fn transpose(self, square: Self::Square) -> Self::Square;

    /// Prefetches the cache line at an address, which need not be valid.
    fn prefetch(self, at: *const f32);
    /// As [`Simd::prefetch`], but only into L2.
    fn prefetch_l2(self, at: *const f32);

    /// The first values of a slice, which may be shorter than a vector: lanes past its end are
    /// `pad`.
    #[inline(always)]
    fn load_padded(self, from: &[f32], pad: f32) -> Self::F32 {
        if from.len() >= Self::LANES {
            return self.load(from);
        }
        let mut lanes = [pad; MAX_LANES];
        lanes[..from.len()].copy_from_slice(from);
        self.load(&lanes)
    }

    /// Writes the lanes to a slice, which may be shorter than a vector: lanes past its end are
    /// dropped.
    #[inline(always)]
    fn store_fitting(self, v: Self::F32, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            return self.store(v, to);
        }
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        to.copy_from_slice(&lanes[..to.len()]);
    }

    /// The sum of the lanes, added pairwise.
    #[inline(always)]
    fn sum(self, v: Self::F32) -> f32 {
        self.fold(v, |a, b| a + b)
    }

    /// The lanes combined pairwise: the two halves, then the two quarters, and so on.
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

/// A [`Simd`] that multiplies pairs of bf16 values. A lane of 32 bits holds a pair, its first value
/// in the low half.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) trait SimdBf16: Simd {
    /// The pairs `(first, second)` of each lane, rounded to nearest even.
    fn pairs(self, first: Self::F32, second: Self::F32) -> Self::F32;
    /// The pairs of neighboring lanes, those of `low` first, then those of `high`, rounded to
    /// nearest even.
    fn neighbors(self, low: Self::F32, high: Self::F32) -> Self::F32;
    /// `a₁·b₁ + a₀·b₀ + c` for pairs `a` and `b` and f32 `c`; denormal operands and results count
    /// as 0.
    fn dot_pairs(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
}

/// The lanes of the widest instruction set.
pub(crate) const MAX_LANES: usize = 16;

/// An algorithm over any instruction set, together with its arguments.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;

    /// The number of values of scratch memory that it needs, with vectors of `lanes` values.
    fn scratch(&self, _lanes: usize) -> usize {
        0
    }

    /// Runs it with scratch memory of unspecified contents, aligned to a cache line.
    ///
    /// Implementations must be `#[inline(always)]`, and so must everything they call: only what is
    /// inlined is compiled for the instruction set. Closures cannot be marked, so they must be
    /// small enough for the compiler to inline them anyway.
    fn run<S: Simd>(self, s: S, scratch: &mut [f32]) -> Self::Output;
}

/// An algorithm over one instruction set. Every [`Kernel`] is one over each set.
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
