use ndarray::Array2;

use super::*;
use crate::search::vectors::Storage;

/// Rows whose similarity to the first axis falls from 1 to 0.
fn fan(count: usize) -> Vectors {
    let angle = |row: usize| row as f32 / count as f32 * std::f32::consts::FRAC_PI_2;
    let rows = Array2::from_shape_fn((count, 2), |(row, axis)| [angle(row).cos(), angle(row).sin()][axis]);
    let mut vectors = Vectors::new(Storage::F32, 2);
    vectors.push(rows.view());
    vectors
}

fn negatives(mining: &Mining, queries: usize) -> Vec<Vec<usize>> {
    let mut query = Vectors::new(Storage::F32, 2);
    query.push(Array2::from_shape_fn((queries, 2), |(_, axis)| [1.0, 0.0][axis]).view());
    let (positives, excluded) = (vec![vec![0]; queries], vec![Some(1); queries]);
    let mined = mining.mine(&query, &fan(30), &positives, &excluded, 1, |_| true).unwrap();
    let of = |query| mined.triplets.iter().filter(move |t| t.query == query).map(|t| t.negative).collect();
    (0..queries).map(of).collect()
}

#[test]
fn positives_and_the_querys_own_text_are_no_negatives() {
    assert_eq!(negatives(&Mining { range_max: Some(9), ..Mining::default() }, 1), [[2, 3, 4]]);
}

#[test]
fn random_negatives_are_any_candidates_and_the_same_for_a_seed() {
    let mining = Mining { range_min: 2, range_max: Some(8), sampling: Sampling::Random, ..Mining::default() };
    let drawn = negatives(&mining, 2000);
    assert_eq!(drawn, negatives(&mining, 2000));
    assert_ne!(drawn, negatives(&Mining { seed: 1, ..mining }, 2000));
    let mut counts = [0; 30];
    for negatives in &drawn {
        assert!(negatives.is_sorted() && negatives.len() == 3, "best first, and no two the same");
        negatives.iter().for_each(|&row| counts[row] += 1);
    }
    // Of ranks 2 to 7, without the positive and the query's own text: rows 4 to 9, or 8 if the
    // search ends there. Each is drawn as often as any other.
    let candidates: Vec<_> = (0..30).filter(|&row| counts[row] > 0).collect();
    assert_eq!(candidates[0], 4);
    let mean = 6000.0 / candidates.len() as f64;
    assert!(candidates.iter().all(|&row| (f64::from(counts[row]) - mean).abs() < 0.1 * mean), "{counts:?}");
}

#[test]
fn what_was_left_out_is_counted_and_the_work_can_be_stopped() {
    let query = fan(1);
    let corpus = fan(30);
    let mining = Mining { relative_margin: Some(0.2), min_score: Some(0.75), range_max: Some(20), ..Mining::default() };
    let mined = mining.mine(&query, &corpus, &[vec![0]], &[None], 1, |_| true).unwrap();
    // cos(90° · r / 30) exceeds 0.8 up to row 12, and is below 0.75 from row 14 on.
    assert_eq!(mined.triplets.iter().map(|t| t.negative).collect::<Vec<_>>(), [13]);
    assert_eq!((mined.within_margin, mined.queries_short_of_negatives), (12, 1));
    assert_eq!(mined.out_of_bounds, 7);
    assert!(mining.mine(&query, &corpus, &[vec![0]], &[None], 1, |_| false).is_none());
}
