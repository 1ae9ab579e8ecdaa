//! Exact search: one query, which should take as long as reading the vectors, and a thousand, which
//! should run at the speed of matrix products.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use simcse_benches::{Amount, Bench, check, matrix, peak};
use simcse_eval::{Storage, Vectors, nearest};
use simcse_model::{Named, Precision};

/// The width of MiniLM's embeddings.
const WIDTH: usize = 384;
const TOP: usize = 10;

/// A million rows, or a few where benches only have to run.
fn rows() -> usize {
    if std::env::args().any(|argument| argument == "--test") { 10_000 } else { 1_000_000 }
}

fn vectors(storage: Storage, rows: usize) -> Vectors {
    let part = matrix(1000, WIDTH);
    let mut vectors = Vectors::new(storage, WIDTH);
    vectors.reserve(rows);
    (0..rows / 1000).for_each(|_| vectors.push(part.view()));
    vectors
}

/// The wrapping sum of all words: every byte is read, and hardly anything is computed.
fn read(words: &[u64]) -> u64 {
    words.par_chunks(1 << 14).map(|part| part.iter().fold(0u64, |sum, word| sum.wrapping_add(*word))).sum()
}

fn search(criterion: &mut Criterion) {
    let rows = rows();
    let queries = matrix(1000, WIDTH) + Array2::from_elem((1000, WIDTH), 0.01);
    let query = queries.slice_axis(Axis(0), (7..8).into());
    let mut bench = Bench::new(criterion, format!("search/{rows} rows of {WIDTH}"), 0);
    for storage in [Storage::F32, Storage::F16, Storage::Int8] {
        let name = storage.name();
        let bytes = rows * storage.bytes(WIDTH);
        let words = vec![1u64; bytes / 8];
        assert_eq!(read(&words), words.len() as u64);
        bench.case(&format!("{name}: reading memory"), Amount::Bytes(bytes), || {
            black_box(read(&words));
        });
        drop(words);

        let vectors = vectors(storage, rows);
        // The best score, compared with a plain product.
        let found = nearest(&vectors, query, TOP, None)[0][0].score;
        let unit = vectors.decoded(0..1000);
        let scores = unit.dot(&(&query.row(0) / query.row(0).dot(&query.row(0)).sqrt()));
        check(name, &[found], &[scores.fold(f32::MIN, |best, score| best.max(*score))], 1e-5);
        bench.case(&format!("{name}: 1 query"), Amount::Bytes(bytes), || {
            black_box(nearest(&vectors, query, TOP, None));
        });
        let few = queries.slice_axis(Axis(0), (0..4).into());
        bench.case(&format!("{name}: 4 queries"), Amount::Bytes(bytes), || {
            black_box(nearest(&vectors, few, TOP, None));
        });
        let flop = 2.0 * (queries.len() * rows) as f64;
        bench.case(&format!("{name}: 1000 queries"), Amount::Flop(flop, peak(Precision::F32, 0)), || {
            black_box(nearest(&vectors, queries.view(), TOP, None));
        });
    }
}

criterion_group!(benches, search);
criterion_main!(benches);
