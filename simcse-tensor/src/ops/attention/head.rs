//! The matrices of one attention head of one sentence, and how they are cut into blocks.
//!
//! Queries are taken a block at a time, together with the keys that some query of the block sees:
//! the memory of a long sentence's scores is that of a block, and the work of a window is in
//! proportion to the window.

use std::ops::Range;

use crate::ops::attention::relative_bias;
use crate::ops::dropout::{self, Dropout};
use crate::simd::Simd;

/// The queries in a block. Tests use small blocks, so that short sentences have several.
const QUERIES: usize = if cfg!(test) { 8 } else { 128 };

/// The sizes of one head's matrices.
///
/// Rows are padded to whole vectors, so that no loop needs a special case for the last one. The
/// padding is zero-filled: it then adds nothing to a sum over a row.
#[derive(Clone, Copy)]
pub(super) struct Head {
    lanes: usize,
    pub(super) tokens: usize,        // T
    pub(super) size: usize,          // D
    pub(super) padded_tokens: usize, // Tp
    pub(super) padded_size: usize,   // Dp
    pub(super) scale: f32,           // 1/√D
    window: Option<usize>,           // W
}

/// A block of queries, and the keys that they see.
pub(super) struct Block {
    pub(super) queries: Range<usize>,
    /// They begin at a whole vector.
    pub(super) keys: Range<usize>,
    /// The number of keys, padded to whole vectors.
    pub(super) width: usize,
}

impl Head {
    pub(super) fn new(lanes: usize, tokens: usize, size: usize, window: Option<usize>) -> Self {
        Self {
            lanes,
            tokens,
            size,
            padded_tokens: tokens.next_multiple_of(lanes),
            padded_size: size.next_multiple_of(lanes),
            scale: 1.0 / (size as f32).sqrt(),
            window,
        }
    }

    /// The keys that query `i` sees.
    pub(super) fn seen(&self, i: usize) -> Range<usize> {
        match self.window {
            Some(window) => i.saturating_sub(window)..self.tokens.min(i + window + 1),
            None => 0..self.tokens,
        }
    }

    /// All queries, in order.
    pub(super) fn blocks(self) -> impl Iterator<Item = Block> {
        (0..self.tokens).step_by(QUERIES).map(move |start| {
            let queries = start..self.tokens.min(start + QUERIES);
            let first = self.seen(queries.start).start;
            let keys = first - first % self.lanes..self.seen(queries.end - 1).end;
            let width = keys.len().next_multiple_of(self.lanes);
            Block { queries, keys, width }
        })
    }

    /// The number of columns that a query has in the dropout mask: a key's column is the key, or,
    /// if there are more keys than a window has, its place in the query's window.
    fn mask_columns(&self) -> usize {
        self.window.map_or(self.tokens, |window| self.tokens.min(2 * window + 1))
    }

    /// The lengths of the forward's matrices: Q, K, V, Kᵀ, a block's P, its mask, its mask as
    /// drawn, and the bias's diagonals.
    pub(super) fn forward_sizes(&self) -> [usize; 8] {
        let rows = self.tokens * self.padded_size;
        let transposed = self.padded_size * self.padded_tokens;
        let queries = self.tokens.min(QUERIES);
        let scores = queries * self.blocks().map(|block| block.width).max().unwrap_or(0);
        let drawn = queries * self.mask_columns() + dropout::GROUP;
        [rows, rows, rows, transposed, scores, scores, drawn, relative_bias::diagonals_len(self.tokens)]
    }

    /// The lengths of the backward's matrices: Q, K, V, dO, dK, Kᵀ, Vᵀ, a block's P, its dP, its
    /// mask, its mask as drawn, the bias's diagonals, and their gradient.
    pub(super) fn backward_sizes(&self) -> [usize; 13] {
        let [rows, .., transposed, scores, _, drawn, diagonals] = self.forward_sizes();
        [rows, rows, rows, rows, rows, transposed, transposed, scores, scores, scores, drawn, diagonals, diagonals]
    }

    /// Copies one head's columns, which start at `from`, out of a row-major matrix into (T, Dp).
    #[inline(always)]
    pub(super) fn gather<S: Simd>(&self, s: S, matrix: &[f32], width: usize, from: usize, to: &mut [f32]) {
        for (row, to) in matrix.chunks_exact(width).zip(to.chunks_exact_mut(self.padded_size)) {
            let row = &row[from..][..self.size];
            for d in (0..self.padded_size).step_by(S::LANES) {
                // Prefetches the same row's columns of the next head, whose turn comes after this
                // one's products.
                s.prefetch(row.as_ptr().wrapping_add(self.size + d));
                s.store(s.load_padded(&row[d..], 0.0), &mut to[d..]);
            }
        }
    }

    /// Copies (T, Dp) into one head's columns of a row-major matrix, which start at `from`.
    #[inline(always)]
    pub(super) fn scatter(&self, matrix: &mut [f32], width: usize, from: usize, of: &[f32]) {
        for (row, of) in matrix.chunks_exact_mut(width).zip(of.chunks_exact(self.padded_size)) {
            row[from..][..self.size].copy_from_slice(&of[..self.size]);
        }
    }

    /// The transpose of (T, Dp), as (Dp, Tp), in squares that are turned in registers.
    #[inline(always)]
    pub(super) fn transpose<S: Simd>(&self, s: S, matrix: &[f32], to: &mut [f32]) {
        for t in (0..self.padded_tokens).step_by(S::LANES) {
            for d in (0..self.padded_size).step_by(S::LANES) {
                let mut square = s.zero_square();
                for i in 0..S::LANES {
                    if t + i < self.tokens {
                        square.as_mut()[i] = s.load(&matrix[(t + i) * self.padded_size + d..]);
                    }
                }
                let square = s.transpose(square);
                for i in 0..S::LANES {
                    s.store(square.as_ref()[i], &mut to[(d + i) * self.padded_tokens + t..]);
                }
            }
        }
    }

    /// Draws a block's part of the mask of head `h`, as the rows of its scores; 0 for keys that a
    /// query does not see. The mask of a head is one row, query after query, without padding,
    /// because a mask is a function of its coordinates and must not depend on the number of lanes.
    #[inline(always)]
    pub(super) fn mask<S: Simd>(
        &self,
        s: S,
        dropout: &Dropout,
        (stream, h): (u32, usize),
        block: &Block,
        drawn: &mut [f32],
        mask: &mut [f32],
    ) {
        let columns = self.mask_columns();
        let start = block.queries.start * columns;
        let before = start % dropout::GROUP;
        let drawn = &mut drawn[..before + block.queries.len() * columns];
        dropout.mask_from(s, stream, h, start - before, drawn);
        let rows = drawn[before..].chunks_exact(columns).zip(mask.chunks_exact_mut(block.width));
        for (i, (drawn, mask)) in block.queries.clone().zip(rows) {
            let seen = self.seen(i);
            let first = match self.window {
                Some(window) if columns < self.tokens => seen.start + window - i,
                _ => seen.start,
            };
            let to = seen.start - block.keys.start..seen.end - block.keys.start;
            mask[..to.start].fill(0.0);
            mask[to.end..].fill(0.0);
            mask[to].copy_from_slice(&drawn[first..][..seen.len()]);
        }
    }
}
