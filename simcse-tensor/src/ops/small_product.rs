//! `C = A·B` inside a kernel, for matrices as small as one attention head's: on one thread,
//! unpacked, always in f32.
//!
//! A sentence of 15 tokens makes products of 15 × 64 × 15. [`gemm`](crate::gemm()) would spend more
//! time on packing, and on handing out tasks, than on such a product; all operands are in L1 or L2
//! anyway.

use crate::simd::Simd;

/// The left operand. Its elements are read one at a time, so it may be transposed at no cost.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    values: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Left<'a> {
    /// A row-major matrix, its rows `stride` values apart.
    #[inline(always)]
    pub(crate) fn rows(values: &'a [f32], stride: usize) -> Self {
        Self { values, row_stride: stride, column_stride: 1 }
    }

    /// The transpose of a row-major matrix whose rows are `stride` values apart.
    #[inline(always)]
    pub(crate) fn transposed(values: &'a [f32], stride: usize) -> Self {
        Self { values, row_stride: 1, column_stride: stride }
    }

    /// The operand from row `i` on.
    #[inline(always)]
    fn skip_rows(self, i: usize) -> Self {
        Self { values: &self.values[i * self.row_stride..], ..self }
    }
}

/// `C = A·B`, C (m × n), A (m × k), B (k × n). `b` and `c` are row-major, each with its row stride;
/// `n` is a multiple of the vector's lanes.
///
/// Tiles of C are four rows by two vectors, so that eight sums, independent of one another, hide
/// the latency of a multiply-add, and each vector of B that is loaded serves four rows. What is
/// left over at the bottom goes row by row, at the right one vector at a time; an element's bits
/// are the same in every kind of tile, because each is one sum over k in order.
#[inline(always)]
pub(crate) fn product<S: Simd>(s: S, sizes: [usize; 3], a: Left, b: (&[f32], usize), c: (&mut [f32], usize)) {
    tiles::<S, false>(s, sizes, a, b, c);
}

/// `C = C + A·B`, as [`product`]: the sum over k goes on from what C holds.
#[inline(always)]
pub(crate) fn product_onto<S: Simd>(s: S, sizes: [usize; 3], a: Left, b: (&[f32], usize), c: (&mut [f32], usize)) {
    tiles::<S, true>(s, sizes, a, b, c);
}

#[inline(always)]
fn tiles<S: Simd, const ONTO: bool>(
    s: S,
    [m, n, k]: [usize; 3],
    a: Left,
    (b, b_stride): (&[f32], usize),
    (c, c_stride): (&mut [f32], usize),
) {
    let pair = 2 * S::LANES;
    for j in (0..n).step_by(pair) {
        let mut i = 0;
        while i < m {
            let a = a.skip_rows(i);
            let b = (&b[j..], b_stride);
            let c = (&mut c[i * c_stride + j..], c_stride);
            match (m - i >= 4, n - j >= pair) {
                (true, true) => tile::<S, ONTO, 4, 2>(s, k, a, b, c),
                (true, false) => tile::<S, ONTO, 4, 1>(s, k, a, b, c),
                (false, true) => tile::<S, ONTO, 1, 2>(s, k, a, b, c),
                (false, false) => tile::<S, ONTO, 1, 1>(s, k, a, b, c),
            }
            i += if m - i >= 4 { 4 } else { 1 };
        }
    }
}

/// `R` rows by `V` vectors of a [`product`], in registers: each element of A is broadcast and
/// multiplied with a row of B. With `ONTO`, the sums begin
/// with what C holds.
#[inline(always)]
fn tile<S: Simd, const ONTO: bool, const R: usize, const V: usize>(
    s: S,
    k: usize,
    a: Left,
    (b, b_stride): (&[f32], usize),
    (c, c_stride): (&mut [f32], usize),
) {
    let mut acc = [[s.splat(0.0); V]; R];
    if ONTO {
        for (r, acc) in acc.iter_mut().enumerate() {
            for v in 0..V {
                acc[v] = s.load(&c[r * c_stride + v * S::LANES..]);
            }
        }
    }
    for l in 0..k {
        let mut vectors = [s.splat(0.0); V];
        for v in 0..V {
            vectors[v] = s.load(&b[l * b_stride + v * S::LANES..]);
        }
        for (r, acc) in acc.iter_mut().enumerate() {
            let a = s.splat(a.values[r * a.row_stride + l * a.column_stride]);
            for v in 0..V {
                acc[v] = s.fma(a, vectors[v], acc[v]);
            }
        }
    }
    for r in 0..R {
        for v in 0..V {
            s.store(acc[r][v], &mut c[r * c_stride + v * S::LANES..]);
        }
    }
}
