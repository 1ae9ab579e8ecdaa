//! Multi-head self-attention within each sentence (Vaswani et al. 2017): for each head,
//! `P = softmax(Q·Kᵀ/√D + b)`, `O = (m ⊙ P)·V`.
//!
//! PyTorch: `scaled_dot_product_attention(q, k, v, b, dropout_p=rate)`, whose mask for padding has
//! no counterpart here, because there is no padding. The bias `b` is that of [`relative_bias`], or
//! there is none. With [`rotary`] positions, Q and K are rotated first. With a window, a query sees
//! only the keys near it, as if `b` were −∞ for the others.
//!
//! `qkv` (N, 3C): a row holds the queries of all heads, then the keys, then the values; `o` (N, C).
//! `T` is the number of tokens in a sentence.
//!
//! Neither P nor the dropout mask is stored. Backward recomputes P (Dao et al. 2022) from the
//! statistics of each softmax, and draws m again.

mod head;
mod kernels;
pub(crate) mod op;
pub(crate) mod relative_bias;
pub(crate) mod rotary;

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use crate::ops::attention::head::Head;
use crate::ops::attention::kernels::{Backward, Forward};
use crate::ops::attention::op::Attention;
use crate::ops::elementwise::{flat, flat_mut};
use crate::rows::Rows;
use crate::simd::math::SoftmaxStatistics;
use crate::simd::{Isa, dispatch};

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
    let head = Head::new(Isa::detected().lanes(), tokens, width / heads, None);
    let forward: usize = head.forward_sizes().iter().sum();
    let backward: usize = head.backward_sizes().iter().sum();
    rayon::current_num_threads() * forward.max(backward) * size_of::<f32>()
}

#[cfg(test)]
#[path = "tests/attention.rs"]
pub(crate) mod tests;
