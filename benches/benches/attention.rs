//! Attention over titles of different lengths at the models' shapes, forward and backward: ours
//! with dropout, compared with a naive implementation without dropout, on one thread each. Then
//! ours over long sentences, on all threads, with and without a window.
//!
//! FLOP are those of the products at the sentences' real lengths: `Q·Kᵀ` and `P·V`, and in the
//! backward `dO·Vᵀ`, `(m ⊙ P)ᵀ·dO`, `dS·K` and `dSᵀ·Q`. The recomputation of `Q·Kᵀ`, the
//! exponentials and the masks do not count.

#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array2, linalg::general_mat_mul, s};
use simcse_benches::{Amount, Bench, SHAPES, Shape, check, matrix, peak, titles, values};
use simcse_tensor::profile::{Part, record};
use simcse_tensor::rng::Philox;
use simcse_tensor::{Attention, BufferPool, Dropout, Grads, Params, Precision, Rows, Tape};

/// Returns the contexts (N, C) and, for the gradient `dout` of them, the gradient of `qkv` (N, 3C).
fn naive(op: &Attention, rows: &Rows, qkv: &Array2<f32>, dout: &Array2<f32>) -> (Array2<f32>, Array2<f32>) {
    let c = dout.ncols();
    let d = c / op.heads;
    let scale = 1.0 / (d as f32).sqrt();
    let mut o = Array2::zeros((rows.tokens(), c));
    let mut dqkv = Array2::zeros(qkv.dim());
    for sentence in rows.iter() {
        for h in 0..op.heads {
            let columns = |i: usize| s![sentence.clone(), i * c + h * d..i * c + (h + 1) * d];
            let [q, k, v] = [0, 1, 2].map(|i| qkv.slice(columns(i)));
            let mut p = q.dot(&k.t()) * scale;
            for (i, mut row) in p.outer_iter_mut().enumerate() {
                let outside = |j: usize| op.window.is_some_and(|window| i.abs_diff(j) > window);
                row.indexed_iter_mut().filter(|(j, _)| outside(*j)).for_each(|(_, x)| *x = f32::NEG_INFINITY);
                let highest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                row.mapv_inplace(|x| (x - highest).exp());
                row /= row.sum();
            }
            o.slice_mut(columns(0)).assign(&p.dot(&v));

            let dout = dout.slice(columns(0));
            let mut ds = dout.dot(&v.t());
            for (mut ds, p) in ds.outer_iter_mut().zip(p.outer_iter()) {
                let along = ds.dot(&p);
                ds.zip_mut_with(&p, |ds, p| *ds = p * (*ds - along));
            }
            general_mat_mul(scale, &ds, &k, 0.0, &mut dqkv.slice_mut(columns(0)));
            general_mat_mul(scale, &ds.t(), &q, 0.0, &mut dqkv.slice_mut(columns(1)));
            general_mat_mul(1.0, &p.t(), &dout, 0.0, &mut dqkv.slice_mut(columns(2)));
        }
    }
    (o, dqkv)
}

/// What our implementation computes, and the times of its forward and backward.
struct Ours {
    o: Array2<f32>,
    dqkv: Array2<f32>,
    forward: Duration,
    backward: Duration,
}

/// Runs `op` with another rate of dropout, forward and backward.
fn ours(
    op: &Attention,
    rate: f32,
    rows: &Arc<Rows>,
    qkv: &Array2<f32>,
    dout: &Array2<f32>,
    pool: &mut BufferPool,
) -> Ours {
    let nothing = Arc::default();
    let params = Params::zeros(Arc::clone(&nothing));
    let dropout = Dropout { rate, philox: Philox::new(1), step: 0, site: 0 };
    let op = Attention { dropout: Some(dropout), ..op.clone() };
    let mut tape = Tape::new(&params, pool, rows.clone(), true);
    let x = tape.input(qkv.clone());
    let (y, forward) = record(|| tape.attention(x, None, op));
    let o = tape.value(y).clone();
    let (mut gradients, backward) = record(|| tape.backward(&[(y, dout.view())], &mut Grads::zeros(nothing)));
    let dqkv = gradients.take(x);
    Ours { o, dqkv, forward: forward.of(Part::ATTENTION), backward: backward.of(Part::ATTENTION_BACKWARD) }
}

/// Checks the results of `op` without dropout.
fn check_against_naive(op: &Attention, rows: &Arc<Rows>, qkv: &Array2<f32>, dout: &Array2<f32>) {
    let found = ours(op, 0.0, rows, qkv, dout, &mut BufferPool::new());
    let (o, dqkv) = naive(op, rows, qkv, dout);
    check("attention", values(&found.o), values(&o), 1e-5);
    check("attention's backward", values(&found.dqkv), values(&dqkv), 1e-5);
}

fn of_titles(criterion: &mut Criterion) {
    let rows = titles(256);
    let squares: usize = rows.iter().map(|sentence| sentence.len().pow(2)).sum();
    let peak = peak(Precision::F32, 1);
    for shape in SHAPES {
        let op = Attention { heads: shape.heads, ..Attention::default() };
        let qkv = matrix(rows.tokens(), 3 * shape.hidden);
        let dout = matrix(rows.tokens(), shape.hidden);
        check_against_naive(&op, &rows, &qkv, &dout);

        let mut pool = BufferPool::new();
        let mut ours = || ours(&op, 0.1, &rows, &qkv, &dout, &mut pool);
        let flop = (2 * 2 * squares * shape.hidden) as f64;
        let mut bench = Bench::new(criterion, format!("attention/{}", shape.name), 1);
        bench.timed_case("forward", Amount::Flop(flop, peak), || ours().forward);
        bench.timed_case("backward", Amount::Flop(2.0 * flop, peak), || ours().backward);
        bench.case("naive forward and backward", Amount::Flop(3.0 * flop, peak), || {
            naive(&op, &rows, &qkv, &dout);
        });
    }
}

/// 8,192 tokens in sentences of equal length: compare with `tools/peer/attention.py`.
fn of_long_sentences(criterion: &mut Criterion) {
    const TOKENS: usize = 8192;
    let Shape { name, hidden, heads, .. } = SHAPES[0];
    let peak = peak(Precision::F32, 0);
    let qkv = matrix(TOKENS, 3 * hidden);
    let dout = matrix(TOKENS, hidden);
    let mut pool = BufferPool::new();
    let mut bench = Bench::new(criterion, format!("attention/{name}, long sentences"), 0);
    for (length, window) in [(128, None), (256, None), (512, None), (512, Some(64))] {
        let op = Attention { heads, window, ..Attention::default() };
        let rows = |sentences: usize| Arc::new(Rows::new(vec![length; sentences], (0..sentences as u32).collect()));
        let some = |matrix: &Array2<f32>| matrix.slice(s![..length, ..]).to_owned();
        check_against_naive(&op, &rows(1), &some(&qkv), &some(&dout));

        let rows = rows(TOKENS / length);
        let mut ours = || ours(&op, 0.1, &rows, &qkv, &dout, &mut pool);
        let seen = (0..length).map(|i| (0..length).filter(|j| window.is_none_or(|w| i.abs_diff(*j) <= w)).count());
        let flop = (2 * 2 * TOKENS / length * seen.sum::<usize>() * hidden) as f64;
        let what = window.map_or(format!("{length} tokens"), |window| format!("{length} tokens, window {window}"));
        bench.timed_case(&format!("{what}, forward"), Amount::Flop(flop, peak), || ours().forward);
        bench.timed_case(&format!("{what}, backward"), Amount::Flop(2.0 * flop, peak), || ours().backward);
    }
}

criterion_group!(benches, of_titles, of_long_sentences);
criterion_main!(benches);
