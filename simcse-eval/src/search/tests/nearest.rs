//! Tests of search against a plain loop over f64.

use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;

use super::*;
use crate::search::vectors::Storage;

/// Rows of few different values, so that there are ties.
fn matrix(rows: usize, width: usize, seed: u64) -> Array2<f32> {
    let philox = simcse_tensor::rng::Philox::new(seed);
    Array2::from_shape_fn((rows, width), |(i, j)| (philox.block([i as u32 % 700, j as u32, 0, 0])[0] % 5) as f32 - 2.0)
}

fn vectors(rows: ArrayView2<f32>, storage: Storage) -> Vectors {
    let mut vectors = Vectors::new(storage, rows.ncols());
    vectors.reserve(rows.nrows());
    vectors.push(rows);
    vectors
}

/// Every row's similarity to a query, from the values as they are stored.
fn similarities(vectors: &Vectors, query: ndarray::ArrayView1<f32>) -> Vec<f64> {
    let norm = query.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12);
    let rows = vectors.decoded(0..vectors.len());
    let dot =
        |row: ndarray::ArrayView1<f32>| row.iter().zip(query).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    rows.rows().into_iter().map(|row| dot(row) / norm).collect()
}

fn check(vectors: &Vectors, queries: ArrayView2<f32>, k: usize, filter: Option<Filter>) {
    let hits = nearest(vectors, queries, k, filter);
    assert_eq!(hits.len(), queries.nrows());
    for (query, hits) in queries.rows().into_iter().zip(hits) {
        let all = similarities(vectors, query);
        let counts = |index: &usize| filter.is_none_or(|filter| filter(*index));
        let mut order: Vec<usize> = (0..all.len()).filter(counts).collect();
        order.sort_by(|&a, &b| all[b].total_cmp(&all[a]).then(a.cmp(&b)));
        assert_eq!(hits.len(), k.min(order.len()));
        for (hit, expected) in hits.iter().zip(order) {
            assert!((f64::from(hit.score) - all[expected]).abs() < 1e-5, "{hit:?}, {expected}: {}", all[expected]);
            assert!((all[hit.index] - all[expected]).abs() < 1e-5, "{hit:?}, {expected}");
        }
        // Best first, and of rows with the same values, the first.
        assert!(hits.windows(2).all(|two| (two[0].score, two[1].index) >= (two[1].score, 0)));
        for two in hits.windows(2).filter(|two| two[0].score == two[1].score) {
            assert!(two[0].index < two[1].index, "{two:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn hits_are_those_of_a_plain_loop(
        rows in 0..300usize, width in 1..40usize, queries in 1..9usize, k in 0..12usize, seed: u64
    ) {
        let queries = matrix(queries, width, seed ^ 1);
        for storage in [Storage::F32, Storage::F16, Storage::Int8] {
            let vectors = vectors(matrix(rows, width, seed).view(), storage);
            check(&vectors, queries.view(), k, None);
            check(&vectors, queries.view(), k, Some(&|index| index % 3 == 1));
        }
    }
}

#[test]
fn corpora_of_many_parts_are_searched() {
    let rows = matrix(2 * ROWS + 77, 8, 5);
    let vectors = vectors(rows.view(), Storage::F32);
    for queries in [1, 3, FEW + 1, 40] {
        check(&vectors, matrix(queries, 8, 6).view(), 20, None);
    }
}

#[test]
fn a_corpus_that_comes_in_parts_is_searched_as_a_whole() {
    let rows = matrix(500, 12, 7);
    let whole = vectors(rows.view(), Storage::F16);
    for queries in [1, 9] {
        let queries = matrix(queries, 12, 8);
        let mut search = Search::new(queries.view(), 10);
        for part in rows.axis_chunks_iter(Axis(0), 130) {
            search.add(&vectors(part, Storage::F16), None);
        }
        assert_eq!(search.finish(), nearest(&whole, queries.view(), 10, None));
    }
}

#[test]
fn by_products_a_query_has_the_same_hits_alone_and_among_others() {
    let queries = matrix(9, 37, 8).mapv(|value| value + 0.1);
    for storage in [Storage::F32, Storage::F16, Storage::Int8] {
        let vectors = vectors(matrix(500, 37, 7).mapv(|value| value * 0.3).view(), storage);
        let hits = |queries: ArrayView2<f32>| {
            let mut search = Search::new(queries, 10).by_products();
            search.add(&vectors, None);
            search.finish()
        };
        let together = hits(queries.view());
        assert_eq!(together, nearest(&vectors, queries.view(), 10, None));
        for (query, together) in queries.axis_chunks_iter(Axis(0), 1).zip(together) {
            assert_eq!(hits(query), [together]);
        }
    }
}

#[test]
fn rows_survive_being_written_and_read() {
    let rows = matrix(9, 7, 3);
    for storage in [Storage::F32, Storage::F16, Storage::Int8] {
        let written = vectors(rows.view(), storage);
        let mut read = Vectors::new(storage, 7);
        read.push_bytes(&written.to_bytes(0..4));
        read.push_bytes(&written.to_bytes(4..9));
        assert_eq!(read.decoded(0..9), written.decoded(0..9));
        assert_eq!(written.to_bytes(0..9).len(), 9 * storage.bytes(7));
        assert!(read.is_finite());
        // Every value is close to that of the unit vector.
        let unit = unit_rows(rows.view());
        let largest = (&read.decoded(0..9) - &unit).iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        assert!(largest <= [0.0, 2f32.powi(-12), 0.5 / 127.0][storage as usize] + 1e-7, "{storage:?}: {largest}");
    }
    let mut damaged = Vectors::new(Storage::F16, 1);
    damaged.push_bytes(&[0, 0x7c]);
    assert!(!damaged.is_finite());
}
