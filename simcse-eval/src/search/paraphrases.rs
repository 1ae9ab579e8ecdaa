//! What is similar within a corpus: pairs, and communities.

use std::cmp::Ordering;
use std::mem;
use std::ops::Range;

use ndarray::ArrayView2;
use rayon::prelude::*;
use simcse_tensor::{Addend, Precision, gemm};

use crate::search::vectors::{Vectors, parts};
use crate::similarity::top::{GLANCE, any_reaches};

/// Rows that are compared with [`COLUMNS`] rows at a time.
const ROWS: usize = if cfg!(test) { 16 } else { 1024 };
const COLUMNS: usize = if cfg!(test) { 24 } else { 4096 };

/// Two rows of a corpus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The row that comes first.
    pub first: usize,
    /// The other one.
    pub second: usize,
    /// Their cosine similarity.
    pub score: f32,
}

/// Higher scores first, then lower rows.
fn better_first(a: &Pair, b: &Pair) -> Ordering {
    b.score.total_cmp(&a.score).then((a.first, a.second).cmp(&(b.first, b.second)))
}

/// The `most` pairs of different rows with the highest cosine similarity, if that is `threshold` or
/// more, best first. Every pair is compared once. `go_on` gets the number of rows that are compared
/// with all others; if it returns `false`, there is no result.
///
/// sentence-transformers: `util.paraphrase_mining_embeddings`, without its limit to the best
/// `top_k` of each row.
#[must_use]
pub fn paraphrases(
    vectors: &Vectors,
    threshold: f32,
    most: usize,
    mut go_on: impl FnMut(usize) -> bool,
) -> Option<Vec<Pair>> {
    let mut kept: Vec<Pair> = Vec::new();
    let mut bar = threshold;
    let mut block = Block::new(vectors);
    for rows in parts(0..vectors.len(), ROWS) {
        block.set_rows(rows.clone());
        for columns in parts(rows.start..vectors.len(), COLUMNS) {
            let found = block.similar(&columns, bar);
            kept.extend(found.filter(|pair| pair.first < pair.second));
            if kept.len() >= 2 * most.max(1) + COLUMNS {
                keep_best(&mut kept, most);
                bar = bar.max(kept.last().map_or(bar, |worst| worst.score));
            }
        }
        if !go_on(rows.end) {
            return None;
        }
    }
    kept.sort_unstable_by(better_first);
    kept.truncate(most);
    Some(kept)
}

/// Cuts back to the best, the worst of them at the end.
fn keep_best(pairs: &mut Vec<Pair>, most: usize) {
    if most > 0 && pairs.len() > most {
        pairs.select_nth_unstable_by(most - 1, better_first);
    }
    pairs.truncate(most);
}

/// Groups of `least` or more rows that have a cosine similarity of `threshold` or more to one of
/// them, which comes first; the others follow by similarity. Largest groups first; no row is in
/// two. `go_on` is as in [`paraphrases`], and so is the work: every pair is compared once.
///
/// Next to the result, memory holds what is similar to rows that are not compared with all others
/// yet: of a row that gets no group, fewer than `least` others.
///
/// sentence-transformers: `util.community_detection`.
///
/// ```
/// use ndarray::array;
/// use simcse_eval::{Storage, Vectors, communities};
///
/// let mut vectors = Vectors::new(Storage::F32, 2);
/// vectors.push(array![[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]].view());
/// assert_eq!(communities(&vectors, 0.9, 2, |_| true), Some(vec![vec![0, 2]]));
/// ```
#[must_use]
pub fn communities(
    vectors: &Vectors,
    threshold: f32,
    least: usize,
    mut go_on: impl FnMut(usize) -> bool,
) -> Option<Vec<Vec<usize>>> {
    // What is similar to each row, itself included, until all that is has been found.
    let mut near: Vec<Vec<(f32, u32)>> = vec![Vec::new(); vectors.len()];
    let mut found: Vec<(usize, Vec<u32>)> = Vec::new();
    let mut block = Block::new(vectors);
    for rows in parts(0..vectors.len(), ROWS) {
        block.set_rows(rows.clone());
        for columns in parts(rows.start..vectors.len(), COLUMNS) {
            for Pair { first, second, score } in block.similar(&columns, threshold) {
                near[first].push((score, second as u32));
                if first != second {
                    near[second].push((score, first as u32));
                }
            }
        }
        // Columns in front of these rows have been compared with them as rows.
        let complete = rows.clone().into_par_iter().zip(&mut near[rows.clone()]);
        let large = complete.map(|(center, near)| (center, mem::take(near))).filter(|(_, near)| near.len() >= least);
        let sorted = large.map(|(center, mut near)| {
            near.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            (center, near.into_iter().map(|(_, row)| row).collect())
        });
        found.par_extend(sorted);
        if !go_on(rows.end) {
            return None;
        }
    }
    found.sort_by_key(|(_, near)| std::cmp::Reverse(near.len()));
    let mut taken = vec![false; vectors.len()];
    let mut kept: Vec<Vec<usize>> = Vec::new();
    for (center, near) in found {
        if taken[center] {
            continue;
        }
        let others = near.into_iter().map(|row| row as usize).filter(|&row| row != center && !taken[row]);
        let community: Vec<usize> = std::iter::once(center).chain(others).collect();
        if community.len() >= least {
            community.iter().for_each(|&row| taken[row] = true);
            kept.push(community);
        }
    }
    kept.sort_by_key(|community| std::cmp::Reverse(community.len()));
    Some(kept)
}

/// Compares some rows with some columns at a time, in the same memory.
#[derive(Debug)]
struct Block<'a> {
    vectors: &'a Vectors,
    rows: Range<usize>,
    /// Decoded, row after row.
    left: Vec<f32>,
    right: Vec<f32>,
    /// (rows, columns)
    scores: Vec<f32>,
}

impl<'a> Block<'a> {
    fn new(vectors: &'a Vectors) -> Self {
        Self { vectors, rows: 0..0, left: Vec::new(), right: Vec::new(), scores: Vec::new() }
    }

    fn set_rows(&mut self, rows: Range<usize>) {
        self.vectors.decode(rows.clone(), &mut self.left);
        self.rows = rows;
    }

    /// The pairs of one of the rows and one of `columns` with a similarity of `bar` or more, in
    /// order, except for those whose row comes after their column. A row and itself are a pair.
    ///
    /// Which block a pair is in does not change its similarity, nor does which of the two is the
    /// row: every product of two rows is the same sum of the same products, in the same order.
    fn similar(&mut self, columns: &Range<usize>, bar: f32) -> impl Iterator<Item = Pair> + use<> {
        let Self { vectors, rows, left, right, scores } = self;
        let width = vectors.width();
        vectors.decode(columns.clone(), right);
        scores.resize(rows.len() * columns.len(), 0.0);
        let left = ArrayView2::from_shape((rows.len(), width), left).expect("whole rows");
        let right = ArrayView2::from_shape((columns.len(), width), right).expect("whole rows");
        gemm(Precision::F32, left, right.t(), Addend::Zero, &[width], scores);
        let first_column = columns.start;
        let of_row = |(first, scores): (usize, &[f32])| {
            let skipped = first.saturating_sub(first_column).min(scores.len());
            let mut found = Vec::new();
            for (number, scores) in scores[skipped..].chunks(GLANCE).enumerate() {
                if any_reaches(scores, bar) {
                    let start = first_column + skipped + number * GLANCE;
                    let similar = scores.iter().zip(start..).filter(|(score, _)| **score >= bar);
                    // The sum turns −0 into 0.
                    found.extend(similar.map(|(&score, second)| Pair { first, second, score: score + 0.0 }));
                }
            }
            found
        };
        let found: Vec<Vec<Pair>> =
            rows.clone().into_par_iter().zip(scores.par_chunks(columns.len())).map(of_row).collect();
        found.into_iter().flatten()
    }
}

#[cfg(test)]
#[path = "tests/paraphrases.rs"]
mod tests;
