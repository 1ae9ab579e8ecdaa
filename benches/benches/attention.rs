//! Attention over a batch of ragged titles at the models' shapes, forward and forward with backward, ours beside a naive
//! implementation of the forward. Criterion's `elem/s` are the forward's multiply-adds at the sentences' real lengths.
#![allow(missing_docs)]

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array2, s};
use simcse_benches::{SHAPES, Shape, difference, matrix, title_lengths};
use simcse_tensor::{Grads, Params, Pool, Rows, Tape};

fn naive(shape: Shape, rows: &Rows, qkv: &Array2<f32>) -> Array2<f32> {
    let (c, d) = (shape.hidden, shape.hidden / shape.heads);
    let mut o = Array2::zeros((rows.tokens(), c));
    for sentence in rows.iter() {
        for h in 0..shape.heads {
            let part = |i: usize| qkv.slice(s![sentence.clone(), i * c + h * d..i * c + (h + 1) * d]);
            let mut p = part(0).dot(&part(1).t()) / (d as f32).sqrt();
            for mut row in p.outer_iter_mut() {
                let highest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                row.mapv_inplace(|x| (x - highest).exp());
                row /= row.sum();
            }
            o.slice_mut(s![sentence.clone(), h * d..(h + 1) * d]).assign(&p.dot(&part(2)));
        }
    }
    o
}

fn attention(criterion: &mut Criterion) {
    let lengths = title_lengths(256);
    let squares: usize = lengths.iter().map(|t| t * t).sum();
    let rows = Arc::new(Rows::new(lengths, (0..256).collect()));
    let layout = Arc::default();
    let (params, mut pool) = (Params::zeros(Arc::clone(&layout)), Pool::new());
    for shape in SHAPES {
        let qkv = matrix(rows.tokens(), 3 * shape.hidden);
        let dy = matrix(rows.tokens(), shape.hidden);
        let mut run = |backward: bool| {
            let mut tape = Tape::new(&params, &mut pool, rows.clone(), backward);
            let x = tape.input(qkv.clone());
            let y = tape.attention(x, shape.heads, None);
            let value = tape.value(y).clone();
            if backward {
                tape.backward(&[(y, dy.view())], &mut Grads::zeros(layout.clone()));
            }
            value
        };
        let (got, expected) = (run(false), naive(shape, &rows, &qkv));
        let error = difference(got.as_slice().expect("row-major"), expected.as_slice().expect("row-major"));
        assert!(error < 1e-4, "attention differs from the naive one by {error}");

        let mut group = criterion.benchmark_group(format!("attention/{}", shape.name));
        group.throughput(Throughput::Elements((2 * squares * shape.hidden) as u64));
        group.sample_size(10);
        group.bench_function("forward", |bench| bench.iter(|| run(false)));
        group.bench_function("forward+backward", |bench| bench.iter(|| run(true)));
        group.bench_function("naive forward", |bench| bench.iter(|| naive(shape, &rows, &qkv)));
    }
}

criterion_group!(benches, attention);
criterion_main!(benches);
