//! Multi-head self-attention within each sentence (Vaswani et al. 2017): for each head,
//! `P = softmax(Q·Kᵀ/√D + b)`, `O = (m ⊙ P)·V`.
//!
//! PyTorch: `scaled_dot_product_attention(q, k, v, b, dropout_p=rate)`, whose mask for padding has
//! no counterpart here, because there is no padding. The bias `b` is that of
//! [`relative_bias`](crate::ops::relative_bias), or there is none.
//!
//! `qkv` (N, 3C): a row holds the queries of all heads, then the keys, then the values; `o` (N, C).
//! `T` is the number of tokens in a sentence.
//!
//! Neither P nor the dropout mask is stored. Backward recomputes P (Dao et al. 2022) from the
//! statistics of each softmax, and draws m again. The mask of a head is one row of T·T columns,
//! query after query, drawn with the head's number as the position.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use crate::ops::dropout::Dropout;
use crate::ops::elementwise::{flat, flat_mut};
use crate::ops::relative_bias;
use crate::ops::small_product::{Left, product};
use crate::rows::Rows;
use crate::simd::math::{self, SoftmaxStatistics};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// The number of heads, and the dropout of the probabilities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) dropout: Option<Dropout>,
}

/// Writes the contexts `o` (N, C), and the softmax's statistics for each row and head, (N, H).
/// `bias` (S, B·H) has each sentence's table.
pub(crate) fn forward(
    op: &Attention,
    qkv: &Array2<f32>,
    bias: Option<&Array2<f32>>,
    rows: &Rows,
    statistics: &mut [SoftmaxStatistics],
    o: &mut Array2<f32>,
) {
    let width = o.ncols();
    let o = rows.split_sentences(flat_mut(o), width);
    let statistics = rows.split_sentences(statistics, op.heads);
    let tasks: Vec<_> = o.into_iter().zip(statistics).enumerate().collect();
    tasks.into_par_iter().for_each(|(sentence, (o, statistics))| {
        let Range { start, end } = rows.sentence(sentence);
        let qkv = &flat(qkv)[start * 3 * width..end * 3 * width];
        let bias = bias.map(|bias| table_of(bias, sentence));
        dispatch(Forward { op, stream: rows.stream(sentence), width, qkv, bias, statistics, o });
    });
}

/// A sentence's table of biases, (B, H).
fn table_of(bias: &Array2<f32>, sentence: usize) -> &[f32] {
    &flat(bias)[sentence * bias.ncols()..][..bias.ncols()]
}

/// Overwrites `qkv` with its gradient, given `dout` (N, C), the gradient of the contexts. Writes
/// that of the bias beside it, (S, B·H).
pub(crate) fn backward(
    op: &Attention,
    qkv: &mut Array2<f32>,
    bias: Option<(&Array2<f32>, &mut Array2<f32>)>,
    rows: &Rows,
    statistics: &[SoftmaxStatistics],
    dout: &Array2<f32>,
) {
    let width = dout.ncols();
    let (bias, mut dbias) = bias.unzip();
    let dtables = match &mut dbias {
        Some(dbias) => dbias.rows_mut().into_iter().map(|row| row.into_slice()).collect(),
        None => (0..rows.sentences()).map(|_| None).collect::<Vec<_>>(),
    };
    let tasks: Vec<_> = rows.split_sentences(flat_mut(qkv), 3 * width).into_iter().zip(dtables).enumerate().collect();
    tasks.into_par_iter().for_each(|(sentence, (qkv, dtable))| {
        let bias = bias.map(|bias| table_of(bias, sentence)).zip(dtable);
        let Range { start, end } = rows.sentence(sentence);
        let statistics = &statistics[start * op.heads..end * op.heads];
        let dout = &flat(dout)[start * width..end * width];
        dispatch(Backward { op, stream: rows.stream(sentence), width, qkv, bias, statistics, dout });
    });
}

/// The bytes of scratch memory that attention, forward or backward, needs on all threads together
/// for sentences of up to `tokens` tokens; `width` is C.
pub fn attention_scratch_bytes(tokens: usize, width: usize, heads: usize) -> usize {
    let head = Head::new(Isa::detected().lanes(), tokens, width / heads);
    let forward: usize = head.forward_sizes().iter().sum();
    let backward: usize = head.backward_sizes().iter().sum();
    rayon::current_num_threads() * forward.max(backward) * size_of::<f32>()
}

/// The sizes of one head's matrices.
///
/// Rows are padded to whole vectors, so that no loop needs a special case for the last one. The
/// padding is zero-filled: it then adds nothing to a sum over a row.
#[derive(Clone, Copy)]
struct Head {
    tokens: usize,        // T
    size: usize,          // D
    padded_tokens: usize, // Tp
    padded_size: usize,   // Dp
    scale: f32,           // 1/√D
}

impl Head {
    fn new(lanes: usize, tokens: usize, size: usize) -> Self {
        Self {
            tokens,
            size,
            padded_tokens: tokens.next_multiple_of(lanes),
            padded_size: size.next_multiple_of(lanes),
            scale: 1.0 / (size as f32).sqrt(),
        }
    }

    /// The lengths of the forward's matrices: Q, K, V, Kᵀ, P, the mask, the mask as drawn, and the
    /// bias's diagonals.
    fn forward_sizes(&self) -> [usize; 8] {
        let rows = self.tokens * self.padded_size;
        let transposed = self.padded_size * self.padded_tokens;
        let square = self.tokens * self.padded_tokens;
        let drawn = self.tokens * self.tokens;
        [rows, rows, rows, transposed, square, square, drawn, relative_bias::diagonals_len(self.tokens)]
    }

    /// The lengths of the backward's matrices: Q, K, V, dO, one of dQ, dK and dV, Kᵀ or Vᵀ, P, dP,
    /// the mask, the mask as drawn, the bias's diagonals, and their gradient.
    fn backward_sizes(&self) -> [usize; 12] {
        let [rows, .., transposed, square, _, drawn, diagonals] = self.forward_sizes();
        [rows, rows, rows, rows, rows, transposed, square, square, square, drawn, diagonals, diagonals]
    }

    /// Copies one head's columns, which start at `from`, out of a row-major matrix into (T, Dp).
    #[inline(always)]
    fn gather<S: Simd>(&self, s: S, matrix: &[f32], width: usize, from: usize, to: &mut [f32]) {
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
    fn scatter(&self, matrix: &mut [f32], width: usize, from: usize, of: &[f32]) {
        for (row, of) in matrix.chunks_exact_mut(width).zip(of.chunks_exact(self.padded_size)) {
            row[from..][..self.size].copy_from_slice(&of[..self.size]);
        }
    }

    /// The transpose of (T, Dp), as (Dp, Tp), in squares that are turned in registers.
    #[inline(always)]
    fn transpose<S: Simd>(&self, s: S, matrix: &[f32], to: &mut [f32]) {
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

    /// Draws the mask of head `h` into (T, Tp), padded with zeros. It is drawn as one row, without
    /// the padding, because a mask is a function of its coordinates and must not depend on the
    /// number of lanes.
    #[inline(always)]
    fn mask<S: Simd>(&self, s: S, dropout: &Dropout, stream: u32, h: usize, drawn: &mut [f32], mask: &mut [f32]) {
        dropout.mask_with(s, stream, h, drawn);
        for (drawn, mask) in drawn.chunks_exact(self.tokens).zip(mask.chunks_exact_mut(self.padded_tokens)) {
            mask[..self.tokens].copy_from_slice(drawn);
            mask[self.tokens..].fill(0.0);
        }
    }
}

/// One sentence, head after head.
struct Forward<'a> {
    op: &'a Attention,
    stream: u32,
    width: usize,
    qkv: &'a [f32],
    bias: Option<&'a [f32]>,
    statistics: &'a mut [SoftmaxStatistics],
    o: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    fn scratch(&self, lanes: usize) -> usize {
        Head::new(lanes, self.o.len() / self.width, self.width / self.op.heads).forward_sizes().iter().sum()
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, scratch: &mut [f32]) {
        let Self { op, stream, width, qkv, bias, statistics, o } = self;
        if o.is_empty() {
            return;
        }
        let head = Head::new(S::LANES, o.len() / width, width / op.heads);
        let Head { tokens, size, padded_tokens, padded_size, scale } = head;
        let [q, k, v, k_t, p, mask, drawn, diagonals] = carve(scratch, head.forward_sizes());
        for h in 0..op.heads {
            for (i, to) in [&mut *q, &mut *k, &mut *v].into_iter().enumerate() {
                head.gather(s, qkv, 3 * width, i * width + h * size, to);
            }

            // S = Q·Kᵀ, which the softmax of each row then turns into P in place.
            head.transpose(s, k, k_t);
            product(
                s,
                [tokens, padded_tokens, size],
                Left::rows(q, padded_size),
                (k_t, padded_tokens),
                (p, padded_tokens),
            );
            // The softmax is of √D⁻¹·(Q·Kᵀ + √D·b).
            if let Some(table) = bias {
                relative_bias::diagonals(table, h, tokens, scale.recip(), diagonals);
            }
            for (i, p) in p.chunks_exact_mut(padded_tokens).enumerate() {
                let (p, padding) = p.split_at_mut(tokens);
                padding.fill(0.0);
                if bias.is_some() {
                    relative_bias::add_to_scores(s, diagonals, i, p);
                }
                statistics[i * op.heads + h] = math::softmax(s, scale, p);
            }
            if let Some(dropout) = &op.dropout {
                head.mask(s, dropout, stream, h, drawn, mask);
                math::zip(s, mask, p, |m, p| s.mul(m, p));
            }

            // O = (m ⊙ P)·V. Q has been used up; O takes its place.
            product(s, [tokens, padded_size, tokens], Left::rows(p, padded_tokens), (v, padded_size), (q, padded_size));
            head.scatter(o, width, h * size, q);
        }
    }
}

/// One sentence, head after head.
struct Backward<'a> {
    op: &'a Attention,
    stream: u32,
    width: usize,
    qkv: &'a mut [f32],
    /// The sentence's table, and its gradient.
    bias: Option<(&'a [f32], &'a mut [f32])>,
    statistics: &'a [SoftmaxStatistics],
    dout: &'a [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    fn scratch(&self, lanes: usize) -> usize {
        Head::new(lanes, self.dout.len() / self.width, self.width / self.op.heads).backward_sizes().iter().sum()
    }

    /// `P = softmax(Q·Kᵀ/√D + b)`, `dV = (m ⊙ P)ᵀ·dO`, `dP = m ⊙ (dO·Vᵀ)`,
    /// `dS = P ⊙ (dP − rowsum(P ⊙ dP))/√D`, `dQ = dS·K`, `dK = dSᵀ·Q`, `db = √D·dS`.
    #[inline(always)]
    fn run<S: Simd>(self, s: S, scratch: &mut [f32]) {
        let Self { op, stream, width, qkv, mut bias, statistics, dout } = self;
        if let Some((_, dtable)) = &mut bias {
            dtable.fill(0.0);
        }
        if dout.is_empty() {
            return;
        }
        let head = Head::new(S::LANES, dout.len() / width, width / op.heads);
        let Head { tokens, size, padded_tokens, padded_size, .. } = head;
        let [q, k, v, dout_h, gradient, transposed, p, dp, mask, drawn, diagonals, ddiagonals] =
            carve(scratch, head.backward_sizes());
        // (T, T) products sum over the head's columns, (T, D) products over tokens.
        let squares = [tokens, padded_tokens, size];
        let rows = [tokens, padded_size, tokens];
        for h in 0..op.heads {
            for (i, to) in [&mut *q, &mut *k, &mut *v].into_iter().enumerate() {
                head.gather(s, qkv, 3 * width, i * width + h * size, to);
            }
            head.gather(s, dout, width, h * size, dout_h);

            // S = Q·Kᵀ in the place of P, dO·Vᵀ in that of dP.
            head.transpose(s, k, transposed);
            product(s, squares, Left::rows(q, padded_size), (transposed, padded_tokens), (p, padded_tokens));
            head.transpose(s, v, transposed);
            product(s, squares, Left::rows(dout_h, padded_size), (transposed, padded_tokens), (dp, padded_tokens));

            match &op.dropout {
                Some(dropout) => head.mask(s, dropout, stream, h, drawn, mask),
                None => mask.fill(1.0),
            }
            if let Some((table, _)) = &bias {
                relative_bias::diagonals(table, h, tokens, head.scale.recip(), diagonals);
                ddiagonals.fill(0.0);
            }
            for i in 0..tokens {
                let row = i * padded_tokens..(i + 1) * padded_tokens;
                let [p, dp] = [&mut p[row.clone()], &mut dp[row.clone()]];
                if bias.is_some() {
                    relative_bias::add_to_scores(s, diagonals, i, &mut p[..tokens]);
                }
                head.scores_gradient(s, statistics[i * op.heads + h], p, dp, &mut mask[row]);
                if bias.is_some() {
                    relative_bias::add_gradient(s, &dp[..tokens], i, ddiagonals);
                }
            }
            if let Some((_, dtable)) = &mut bias {
                relative_bias::collect_gradient(ddiagonals, h, tokens, head.scale.recip(), dtable);
            }

            // The place of the mask now holds m ⊙ P, that of dP holds dS. Each gradient is
            // scattered over the columns that its operand was gathered from, which are not read
            // again.
            product(s, rows, Left::transposed(mask, padded_tokens), (dout_h, padded_size), (gradient, padded_size));
            head.scatter(qkv, 3 * width, 2 * width + h * size, gradient); // dV
            product(s, rows, Left::rows(dp, padded_tokens), (k, padded_size), (gradient, padded_size));
            head.scatter(qkv, 3 * width, h * size, gradient); // dQ
            product(s, rows, Left::transposed(dp, padded_tokens), (q, padded_size), (gradient, padded_size));
            head.scatter(qkv, 3 * width, width + h * size, gradient); // dK
        }
    }
}

impl Head {
    /// One row of the softmax's backward, in place: `p` starts as S = Q·Kᵀ + √D·b and ends as P,
    /// `dp` starts as dO·Vᵀ and ends as dS, `mask` starts as m and ends as m ⊙ P.
    #[inline(always)]
    fn scores_gradient<S: Simd>(
        &self,
        s: S,
        [highest, total]: SoftmaxStatistics,
        p: &mut [f32],
        dp: &mut [f32],
        mask: &mut [f32],
    ) {
        // The same operations on the same numbers as in the forward's softmax, except that the
        // maximum and the sum need not be found again: the bits of P are the forward's.
        math::exp_scaled(s, self.scale, highest, p);
        let total = s.splat(total);
        math::map(s, p, |p| s.div(p, total));
        // The padding held 0 as a score, and now holds e^−highest.
        p[self.tokens..].fill(0.0);

        math::zip(s, mask, dp, |m, dp| s.mul(m, dp));
        math::zip(s, p, mask, |p, m| s.mul(p, m));
        let along = s.splat(math::sum(s, p, dp, |p, dp| s.mul(p, dp)));
        let scale = s.splat(self.scale);
        math::zip(s, p, dp, |p, dp| s.mul(s.mul(p, s.sub(dp, along)), scale));
    }
}

/// Cuts the front of a slice into parts of the given lengths.
fn carve<const P: usize>(mut from: &mut [f32], lengths: [usize; P]) -> [&mut [f32]; P] {
    lengths.map(|length| {
        let (part, rest) = std::mem::take(&mut from).split_at_mut(length);
        from = rest;
        part
    })
}

#[cfg(test)]
#[path = "tests/attention.rs"]
pub(crate) mod tests;
