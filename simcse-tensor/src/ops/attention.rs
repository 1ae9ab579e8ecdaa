//! Multi-head self-attention within each sentence (Vaswani et al. 2017): for each head,
//! `P = softmax(Q·Kᵀ/√D)`, `O = (m ⊙ P)·V`.
//!
//! PyTorch: `scaled_dot_product_attention(q, k, v, dropout_p=rate)` with a mask that hides the padding; here there is none.
//!
//! `qkv` (N, 3C): a row holds the query, key and value of all heads. Neither P nor the dropout mask is stored: backward
//! forms P again (Dao et al. 2022) from what each softmax subtracted and divided by, and draws m anew. The mask of a head is one row of T·T
//! columns, query after query, at the head's number in place of the token position.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use crate::ops::dropout::Dropout;
use crate::ops::elementwise::{flat, flat_mut};
use crate::rows::Rows;
use crate::simd::math::{self, SoftmaxMoments};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Number of heads and the dropout of the probabilities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) dropout: Option<Dropout>,
}

/// Writes the contexts `o` (N, C) and, for each row and head, what its softmax subtracted and divided by, (N, H).
pub(crate) fn forward(
    op: &Attention,
    qkv: &Array2<f32>,
    rows: &Rows,
    moments: &mut [SoftmaxMoments],
    o: &mut Array2<f32>,
) {
    let width = o.ncols();
    let (o, moments) = (rows.split_sentences(flat_mut(o), width), rows.split_sentences(moments, op.heads));
    let tasks: Vec<_> = o.into_iter().zip(moments).enumerate().collect();
    tasks.into_par_iter().for_each(|(sentence, (o, moments))| {
        let range = rows.sentence(sentence);
        let qkv = &flat(qkv)[range.start * 3 * width..range.end * 3 * width];
        dispatch(Forward { op, stream: rows.stream(sentence), width, qkv, moments, o });
    });
}

/// Overwrites `qkv` with its gradient, given that of the contexts, `dout` (N, C).
pub(crate) fn backward(
    op: &Attention,
    qkv: &mut Array2<f32>,
    rows: &Rows,
    moments: &[SoftmaxMoments],
    dout: &Array2<f32>,
) {
    let width = dout.ncols();
    let tasks: Vec<_> = rows.split_sentences(flat_mut(qkv), 3 * width).into_iter().enumerate().collect();
    tasks.into_par_iter().for_each(|(sentence, qkv)| {
        let Range { start, end } = rows.sentence(sentence);
        let (moments, dout) = (&moments[start * op.heads..end * op.heads], &flat(dout)[start * width..end * width]);
        dispatch(Backward { op, stream: rows.stream(sentence), width, qkv, moments, dout });
    });
}

/// The bytes of scratch memory that attention over sentences of up to `tokens` tokens holds, forward or backward, on all
/// threads together; `width` is C.
pub fn attention_scratch_bytes(tokens: usize, width: usize, heads: usize) -> usize {
    let head = Head::new(Isa::detected().lanes(), tokens, width / heads);
    let [forward, backward] = [head.forward_sizes().iter().sum::<usize>(), head.backward_sizes().iter().sum()];
    rayon::current_num_threads() * forward.max(backward) * size_of::<f32>()
}

/// The sizes of one head's matrices; those of columns also rounded up to whole vectors, zeros behind.
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
        let (padded_tokens, padded_size) = (tokens.next_multiple_of(lanes), size.next_multiple_of(lanes));
        Self { tokens, size, padded_tokens, padded_size, scale: 1.0 / (size as f32).sqrt() }
    }

    /// Working memory of the forward: Q, K, V, Kᵀ, P, the mask, and the mask as it is drawn.
    fn forward_sizes(&self) -> [usize; 7] {
        let (rows, squares) = (self.tokens * self.padded_size, self.tokens * self.padded_tokens);
        [rows, rows, rows, self.padded_size * self.padded_tokens, squares, squares, self.tokens * self.tokens]
    }

    /// Working memory of the backward: Q, K, V, dO, one of dQ, dK and dV, Kᵀ or Vᵀ, P, dP, the mask, and the mask as it
    /// is drawn.
    fn backward_sizes(&self) -> [usize; 10] {
        let [row, .., transposed, square, _, packed] = self.forward_sizes();
        [row, row, row, row, row, transposed, square, square, square, packed]
    }

    /// Copies columns `from ..` of a row-major matrix into (T, Dp), and asks for the next head's.
    #[inline(always)]
    fn gather<S: Simd>(&self, s: S, matrix: &[f32], width: usize, from: usize, to: &mut [f32]) {
        for (row, to) in matrix.chunks_exact(width).zip(to.chunks_exact_mut(self.padded_size)) {
            let row = &row[from..][..self.size];
            for d in (0..self.padded_size).step_by(S::LANES) {
                s.prefetch(row.as_ptr().wrapping_add(self.size + d));
                s.store(s.load_padded(&row[d..], 0.0), &mut to[d..]);
            }
        }
    }

    /// Copies (T, Dp) to columns `from ..` of a row-major matrix.
    #[inline(always)]
    fn scatter(&self, matrix: &mut [f32], width: usize, from: usize, of: &[f32]) {
        for (row, of) in matrix.chunks_exact_mut(width).zip(of.chunks_exact(self.padded_size)) {
            row[from..][..self.size].copy_from_slice(&of[..self.size]);
        }
    }

    /// The transpose of (T, Dp), as (Dp, Tp).
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

    /// Draws head `h`'s mask into (T, Tp), zeros behind.
    #[inline(always)]
    fn mask<S: Simd>(&self, s: S, dropout: &Dropout, stream: u32, h: usize, packed: &mut [f32], mask: &mut [f32]) {
        dropout.mask_with(s, stream, h, packed);
        for (packed, mask) in packed.chunks_exact(self.tokens).zip(mask.chunks_exact_mut(self.padded_tokens)) {
            mask[..self.tokens].copy_from_slice(packed);
            mask[self.tokens..].fill(0.0);
        }
    }
}

struct Forward<'a> {
    op: &'a Attention,
    stream: u32,
    width: usize,
    qkv: &'a [f32],
    moments: &'a mut [SoftmaxMoments],
    o: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    fn scratch(&self, lanes: usize) -> usize {
        Head::new(lanes, self.o.len() / self.width, self.width / self.op.heads).forward_sizes().iter().sum()
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, scratch: &mut [f32]) {
        let Self { op, stream, width, qkv, moments, o } = self;
        if o.is_empty() {
            return;
        }
        let head = Head::new(S::LANES, o.len() / width, width / op.heads);
        let (Head { tokens: t, size: d, padded_tokens: tp, padded_size: dp, scale }, sizes) =
            (head, head.forward_sizes());
        let [q, k, v, k_t, p, mask, packed] = carve(scratch, sizes);
        for h in 0..op.heads {
            for (i, to) in [&mut *q, &mut *k, &mut *v].into_iter().enumerate() {
                head.gather(s, qkv, 3 * width, i * width + h * d, to);
            }
            head.transpose(s, k, k_t);
            product(s, [t, tp, d], (q, dp, 1), (k_t, tp), (p, tp));
            for (i, p) in p.chunks_exact_mut(tp).enumerate() {
                let (p, behind) = p.split_at_mut(t);
                behind.fill(0.0);
                moments[i * op.heads + h] = math::softmax(s, scale, p);
            }
            if let Some(dropout) = &op.dropout {
                head.mask(s, dropout, stream, h, packed, mask);
                math::zip(s, mask, p, |m, p| s.mul(m, p));
            }
            product(s, [t, dp, t], (p, tp, 1), (v, dp), (q, dp));
            head.scatter(o, width, h * d, q);
        }
    }
}

struct Backward<'a> {
    op: &'a Attention,
    stream: u32,
    width: usize,
    qkv: &'a mut [f32],
    moments: &'a [SoftmaxMoments],
    dout: &'a [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    fn scratch(&self, lanes: usize) -> usize {
        Head::new(lanes, self.dout.len() / self.width, self.width / self.op.heads).backward_sizes().iter().sum()
    }

    /// `P = softmax(Q·Kᵀ/√D)`, `dV = (m ⊙ P)ᵀ·dO`, `dP = m ⊙ (dO·Vᵀ)`,
    /// `dS = P ⊙ (dP − rowsum(P ⊙ dP))/√D`, `dQ = dS·K`, `dK = dSᵀ·Q`.
    #[inline(always)]
    fn run<S: Simd>(self, s: S, scratch: &mut [f32]) {
        let Self { op, stream, width, qkv, moments, dout } = self;
        if dout.is_empty() {
            return;
        }
        let head = Head::new(S::LANES, dout.len() / width, width / op.heads);
        let (Head { tokens: t, size: d, padded_tokens: tp, padded_size: dp, scale }, sizes) =
            (head, head.backward_sizes());
        let [q, k, v, dout_h, dx, transposed, p, dp_, mask, packed] = carve(scratch, sizes);
        for h in 0..op.heads {
            for (i, to) in [&mut *q, &mut *k, &mut *v].into_iter().enumerate() {
                head.gather(s, qkv, 3 * width, i * width + h * d, to);
            }
            head.gather(s, dout, width, h * d, dout_h);

            head.transpose(s, k, transposed);
            product(s, [t, tp, d], (q, dp, 1), (transposed, tp), (p, tp));
            head.transpose(s, v, transposed);
            product(s, [t, tp, d], (dout_h, dp, 1), (transposed, tp), (dp_, tp));

            match &op.dropout {
                Some(dropout) => head.mask(s, dropout, stream, h, packed, mask),
                None => mask.fill(1.0),
            }
            for i in 0..t {
                let (p, dp_, m) = (&mut p[i * tp..][..tp], &mut dp_[i * tp..][..tp], &mut mask[i * tp..][..tp]);
                let ([highest, total], scale_all) = (moments[i * op.heads + h], s.splat(scale));
                math::exp_scaled(s, scale, highest, p);
                math::map(s, p, |p| s.div(p, s.splat(total)));
                p[t..].fill(0.0);
                math::zip(s, m, dp_, |m, dp| s.mul(m, dp));
                math::zip(s, p, m, |p, m| s.mul(p, m)); // the mask's place takes m ⊙ P
                let along = s.splat(math::sum(s, p, dp_, |p, dp| s.mul(p, dp)));
                math::zip(s, p, dp_, |p, dp| s.mul(s.mul(p, s.sub(dp, along)), scale_all));
            }
            product(s, [t, dp, t], (mask, 1, tp), (dout_h, dp), (dx, dp));
            head.scatter(qkv, 3 * width, 2 * width + h * d, dx);
            product(s, [t, dp, t], (dp_, tp, 1), (k, dp), (dx, dp));
            head.scatter(qkv, 3 * width, h * d, dx);
            product(s, [t, dp, t], (dp_, 1, tp), (q, dp), (dx, dp));
            head.scatter(qkv, 3 * width, width + h * d, dx);
        }
    }
}

/// `C = A·B` for C (m × n), n a multiple of the vector: A's elements are broadcast, with the given strides, over B's rows.
#[inline(always)]
fn product<S: Simd>(
    s: S,
    [m, n, k]: [usize; 3],
    (a, a_row, a_col): (&[f32], usize, usize),
    (b, b_row): (&[f32], usize),
    (c, c_row): (&mut [f32], usize),
) {
    let pair = 2 * S::LANES;
    for j in (0..n).step_by(pair) {
        let mut i = 0;
        while i < m {
            let (a, b, c) = (&a[i * a_row..], &b[j..], &mut c[i * c_row + j..]);
            match (m - i >= 4, n - j >= pair) {
                (true, true) => tile::<S, 4, 2>(s, k, (a, a_row, a_col), (b, b_row), (c, c_row)),
                (true, false) => tile::<S, 4, 1>(s, k, (a, a_row, a_col), (b, b_row), (c, c_row)),
                (false, true) => tile::<S, 1, 2>(s, k, (a, a_row, a_col), (b, b_row), (c, c_row)),
                (false, false) => tile::<S, 1, 1>(s, k, (a, a_row, a_col), (b, b_row), (c, c_row)),
            }
            i += if m - i >= 4 { 4 } else { 1 };
        }
    }
}

/// `R` rows by `V` vectors of a [`product`], in registers.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(
    s: S,
    k: usize,
    (a, a_row, a_col): (&[f32], usize, usize),
    (b, b_row): (&[f32], usize),
    (c, c_row): (&mut [f32], usize),
) {
    let mut acc = [[s.splat(0.0); V]; R];
    for l in 0..k {
        let mut vectors = [s.splat(0.0); V];
        for v in 0..V {
            vectors[v] = s.load(&b[l * b_row + v * S::LANES..]);
        }
        for r in 0..R {
            let a = s.splat(a[r * a_row + l * a_col]);
            for v in 0..V {
                acc[r][v] = s.fma(a, vectors[v], acc[r][v]);
            }
        }
    }
    for r in 0..R {
        for v in 0..V {
            s.store(acc[r][v], &mut c[r * c_row + v * S::LANES..]);
        }
    }
}

/// Cuts a slice into parts of the given lengths.
fn carve<const P: usize>(mut from: &mut [f32], lengths: [usize; P]) -> [&mut [f32]; P] {
    lengths.map(|length| {
        let (part, rest) = std::mem::take(&mut from).split_at_mut(length);
        from = rest;
        part
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};
    use proptest::prelude::*;

    use crate::ops::testing::{Case, check, sentences};
    use crate::rng::Philox;
    use crate::{Dropout, Rows};

    fn oracle(qkv: &Array2<f64>, rows: &Rows, heads: usize, size: usize, dropout: Option<Dropout>) -> Array2<f64> {
        let mut o = Array2::zeros((rows.tokens(), heads * size));
        for (sentence, range) in rows.iter().enumerate() {
            for h in 0..heads {
                let part = |i| qkv.slice(s![range.clone(), (i * heads + h) * size..(i * heads + h + 1) * size]);
                let mut p = part(0).dot(&part(1).t()) / (size as f64).sqrt();
                p.mapv_inplace(f64::exp);
                p.outer_iter_mut().for_each(|mut row| row /= row.sum());
                if let Some(dropout) = dropout {
                    let mut mask = vec![0.0; range.len() * range.len()];
                    dropout.mask(rows.stream(sentence), h, &mut mask);
                    p.iter_mut().zip(mask).for_each(|(p, m)| *p *= f64::from(m));
                }
                o.slice_mut(s![range.clone(), h * size..(h + 1) * size]).assign(&p.dot(&part(2)));
            }
        }
        o
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn agrees_with_f64(rows in sentences(), heads in 1..4usize, size in prop_oneof![1..6usize, Just(8), Just(17)], drop: bool, seed: u64) {
            let inputs = vec![(rows.tokens(), 3 * heads * size)];
            let dropout = drop.then(|| Dropout { rate: 0.3, philox: Philox::new(seed), step: 1, site: 2 });
            check(
                &Case { rows: rows.clone(), inputs, params: vec![], seed },
                |tape, x, _| tape.attention(x[0], heads, dropout),
                |x, _| oracle(&x[0], &rows, heads, size, dropout),
            );
        }
    }
}
