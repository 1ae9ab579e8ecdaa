//! Attention over titles of different lengths at the models' shapes, forward and backward: ours
//! with dropout, compared with a naive implementation without dropout, on one thread each.
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
fn naive(shape: Shape, rows: &Rows, qkv: &Array2<f32>, dout: &Array2<f32>) -> (Array2<f32>, Array2<f32>) {
    let c = shape.hidden;
    let d = c / shape.heads;
    let scale = 1.0 / (d as f32).sqrt();
    let mut o = Array2::zeros((rows.tokens(), c));
    let mut dqkv = Array2::zeros(qkv.dim());
    for sentence in rows.iter() {
        for h in 0..shape.heads {
            let columns = |i: usize| s![sentence.clone(), i * c + h * d..i * c + (h + 1) * d];
            let [q, k, v] = [0, 1, 2].map(|i| qkv.slice(columns(i)));
            let mut p = q.dot(&k.t()) * scale;
            for mut row in p.outer_iter_mut() {
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

fn attention(criterion: &mut Criterion) {
    let rows = titles(256);
    let squares: usize = rows.iter().map(|sentence| sentence.len().pow(2)).sum();
    let peak = peak(Precision::F32, 1);
    let nothing = Arc::default();
    let params = Params::zeros(Arc::clone(&nothing));
    for shape in SHAPES {
        let qkv = matrix(rows.tokens(), 3 * shape.hidden);
        let dout = matrix(rows.tokens(), shape.hidden);
        let mut pool = BufferPool::new();
        let mut ours = |rate| {
            let dropout = Dropout { rate, philox: Philox::new(1), step: 0, site: 0 };
            let op = Attention { heads: shape.heads, dropout: Some(dropout), ..Attention::default() };
            let mut tape = Tape::new(&params, &mut pool, rows.clone(), true);
            let x = tape.input(qkv.clone());
            let (y, forward) = record(|| tape.attention(x, None, op.clone()));
            let o = tape.value(y).clone();
            let (mut gradients, backward) =
                record(|| tape.backward(&[(y, dout.view())], &mut Grads::zeros(nothing.clone())));
            let dqkv = gradients.take(x);
            Ours { o, dqkv, forward: forward.of(Part::ATTENTION), backward: backward.of(Part::ATTENTION_BACKWARD) }
        };
        let found = ours(0.0);
        let (o, dqkv) = naive(shape, &rows, &qkv, &dout);
        check("attention", values(&found.o), values(&o), 1e-5);
        check("attention's backward", values(&found.dqkv), values(&dqkv), 1e-5);

        let flop = (2 * 2 * squares * shape.hidden) as f64;
        let mut bench = Bench::new(criterion, format!("attention/{}", shape.name), 1);
        bench.timed_case("forward", Amount::Flop(flop, peak), || ours(0.1).forward);
        bench.timed_case("backward", Amount::Flop(2.0 * flop, peak), || ours(0.1).backward);
        bench.case("naive forward and backward", Amount::Flop(3.0 * flop, peak), || {
            naive(shape, &rows, &qkv, &dout);
        });
    }
}

criterion_group!(benches, attention);
criterion_main!(benches);
