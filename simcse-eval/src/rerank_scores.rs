//! The figures of a ranking, and their mean over queries.
//!
//! This file knows labels and scores. It must not know where the scores come from.

use serde::Serialize;

use crate::metrics::error::MetricError;
use crate::metrics::ranking::{average_precision, mrr, ndcg, precision};

/// The cutoff of MRR and nDCG.
const AT_K: usize = 10;

/// Averages over queries, each between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RerankScores {
    /// Mean average precision.
    pub map: f64,
    /// Mean reciprocal rank; 0 for a query whose first positive is below rank 10.
    #[serde(rename = "mrr@10")]
    pub mrr_at_10: f64,
    /// Normalized discounted cumulative gain of the first 10.
    #[serde(rename = "ndcg@10")]
    pub ndcg_at_10: f64,
    /// Share of queries whose first candidate is similar.
    #[serde(rename = "p@1")]
    pub p_at_1: f64,
    /// Share of similar candidates among the first 5.
    #[serde(rename = "p@5")]
    pub p_at_5: f64,
    /// How many queries were averaged.
    pub queries: usize,
}

/// The baseline: candidates in the order in which BM25 found them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bm25Scores {
    /// Over every query with a positive, including those without negatives: the rule of the
    /// published figures.
    #[serde(flatten)]
    pub published: RerankScores,
    /// Mean reciprocal rank over the whole list, as published.
    pub mrr: f64,
    /// Over the queries that [`Reranking::evaluate`](crate::Reranking::evaluate) scores: compare a
    /// model's figures with these.
    pub comparable: RerankScores,
}

impl RerankScores {
    pub(crate) fn of_query(relevant: &[bool], scores: &[f32]) -> Result<Self, MetricError> {
        Ok(Self {
            map: average_precision(relevant, scores)?,
            mrr_at_10: mrr(relevant, scores, AT_K)?,
            ndcg_at_10: ndcg(relevant, scores, AT_K)?,
            p_at_1: precision(relevant, scores, 1)?,
            p_at_5: precision(relevant, scores, 5)?,
            queries: 1,
        })
    }

    /// The mean over queries; zeros if there are none.
    pub(crate) fn mean(each: &[Self]) -> Self {
        let mean = |figure: fn(&Self) -> f64| each.iter().map(figure).sum::<f64>() / each.len().max(1) as f64;
        Self {
            map: mean(|scores| scores.map),
            mrr_at_10: mean(|scores| scores.mrr_at_10),
            ndcg_at_10: mean(|scores| scores.ndcg_at_10),
            p_at_1: mean(|scores| scores.p_at_1),
            p_at_5: mean(|scores| scores.p_at_5),
            queries: each.len(),
        }
    }
}
