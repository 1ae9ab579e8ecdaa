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
    fn communities_are_those_of_the_whole_matrix(rows in 0..80usize, least in 1..6usize, seed: u64) {
        let vectors = vectors(rows, 3, seed);
        let all = vectors.decoded(0..rows).mapv(f64::from);
        let scores = all.dot(&all.t());
        // What is on the edge may be on either side.
        prop_assume!(scores.iter().all(|score| (score - 0.9).abs() > 1e-5));
        let near: Vec<Vec<usize>> =
            (0..rows).map(|row| (0..rows).filter(|&other| scores[[row, other]] > 0.9).collect()).collect();
        let mut centers: Vec<usize> = (0..rows).collect();
        centers.sort_by_key(|&row| std::cmp::Reverse(near[row].len()));
        let mut free = vec![true; rows];
        let mut expected: Vec<Vec<usize>> = Vec::new();
        for center in centers {
            let group: Vec<usize> = near[center].iter().copied().filter(|&row| free[row]).collect();
            if free[center] && group.len() >= least {
                group.iter().for_each(|&row| free[row] = false);
                expected.push(group);
            }
        }
        expected.sort_by_key(|group| std::cmp::Reverse(group.len()));
        let mut found = communities(&vectors, 0.9, least, |_| true).unwrap();
        found.iter_mut().for_each(|group| group.sort_unstable());
        prop_assert_eq!(found, expected);
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

fn all_pairs(vectors: &Vectors, rows: Range<usize>, columns: &Range<usize>) -> Vec<Pair> {
    let mut block = Block::new(vectors);
    block.set_rows(rows);
    block.similar(columns, -2.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_similarity_has_the_same_bits_from_both_sides_and_in_any_block(rows in 1..80usize, width in 1..90usize, seed: u64) {
        let vectors = vectors(rows, width, seed);
        // Here, the rows of every pair have changed sides.
        let mut reversed = Vectors::new(Storage::F32, width);
        (0..rows).rev().for_each(|row| reversed.push_bytes(&vectors.to_bytes(row..row + 1)));
        let mut others = all_pairs(&reversed, 0..rows, &(0..rows));
        others.iter_mut().for_each(|pair| {
            (pair.first, pair.second) = (rows - 1 - pair.second, rows - 1 - pair.first);
        });
        others.sort_by_key(|pair| (pair.first, pair.second));
        let mut pairs = Vec::new();
        for row in 0..rows {
            for columns in parts(row..rows, 7) {
                pairs.extend(all_pairs(&vectors, row..row + 1, &columns));
            }
        }
        prop_assert_eq!(pairs.len(), rows * (rows + 1) / 2);
        for (pair, other) in pairs.iter().zip(&others) {
            prop_assert_eq!((pair.first, pair.second, pair.score.to_bits()),
                (other.first, other.second, other.score.to_bits()));
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
