//! The best of many candidates.

use std::cmp::Ordering;

use crate::similarity::judge::Hit;

/// Scores that are looked at together before each is looked at by itself.
pub(crate) const GLANCE: usize = if cfg!(test) { 8 } else { 64 };

/// Whether one of the scores is `bar` or more. Without an early exit, that is a few instructions
/// for many scores.
pub(crate) fn any_reaches(scores: &[f32], bar: f32) -> bool {
    scores.iter().fold(false, |any, &score| any | (score >= bar))
}

/// Keeps the `k` best hits: higher scores first, then lower indices.
#[derive(Debug, Clone)]
pub(crate) struct Top {
    k: usize,
    hits: Vec<Hit>,
    /// The worst hit that is kept once there have been more than `k`.
    bar: Option<Hit>,
}

fn better_first(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then(a.index.cmp(&b.index))
}

impl Top {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, hits: Vec::new(), bar: None }
    }

    /// None yet, of as many.
    pub(crate) fn like(&self) -> Self {
        Self::new(self.k)
    }

    pub(crate) fn push(&mut self, hit: Hit) {
        let hit = Hit { score: hit.score + 0.0, ..hit };
        if self.k == 0 || self.bar.is_some_and(|bar| better_first(&hit, &bar) == Ordering::Greater) {
            return;
        }
        self.hits.push(hit);
        // Cutting back only now and then costs a constant amount of work per hit.
        if self.hits.len() >= 2 * self.k + 64 {
            self.hits.select_nth_unstable_by(self.k - 1, better_first);
            self.hits.truncate(self.k);
            self.bar = self.hits.last().copied();
        }
    }

    /// Whether a hit with one of these scores could be kept.
    pub(crate) fn may_keep(&self, scores: &[f32]) -> bool {
        self.bar.is_none_or(|bar| any_reaches(scores, bar.score))
    }

    /// The best hits in order.
    pub(crate) fn into_sorted(mut self) -> Vec<Hit> {
        self.hits.sort_unstable_by(better_first);
        self.hits.truncate(self.k);
        self.hits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_of_a_sorted_list(scores in prop::collection::vec(-3i8..4, 0..400), k in 0usize..20) {
            let hits: Vec<_> =
                scores.iter().enumerate().map(|(index, &score)| Hit { index, score: f32::from(score) }).collect();
            let mut top = Top::new(k);
            hits.iter().for_each(|&hit| top.push(hit));
            let mut expected = hits;
            expected.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap());
            expected.truncate(k);
            prop_assert_eq!(top.into_sorted(), expected);
        }
    }
}
