//! Metrics of a search: the first ranks of a ranking that is too long to be looked at in full.
//!
//! `hits[r]` says whether the document at rank `r + 1` is relevant, and `relevant` is the number of
//! all relevant documents, found or not. The definitions are those of sentence-transformers'
//! `InformationRetrievalEvaluator`.
//!
//! # Panics
//! Every metric panics if `k` or `relevant` is 0: the caller is wrong.

/// Average precision of the first `k`: `Σᵣ hitᵣ · precisionᵣ / min(relevant, k)`.
#[must_use]
pub fn average_precision_at(hits: &[bool], relevant: usize, k: usize) -> f64 {
    let best = possible(relevant, k);
    let ranks = hits.iter().take(k).enumerate().filter(|(_, hit)| **hit).map(|(index, _)| index + 1);
    let sum: f64 = ranks.enumerate().map(|(before, rank)| (before + 1) as f64 / rank as f64).sum();
    sum / best as f64
}

/// Reciprocal rank of the first relevant document, 0 if there is none among the first `k`.
#[must_use]
pub fn reciprocal_rank_at(hits: &[bool], k: usize) -> f64 {
    assert_ne!(k, 0, "the cut-off k must be positive");
    let first = hits.iter().take(k).position(|hit| *hit);
    first.map_or(0.0, |index| 1.0 / (index + 1) as f64)
}

/// Normalized discounted cumulative gain of the first `k` with binary gains:
/// `Σᵣ hitᵣ / log₂(r + 1)`, divided by that of the best ranking.
#[must_use]
pub fn ndcg_at(hits: &[bool], relevant: usize, k: usize) -> f64 {
    let best = possible(relevant, k);
    let discount = |index: usize| 1.0 / (index as f64 + 2.0).log2();
    let gain: f64 = (0..hits.len().min(k)).filter(|&index| hits[index]).map(discount).sum();
    gain / (0..best).map(discount).sum::<f64>()
}

/// Share of the relevant documents that are among the first `k`.
#[must_use]
pub fn recall_at(hits: &[bool], relevant: usize, k: usize) -> f64 {
    possible(relevant, k);
    hits.iter().take(k).filter(|hit| **hit).count() as f64 / relevant as f64
}

/// How many of the first `k` can be relevant.
fn possible(relevant: usize, k: usize) -> usize {
    assert_ne!(k, 0, "the cut-off k must be positive");
    assert_ne!(relevant, 0, "a query needs a relevant document");
    relevant.min(k)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::ranking::{average_precision, mrr, ndcg};

    /// A whole ranking, which has every relevant document, and its scores, which have no ties.
    fn rankings() -> impl Strategy<Value = Vec<bool>> {
        prop::collection::vec(any::<bool>(), 1..12).prop_filter("one relevant", |hits| hits.contains(&true))
    }

    proptest! {
        #[test]
        fn a_whole_ranking_has_the_figures_of_a_ranking_without_ties(hits in rankings(), k in 1usize..14) {
            let scores: Vec<f32> = (0..hits.len()).map(|rank| -(rank as f32)).collect();
            let relevant = hits.iter().filter(|hit| **hit).count();
            let whole = average_precision_at(&hits, relevant, hits.len());
            prop_assert!((whole - average_precision(&hits, &scores).unwrap()).abs() < 1e-12);
            prop_assert!((ndcg_at(&hits, relevant, k) - ndcg(&hits, &scores, k).unwrap()).abs() < 1e-12);
            prop_assert_eq!(reciprocal_rank_at(&hits, k), mrr(&hits, &scores, k).unwrap());
            prop_assert_eq!(recall_at(&hits, relevant, hits.len()), 1.0);
        }
    }

    #[test]
    fn by_hand() {
        let hits = [false, true, false, true];
        assert_eq!(average_precision_at(&hits, 3, 100), (1.0 / 2.0 + 2.0 / 4.0) / 3.0);
        assert_eq!(average_precision_at(&hits, 3, 2), (1.0 / 2.0) / 2.0);
        assert_eq!(recall_at(&hits, 3, 3), 1.0 / 3.0);
        assert_eq!(reciprocal_rank_at(&hits, 1), 0.0);
        let best = 1.0 + 1.0 / 3f64.log2();
        assert_eq!(ndcg_at(&hits, 3, 2), (1.0 / 3f64.log2()) / best);
    }
}
