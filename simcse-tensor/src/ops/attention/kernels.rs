//! Attention's forward and backward for one sentence, head after head, block after block.

use std::ops::Range;

use crate::ops::attention::head::Head;
use crate::ops::attention::op::Attention;
use crate::ops::attention::relative_bias;
use crate::ops::attention::rotary::Direction;
use crate::ops::small_product::{Left, product, product_onto};
use crate::simd::math::{self, SoftmaxStatistics};
use crate::simd::{Kernel, Simd};

/// One sentence.
pub(super) struct Forward<'a> {
    pub(super) op: &'a Attention,
    pub(super) stream: u32,
    pub(super) width: usize,
    pub(super) qkv: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) statistics: &'a mut [SoftmaxStatistics],
    pub(super) o: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    fn scratch(&self, lanes: usize) -> usize {
        let head = Head::new(lanes, self.o.len() / self.width, self.width / self.op.heads, self.op.window);
        head.forward_sizes().iter().sum()
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, scratch: &mut [f32]) {
        let Self { op, stream, width, qkv, bias, statistics, o } = self;
        if o.is_empty() {
            return;
        }
        let head = Head::new(S::LANES, o.len() / width, width / op.heads, op.window);
        let Head { tokens, size, padded_tokens, padded_size, scale, .. } = head;
        let [q, k, v, k_t, p, mask, drawn, diagonals] = carve(scratch, head.forward_sizes());
        for h in 0..op.heads {
            operands(s, op, &head, (qkv, width), h, [&mut *q, &mut *k, &mut *v]);
            head.transpose(s, k, k_t);
            // The softmax is of √D⁻¹·(Q·Kᵀ + √D·b).
            if let Some(table) = bias {
                relative_bias::diagonals(table, h, tokens, scale.recip(), diagonals);
            }
            for block in head.blocks() {
                let (queries, keys) = (block.queries.clone(), block.keys.clone());
                let first = queries.start * padded_size;
                let p = &mut p[..queries.len() * block.width];
                // S = Q·Kᵀ, which the softmax of each row then turns into P in place.
                product(
                    s,
                    [queries.len(), block.width, size],
                    Left::rows(&q[first..], padded_size),
                    (&k_t[keys.start..], padded_tokens),
                    (p, block.width),
                );
                for (i, p) in queries.clone().zip(p.chunks_exact_mut(block.width)) {
                    let seen = head.seen(i);
                    let (p, after) = p.split_at_mut(seen.end - keys.start);
                    let (before, p) = p.split_at_mut(seen.start - keys.start);
                    before.fill(0.0);
                    after.fill(0.0);
                    if bias.is_some() {
                        relative_bias::add_to_scores(s, diagonals, i, p);
                    }
                    statistics[i * op.heads + h] = math::softmax(s, scale, p);
                }
                if let Some(dropout) = &op.dropout {
                    let mask = &mut mask[..p.len()];
                    head.mask(s, dropout, (stream, h), &block, drawn, mask);
                    math::zip(s, mask, p, |m, p| s.mul(m, p));
                }

                // O = (m ⊙ P)·V. The block's part of Q has been used up; O takes its place.
                product(
                    s,
                    [queries.len(), padded_size, keys.len()],
                    Left::rows(p, block.width),
                    (&v[keys.start * padded_size..], padded_size),
                    (&mut q[first..], padded_size),
                );
            }
            head.scatter(o, width, h * size, q);
        }
    }
}

/// One sentence.
pub(super) struct Backward<'a> {
    pub(super) op: &'a Attention,
    pub(super) stream: u32,
    pub(super) width: usize,
    pub(super) qkv: &'a mut [f32],
    /// The sentence's table, and its gradient.
    pub(super) bias: Option<(&'a [f32], &'a mut [f32])>,
    pub(super) statistics: &'a [SoftmaxStatistics],
    pub(super) dout: &'a [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    fn scratch(&self, lanes: usize) -> usize {
        let head = Head::new(lanes, self.dout.len() / self.width, self.width / self.op.heads, self.op.window);
        head.backward_sizes().iter().sum()
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
        let head = Head::new(S::LANES, dout.len() / width, width / op.heads, op.window);
        let Head { tokens, size, padded_tokens, padded_size, scale, .. } = head;
        let [q, k, v, dout_h, dk, k_t, v_t, p, dp, mask, drawn, diagonals, ddiagonals] =
            carve(scratch, head.backward_sizes());
        for h in 0..op.heads {
            operands(s, op, &head, (qkv, width), h, [&mut *q, &mut *k, &mut *v]);
            head.gather(s, dout, width, h * size, dout_h);
            head.transpose(s, k, k_t);
            head.transpose(s, v, v_t);
            // From here on, V is read transposed, and dV takes its place.
            let dv = &mut *v;
            dk.fill(0.0);
            dv.fill(0.0);
            if let Some((table, _)) = &bias {
                relative_bias::diagonals(table, h, tokens, scale.recip(), diagonals);
                ddiagonals.fill(0.0);
            }

            for block in head.blocks() {
                let (queries, keys) = (block.queries.clone(), block.keys.clone());
                let first = queries.start * padded_size;
                let scores = queries.len() * block.width;
                let [p, dp, mask] = [&mut *p, &mut *dp, &mut *mask].map(|matrix| &mut matrix[..scores]);

                // S = Q·Kᵀ in the place of P, dO·Vᵀ in that of dP.
                for (left, right, to) in [(&*q, &*k_t, &mut *p), (&*dout_h, &*v_t, &mut *dp)] {
                    product(
                        s,
                        [queries.len(), block.width, size],
                        Left::rows(&left[first..], padded_size),
                        (&right[keys.start..], padded_tokens),
                        (to, block.width),
                    );
                }
                match &op.dropout {
                    Some(dropout) => head.mask(s, dropout, (stream, h), &block, drawn, mask),
                    None => mask.fill(1.0),
                }
                for (row, i) in queries.clone().enumerate() {
                    // Whole vectors, rather than what the query sees, are what loops are fast on.
                    let seen = head.seen(i).start - keys.start..head.seen(i).end - keys.start;
                    let whole = seen.start - seen.start % S::LANES..seen.end.next_multiple_of(S::LANES);
                    let row = row * block.width..(row + 1) * block.width;
                    let [p, dp, mask] = [&mut p[row.clone()], &mut dp[row.clone()], &mut mask[row]];
                    for row in [&mut *p, &mut *dp, &mut *mask] {
                        row[..whole.start].fill(0.0);
                        row[whole.end..].fill(0.0);
                    }
                    if bias.is_some() {
                        relative_bias::add_to_scores(s, diagonals, i, &mut p[seen.clone()]);
                    }
                    let first = whole.start;
                    let rows = [&mut p[whole.clone()], &mut dp[whole.clone()], &mut mask[whole]];
                    scores_gradient(s, scale, statistics[i * op.heads + h], seen.start - first..seen.end - first, rows);
                    if bias.is_some() {
                        relative_bias::add_gradient(s, &dp[seen], i, ddiagonals);
                    }
                }

                // The place of the mask now holds m ⊙ P, that of dP holds dS. When K's gradient
                // has its share, the block's part of Q has been used up; dQ takes its place.
                let (from, by_key) = (keys.start * padded_size, [keys.len(), padded_size, queries.len()]);
                let terms = [(&*mask, &dout_h[first..], &mut *dv), (&*dp, &q[first..], &mut *dk)];
                for (left, right, to) in terms {
                    let left = Left::transposed(left, block.width);
                    product_onto(s, by_key, left, (right, padded_size), (&mut to[from..], padded_size));
                }
                product(
                    s,
                    [queries.len(), padded_size, keys.len()],
                    Left::rows(dp, block.width),
                    (&k[from..], padded_size),
                    (&mut q[first..], padded_size),
                );
            }

            if let Some((_, dtable)) = &mut bias {
                relative_bias::collect_gradient(ddiagonals, h, tokens, scale.recip(), dtable);
            }
            if let Some(rotary) = &op.rotary {
                for x in [&mut *q, &mut *dk] {
                    rotary.rotate(s, Direction::Backward, x, padded_size);
                }
            }
            // The columns that the operands were gathered from are not read again.
            for (i, gradient) in [&*q, &*dk, &*dv].into_iter().enumerate() {
                head.scatter(qkv, 3 * width, i * width + h * size, gradient);
            }
        }
    }
}

/// Copies head `h`'s Q, K and V out of `qkv`, and rotates Q and K if positions do.
#[inline(always)]
fn operands<S: Simd>(
    s: S,
    op: &Attention,
    head: &Head,
    (qkv, width): (&[f32], usize),
    h: usize,
    [q, k, v]: [&mut [f32]; 3],
) {
    for (i, to) in [&mut *q, &mut *k, v].into_iter().enumerate() {
        head.gather(s, qkv, 3 * width, i * width + h * head.size, to);
    }
    if let Some(rotary) = &op.rotary {
        for x in [q, k] {
            rotary.rotate(s, Direction::Forward, x, head.padded_size);
        }
    }
}

/// One row of the softmax's backward, in place: `p` starts as S = Q·Kᵀ + √D·b and ends as P, `dp`
/// starts as dO·Vᵀ and ends as dS, `mask` starts as m and ends as m ⊙ P. All are 0 for keys that
/// are not `seen`.
#[inline(always)]
fn scores_gradient<S: Simd>(
    s: S,
    scale: f32,
    [highest, total]: SoftmaxStatistics,
    seen: Range<usize>,
    [p, dp, mask]: [&mut [f32]; 3],
) {
    // The same operations on the same numbers as in the forward's softmax, except that the maximum
    // and the sum need not be found again: the bits of P are the forward's.
    math::exp_scaled(s, scale, highest, p);
    p[..seen.start].fill(0.0);
    p[seen.end..].fill(0.0);
    let total = s.splat(total);
    let mut along = s.splat(0.0);
    for i in (0..p.len()).step_by(S::LANES) {
        let m = s.load(&mask[i..]);
        let probability = s.div(s.load(&p[i..]), total);
        let gradient = s.mul(m, s.load(&dp[i..]));
        along = s.add(along, s.mul(probability, gradient));
        s.store(probability, &mut p[i..]);
        s.store(gradient, &mut dp[i..]);
        s.store(s.mul(probability, m), &mut mask[i..]);
    }
    let along = s.splat(s.sum(along));
    let scale = s.splat(scale);
    for i in (0..p.len()).step_by(S::LANES) {
        let difference = s.sub(s.load(&dp[i..]), along);
        s.store(s.mul(s.mul(s.load(&p[i..]), difference), scale), &mut dp[i..]);
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
