//! Packing: copies an operand into words (see [`words`](crate::gemm::words)), in panels of rows of
//! A or columns of B, in the order in which the micro-kernel reads them.
//!
//! Vectors are read along the direction in which the matrix is contiguous. Where panels need the
//! same direction, they are copied, a few rows at a time. Otherwise, the unit of work is a square,
//! `LANES × LANES` words, which is transposed in registers. So neither reading nor writing ever
//! jumps from one value to the next.

#![allow(unsafe_code)]

use ndarray::ArrayView2;

use crate::gemm::words::Words;
use crate::simd::Simd;

/// Packs a matrix (K × R) into panels of `width` columns.
///
/// A panel has, for each word along K, the words of its columns, filled up to whole vectors:
///
/// ```text
/// k = 0: column 0, 1, 2, …, width − 1, (filler)
/// k = 1: column 0, 1, 2, …
/// ```
///
/// With `BY_COLUMN`, it has one square after another along K; in a square, the words of column 0
/// come first, then those of column 1, and so on. These are the tiles of AMX.
///
/// Columns past the matrix's last one are zero-filled, and so is K past its end up to a multiple of
/// `step` words. The filler of a panel whose `width` is not a multiple of the lanes is unspecified.
///
/// One of the matrix's strides must be 1.
#[inline(always)]
pub(crate) fn pack<S: Simd, W: Words<S>, const BY_COLUMN: bool>(
    s: S,
    from: ArrayView2<f32>,
    width: usize,
    step: usize,
    to: &mut [f32],
) {
    let n = from.ncols();
    let side = S::LANES;
    let stride = width.next_multiple_of(S::LANES);
    let kc = from.nrows().div_ceil(W::DEPTH).next_multiple_of(step);
    let row_major = from.strides()[1] == 1 || n <= 1;
    let panels = n.div_ceil(width);
    if row_major && !BY_COLUMN {
        return copy_rows::<S, W>(s, from, width, kc, to);
    }
    let squares = kc.div_ceil(side); // of each panel, along K
    for i in 0..panels * squares {
        // In the order of the matrix's memory: it usually comes from DRAM, so reading is what takes
        // time, while the panels that are written are still in the cache.
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
                let square = s.transpose(columns_of_words::<S, W>(s, &from, k, column));
                store(s, square, stride, side.min(kc - k), &mut to[j..]);
            }
        }
    }
}

/// Packs a matrix whose rows are contiguous into panels of `kc` words that are not `BY_COLUMN`.
#[inline(always)]
fn copy_rows<S: Simd, W: Words<S>>(s: S, from: ArrayView2<f32>, width: usize, kc: usize, to: &mut [f32]) {
    // The words along K of one panel before those of the next: a divisor of every step. A large
    // matrix's rows often share their places in L1, which holds eight or twelve of them. So few
    // rows leave a line there for the next panel, which begins in it; and several lines in a row
    // are written faster than one in each panel.
    const ROWS: usize = 4;
    // Hardware prefetches along a row, but tasks pack parts of rows.
    const AHEAD: usize = 2 * ROWS;
    let stride = width.next_multiple_of(S::LANES);
    let (rows, n) = from.dim();
    for k in (0..kc).step_by(ROWS) {
        for panel in 0..n.div_ceil(width) {
            let to = &mut to[(panel * kc + k) * stride..][..ROWS * stride];
            for j in (0..stride).step_by(S::LANES) {
                let column = panel * width + j;
                let inside = (k + ROWS) * W::DEPTH <= rows && column + S::LANES <= n;
                for row in 0..ROWS {
                    prefetch_row::<S, W>(s, &from, k + row + AHEAD, column);
                    s.store(row_of_words::<S, W>(s, &from, k + row, column, inside), &mut to[row * stride + j..]);
                }
            }
        }
    }
}

/// Writes the first `count` vectors, `stride` apart.
#[inline(always)]
fn store<S: Simd>(s: S, square: S::Square, stride: usize, count: usize, to: &mut [f32]) {
    // Two loops, because the first one's length is known to the compiler, which then unrolls it and
    // keeps the square in registers.
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

/// The square of words that starts at word `k` and column `j`: vector `i` holds word `k + i` of
/// each column. For a matrix whose rows are contiguous.
#[inline(always)]
fn rows_of_words<S: Simd, W: Words<S>>(s: S, from: &ArrayView2<f32>, k: usize, j: usize) -> S::Square {
    let mut square = s.zero_square();
    // Inside the matrix all slices have a length that the compiler knows: no padding, no branches.
    let inside = j + S::LANES <= from.ncols() && (k + S::LANES) * W::DEPTH <= from.nrows();
    for i in 0..S::LANES {
        // The same rows of the square below: hardware prefetches along a row, not from row to row.
        prefetch_row::<S, W>(s, from, k + i + S::LANES, j);
        square.as_mut()[i] = row_of_words::<S, W>(s, from, k + i, j, inside);
    }
    square
}

/// Word `k` of each of the columns from `j` on; whether all of them are `inside` the matrix.
#[inline(always)]
fn row_of_words<S: Simd, W: Words<S>>(s: S, from: &ArrayView2<f32>, k: usize, j: usize, inside: bool) -> S::F32 {
    let width = S::LANES.min(from.ncols().saturating_sub(j));
    let length = |row: usize| if inside || row < from.nrows() { width } else { 0 };
    // A word of two values takes them from two rows; for a word of one, both are the same row.
    let [first, last] = [k * W::DEPTH, (k + 1) * W::DEPTH - 1];
    // SAFETY: `length` keeps to the matrix, whose rows are contiguous.
    let [a, b] = unsafe { [neighbors(from, first, j, length(first)), neighbors(from, last, j, length(last))] };
    if inside { W::across(s, [&a[..S::LANES], &b[..S::LANES]]) } else { W::across(s, [a, b]) }
}

/// Prefetches what [`row_of_words`] reads.
#[inline(always)]
fn prefetch_row<S: Simd, W: Words<S>>(s: S, from: &ArrayView2<f32>, k: usize, j: usize) {
    for row in k * W::DEPTH..(k + 1) * W::DEPTH {
        s.prefetch(address(from, row, j));
    }
}

/// The same square, but vector `i` holds the words of column `j + i`. For a matrix whose columns
/// are contiguous.
#[inline(always)]
fn columns_of_words<S: Simd, W: Words<S>>(s: S, from: &ArrayView2<f32>, k: usize, j: usize) -> S::Square {
    let mut square = s.zero_square();
    let first = k * W::DEPTH;
    let columns = from.ncols();
    let side = S::LANES * W::DEPTH;
    let length = side.min(from.nrows().saturating_sub(first));
    let whole = j + S::LANES <= columns && length == side;
    for i in 0..S::LANES {
        let length = if whole || j + i < columns { length } else { 0 };
        // SAFETY: `length` keeps to the matrix, whose columns are contiguous.
        let values = unsafe { neighbors(from, first, j + i, length) };
        // The same columns of the square to the right.
        for d in 0..W::DEPTH {
            s.prefetch(address(from, first + d * S::LANES, j + i + S::LANES));
        }
        square.as_mut()[i] = if whole { W::along(s, &values[..side]) } else { W::along(s, values) };
    }
    square
}

/// The address of an element; outside of the matrix, the address that it would have.
#[inline(always)]
fn address(matrix: &ArrayView2<f32>, row: usize, column: usize) -> *const f32 {
    let offset = row as isize * matrix.strides()[0] + column as isize * matrix.strides()[1];
    matrix.as_ptr().wrapping_offset(offset)
}

/// `length` values that are contiguous in memory, starting with an element.
///
/// # Safety
/// They are inside the matrix, or `length` is 0.
#[inline(always)]
unsafe fn neighbors<'a>(matrix: &'a ArrayView2<f32>, row: usize, column: usize, length: usize) -> &'a [f32] {
    // An empty slice is still loaded from, with a mask of nothing. That takes hundreds of cycles
    // where there is no memory, so it starts inside the matrix.
    let start = if length == 0 { matrix.as_ptr() } else { address(matrix, row, column) };
    // SAFETY: by the caller's promise; an empty slice may start anywhere.
    unsafe { std::slice::from_raw_parts(start, length) }
}
