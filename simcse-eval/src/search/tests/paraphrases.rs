//! Tests against plain loops over all pairs.

use ndarray::Array2;
use proptest::prelude::*;

use super::*;
use crate::search::vectors::Storage;

fn vectors(rows: usize, width: usize, seed: u64) -> Vectors {
    let philox = simcse_tensor::rng::Philox::new(seed);
    let value = |(i, j): (usize, usize)| philox.block([i as u32, j as u32, 0, 0])[0] as f32 / 2f32.powi(31) - 1.0;
    let mut vectors = Vectors::new(Storage::F32, width);
    vectors.push(Array2::from_shape_fn((rows, width), value).view());
    vectors
}

fn similarity(vectors: &Vectors, a: usize, b: usize) -> f64 {
    let rows = vectors.decoded(0..vectors.len());
    rows.row(a).iter().zip(rows.row(b)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pairs_are_the_best_of_all(rows in 0..60usize, width in 2..5usize, most in 0..40usize, seed: u64) {
        let vectors = vectors(rows, width, seed);
        let found = paraphrases(&vectors, 0.5, most, |_| true).unwrap();
        let mut expected = Vec::new();
        for first in 0..rows {
            for second in first + 1..rows {
                let score = similarity(&vectors, first, second);
                // What is on the edge may be on either side.
                prop_assume!((score - 0.5).abs() > 1e-5);
                if score > 0.5 {
                    expected.push((score, first, second));
                }
            }
        }
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        prop_assert_eq!(found.len(), expected.len().min(most));
        for (pair, (score, ..)) in found.iter().zip(&expected) {
            prop_assert!(pair.first < pair.second);
            prop_assert!((f64::from(pair.score) - score).abs() < 1e-5);
            prop_assert!((similarity(&vectors, pair.first, pair.second) - score).abs() < 1e-5);
        }
    }

    #[test]
    fn communities_are_disjoint_and_around_their_first(rows in 0..80usize, least in 1..6usize, seed: u64) {
        let vectors = vectors(rows, 3, seed);
        let found = communities(&vectors, 0.9, least, |_| true).unwrap();
        let mut seen = vec![false; rows];
        for community in &found {
            prop_assert!(community.len() >= least);
            for &row in community {
                prop_assert!(similarity(&vectors, community[0], row) >= 0.9 - 1e-5);
                prop_assert!(!std::mem::replace(&mut seen[row], true), "{} is in two", row);
            }
        }
        prop_assert!(found.windows(2).all(|two| two[0].len() >= two[1].len()));
        // Around every row that is free, there are too few others that are.
        for row in (0..rows).filter(|&row| !seen[row]) {
            let near = (0..rows).filter(|&other| !seen[other] && similarity(&vectors, row, other) >= 0.9 + 1e-5);
            prop_assert!(near.count() < least, "{}", row);
        }
    }
}

#[test]
fn more_pairs_than_are_kept_at_a_time_are_sorted_out() {
    // 2,000 rows of one value: nearly two million equal pairs, of which the first are the best.
    let mut vectors = Vectors::new(Storage::F32, 1);
    vectors.push(Array2::ones((2000, 1)).view());
    let found = paraphrases(&vectors, 0.5, 3, |_| true).unwrap();
    let pairs: Vec<_> = found.iter().map(|pair| (pair.first, pair.second, pair.score)).collect();
    assert_eq!(pairs, [(0, 1, 1.0), (0, 2, 1.0), (0, 3, 1.0)]);
    assert_eq!(communities(&vectors, 0.5, 2, |_| true).unwrap(), [(0..2000).collect::<Vec<_>>()]);
}

#[test]
fn both_can_be_stopped() {
    let vectors = vectors(10, 2, 1);
    assert_eq!(paraphrases(&vectors, 0.0, 5, |_| false), None);
    assert_eq!(communities(&vectors, 0.0, 2, |_| false), None);
}
