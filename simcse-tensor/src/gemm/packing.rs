//! Operands of a product packed as words (see [`words`](crate::gemm::words)), in panels of rows of A or columns of B, in the order
//! in which the micro-kernel reads them.
//!
//! A square of as many words each way as a vector has lanes is gathered along the matrix's neighbors, turned in registers where
//! the panel wants it the other way, and written.

#![allow(unsafe_code)]

use ndarray::ArrayView2;

use crate::gemm::words::Words;
use crate::simd::Simd;

/// Packs a matrix (K × R) into panels of `width` columns, word after word, each word's columns filled up to whole vectors; or,
/// `BY_COLUMN`, in squares one behind the other, in which a column's words are neighbors. Behind the last column, and behind
/// K up to a multiple of `step` words, are zeros; behind the columns of a narrow panel is anything.
///
/// One of the matrix's strides is 1.
#[inline(always)]
pub(crate) fn pack<S: Simd, W: Words<S>, const BY_COLUMN: bool>(
    s: S,
    from: ArrayView2<f32>,
    width: usize,
    step: usize,
    to: &mut [f32],
) {
    let (n, side, stride) = (from.ncols(), S::LANES, width.next_multiple_of(S::LANES));
    let kc = from.nrows().div_ceil(W::DEPTH).next_multiple_of(step);
    let row_major = from.strides()[1] == 1 || n <= 1;
    let (panels, squares) = (n.div_ceil(width), kc.div_ceil(side));
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
            s.store(square.as_ref()[i], &mut to[i * stride..]); // a loop of known length, which keeps the square in registers
        }
    } else {
        for i in 0..count {
            s.store(square.as_ref()[i], &mut to[i * stride..]);
        }
    }
}

/// A square of words from word `k` and column `j` on: vector `i` holds word `k + i` of each column.
#[inline(always)]
fn rows_of_words<S: Simd, W: Words<S>>(s: S, from: &ArrayView2<f32>, k: usize, j: usize) -> S::Square {
    let mut square = s.zero_square();
    let (rows, width) = (from.nrows(), S::LANES.min(from.ncols().saturating_sub(j)));
    let whole = width == S::LANES && (k + S::LANES) * W::DEPTH <= rows;
    for i in 0..S::LANES {
        let [first, last] = [(k + i) * W::DEPTH, (k + i + 1) * W::DEPTH - 1];
        let length = |row: usize| if whole || row < rows { width } else { 0 };
        // SAFETY: so many values of these rows, which are neighbors, are inside the matrix.
        let [a, b] = unsafe { [neighbors(from, first, j, length(first)), neighbors(from, last, j, length(last))] };
        for row in first..=last {
            s.prefetch(address(from, row + S::LANES * W::DEPTH, j));
        }
        square.as_mut()[i] = if whole { W::across(s, [&a[..S::LANES], &b[..S::LANES]]) } else { W::across(s, [a, b]) };
    }
    square
}

/// The same square, but vector `i` holds the words of column `j + i`.
#[inline(always)]
fn columns_of_words<S: Simd, W: Words<S>>(s: S, from: &ArrayView2<f32>, k: usize, j: usize) -> S::Square {
    let mut square = s.zero_square();
    let (first, columns, side) = (k * W::DEPTH, from.ncols(), S::LANES * W::DEPTH);
    let length = side.min(from.nrows().saturating_sub(first));
    let whole = j + S::LANES <= columns && length == side;
    for i in 0..S::LANES {
        let length = if whole || j + i < columns { length } else { 0 };
        // SAFETY: so many values of this column, which are neighbors, are inside the matrix.
        let values = unsafe { neighbors(from, first, j + i, length) };
        for d in 0..W::DEPTH {
            s.prefetch(address(from, first + d * S::LANES, j + i + S::LANES));
        }
        square.as_mut()[i] = if whole { W::along(s, &values[..side]) } else { W::along(s, values) };
    }
    square
}

/// Where an element lies, or would lie if the matrix went on.
#[inline(always)]
fn address(matrix: &ArrayView2<f32>, row: usize, column: usize) -> *const f32 {
    let offset = row as isize * matrix.strides()[0] + column as isize * matrix.strides()[1];
    matrix.as_ptr().wrapping_offset(offset)
}

/// `length` values that are neighbors in memory, from an element on.
///
/// # Safety
/// They are inside the matrix, or there are none.
#[inline(always)]
unsafe fn neighbors<'a>(matrix: &'a ArrayView2<f32>, row: usize, column: usize, length: usize) -> &'a [f32] {
    // SAFETY: by the caller's promise; of an empty slice the address does not matter.
    unsafe { std::slice::from_raw_parts(address(matrix, row, column), length) }
}
