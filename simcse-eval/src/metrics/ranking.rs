//! Ranking metrics, in f64 from f32 scores.
//!
//! A ranking is a list of candidates, each relevant or not, with a score; higher is better. Scores
//! must be finite, and `-0.0` ties with `0.0`. The order in which a file happens to list tied
//! candidates never matters: [`average_precision`] and [`ndcg`] treat them alike, as scikit-learn
//! does, while [`mrr`] and [`precision`] rank tied negatives first.
//!
//! # Panics
//! Every metric panics if its two slices differ in length, or if `k` is 0: the caller is wrong.

use crate::metrics::error::{MetricError, check_finite};

/// Average precision: `AP = Σₙ (Rₙ − Rₙ₋₁) Pₙ` over the distinct scores as thresholds, where `Rₙ`
/// is the recall and `Pₙ` the precision at the threshold; 0 without a relevant candidate.
///
/// scikit-learn: `average_precision_score(relevant, scores)`.
///
/// # Errors
/// [`MetricError::NotFinite`].
pub fn average_precision(relevant: &[bool], scores: &[f32]) -> Result<f64, MetricError> {
    let ranked = ranked(relevant, scores)?;
    let mut seen = 0;
    let mut hits = 0;
    let mut sum = 0.0;
    for tied in ranked.chunk_by(|a, b| a.score == b.score) {
        let new_hits = count_relevant(tied);
        seen += tied.len();
        hits += new_hits;
        sum += new_hits as f64 * (hits as f64 / seen as f64);
    }
    Ok(if hits == 0 { 0.0 } else { sum / hits as f64 })
}

/// Reciprocal rank of the first relevant candidate, 0 if there is none among the first `k`.
///
/// # Errors
/// [`MetricError::NotFinite`].
pub fn mrr(relevant: &[bool], scores: &[f32], k: usize) -> Result<f64, MetricError> {
    assert_ne!(k, 0, "the cut-off k must be positive");
    let first = ranked(relevant, scores)?.iter().take(k).position(|candidate| candidate.relevant);
    Ok(first.map_or(0.0, |rank| 1.0 / (rank + 1) as f64))
}

/// Share of relevant candidates among the first `k`; a list shorter than `k` is padded with
/// irrelevant candidates.
///
/// # Errors
/// [`MetricError::NotFinite`].
pub fn precision(relevant: &[bool], scores: &[f32], k: usize) -> Result<f64, MetricError> {
    assert_ne!(k, 0, "the cut-off k must be positive");
    let ranked = ranked(relevant, scores)?;
    Ok(count_relevant(&ranked[..k.min(ranked.len())]) as f64 / k as f64)
}

/// Normalized discounted cumulative gain of the first `k` with binary gains, averaged over all
/// orders of ties: `DCG = Σᵣ gainᵣ / log₂(r + 1)` over ranks `r` from 1, divided by that of the
/// best order; 0 without a relevant candidate.
///
/// scikit-learn: `ndcg_score([relevant], [scores], k=k)`; after McSherry & Najork (2008).
///
/// # Errors
/// [`MetricError::NotFinite`].
pub fn ndcg(relevant: &[bool], scores: &[f32], k: usize) -> Result<f64, MetricError> {
    assert_ne!(k, 0, "the cut-off k must be positive");
    let ranked = ranked(relevant, scores)?;
    let discounts =
        |from: usize, to: usize| (from..to.min(k)).map(|rank| 1.0 / (rank as f64 + 2.0).log2()).sum::<f64>();
    let mut seen = 0;
    let mut gain = 0.0;
    for tied in ranked.chunk_by(|a, b| a.score == b.score) {
        let mean_gain = count_relevant(tied) as f64 / tied.len() as f64;
        gain += mean_gain * discounts(seen, seen + tied.len());
        seen += tied.len();
    }
    let best = discounts(0, count_relevant(&ranked));
    Ok(if best == 0.0 { 0.0 } else { gain / best })
}

struct Candidate {
    score: f32,
    relevant: bool,
}

/// The candidates from the highest score to the lowest, negatives first among ties.
fn ranked(relevant: &[bool], scores: &[f32]) -> Result<Vec<Candidate>, MetricError> {
    assert_eq!(relevant.len(), scores.len(), "one score for each candidate");
    check_finite(scores)?;
    // Adding 0.0 turns -0.0 into 0.0; `total_cmp` then orders finite numbers as `<` does.
    let mut ranked: Vec<_> =
        relevant.iter().zip(scores).map(|(&relevant, &score)| Candidate { score: score + 0.0, relevant }).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.relevant.cmp(&b.relevant)));
    Ok(ranked)
}

fn count_relevant(candidates: &[Candidate]) -> usize {
    candidates.iter().filter(|candidate| candidate.relevant).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// scikit-learn's definition: precision and recall at every distinct threshold, from the
    /// highest.
    fn naive_average_precision(relevant: &[bool], scores: &[f32]) -> f64 {
        let positives = relevant.iter().filter(|&&r| r).count();
        let mut thresholds = scores.to_vec();
        thresholds.sort_by(|a, b| b.partial_cmp(a).unwrap());
        thresholds.dedup();
        let mut sum = 0.0;
        let mut last_recall = 0.0;
        for threshold in thresholds {
            let chosen = (0..scores.len()).filter(|&i| scores[i] >= threshold);
            let (hits, chosen) = chosen.fold((0, 0), |(hits, n), i| (hits + usize::from(relevant[i]), n + 1));
            let recall = hits as f64 / positives as f64;
            sum += (recall - last_recall) * hits as f64 / chosen as f64;
            last_recall = recall;
        }
        sum
    }

    /// All orders of the candidates that the scores allow.
    fn orders(relevant: &[bool], scores: &[f32]) -> Vec<Vec<bool>> {
        if relevant.is_empty() {
            return vec![Vec::new()];
        }
        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut all = Vec::new();
        for first in (0..scores.len()).filter(|&i| scores[i] == best) {
            let rest = |i: &usize| *i != first;
            let others: Vec<bool> = (0..scores.len()).filter(rest).map(|i| relevant[i]).collect();
            let other_scores: Vec<f32> = (0..scores.len()).filter(rest).map(|i| scores[i]).collect();
            all.extend(orders(&others, &other_scores).into_iter().map(|tail| [vec![relevant[first]], tail].concat()));
        }
        all
    }

    fn dcg(order: &[bool], k: usize) -> f64 {
        order.iter().take(k).enumerate().map(|(i, &r)| if r { 1.0 / ((i + 2) as f64).log2() } else { 0.0 }).sum()
    }

    /// Short lists with few distinct scores, so that many are tied; `-0.0` is among them.
    fn rankings() -> impl Strategy<Value = (Vec<bool>, Vec<f32>)> {
        let score = prop::sample::select(vec![-1.5f32, -0.0, 0.0, 0.25, 1e-30, 3.0]);
        prop::collection::vec((any::<bool>(), score), 1..8).prop_map(|list| list.into_iter().unzip())
    }

    proptest! {
        #[test]
        fn average_precision_is_the_threshold_sum((relevant, scores) in rankings()) {
            let found = average_precision(&relevant, &scores).unwrap();
            let expected = if relevant.contains(&true) { naive_average_precision(&relevant, &scores) } else { 0.0 };
            prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }

        #[test]
        fn ties_are_averaged_or_against_the_model((relevant, scores) in rankings(), k in 1usize..9) {
            let orders = orders(&relevant, &scores);
            let best = dcg(&{ let mut r = relevant.clone(); r.sort_by(|a, b| b.cmp(a)); r }, k);
            let mean = orders.iter().map(|order| dcg(order, k)).sum::<f64>() / orders.len() as f64;
            let expected = if best == 0.0 { 0.0 } else { mean / best };
            prop_assert!((ndcg(&relevant, &scores, k).unwrap() - expected).abs() < 1e-12);

            let worst = |f: &dyn Fn(&[bool]) -> f64| orders.iter().map(|order| f(order)).fold(f64::INFINITY, f64::min);
            let rr = worst(&|o| o.iter().take(k).position(|&r| r).map_or(0.0, |i| 1.0 / (i as f64 + 1.0)));
            prop_assert_eq!(mrr(&relevant, &scores, k).unwrap(), rr);
            let p = worst(&|o| o.iter().take(k).filter(|&&r| r).count() as f64 / k as f64);
            prop_assert_eq!(precision(&relevant, &scores, k).unwrap(), p);
        }
    }

    #[test]
    fn by_hand() {
        let (relevant, scores) = ([false, true, false, true], [0.9, 0.8, 0.7, 0.6]);
        assert_eq!(average_precision(&relevant, &scores), Ok(0.5));
        assert_eq!(mrr(&relevant, &scores, 10), Ok(0.5));
        assert_eq!(mrr(&relevant, &scores, 1), Ok(0.0));
        assert_eq!(precision(&relevant, &scores, 1), Ok(0.0));
        assert_eq!(precision(&relevant, &scores, 5), Ok(0.4));
        let expected = (1.0 / 3f64.log2() + 1.0 / 5f64.log2()) / (1.0 + 1.0 / 3f64.log2());
        assert!((ndcg(&relevant, &scores, 10).unwrap() - expected).abs() < 1e-15);
        // All tied: one threshold, whose precision is the share of positives.
        assert_eq!(average_precision(&relevant, &[0.5; 4]), Ok(0.5));
        assert_eq!(mrr(&relevant, &[0.5; 4], 10), Ok(1.0 / 3.0));
    }

    #[test]
    fn nonsense_is_an_error() {
        let nan = [0.0, f32::NAN];
        assert!(matches!(average_precision(&[true, false], &nan), Err(MetricError::NotFinite { index: 1, .. })));
        assert!(matches!(ndcg(&[true, false], &[f32::INFINITY, 0.0], 1), Err(MetricError::NotFinite { index: 0, .. })));
    }
}
