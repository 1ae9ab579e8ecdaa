//! The figures of rankings.
//!
//! This file knows labels and scores. It must not know where the scores come from.

use crate::metrics::error::MetricError;
use crate::metrics::ranking::{average_precision, mrr, ndcg, precision};
use crate::scores::Figure;
use crate::statistics::sample::Sample;

/// The cutoff of MRR and nDCG.
const AT_K: usize = 10;

/// Figures of one ranking each, to be averaged.
#[derive(Debug, Default)]
pub(crate) struct RerankFigures {
    map: Vec<f64>,
    mrr_at_10: Vec<f64>,
    ndcg_at_10: Vec<f64>,
    p_at_1: Vec<f64>,
    p_at_5: Vec<f64>,
}

impl RerankFigures {
    /// Adds a ranking.
    pub(crate) fn push(&mut self, relevant: &[bool], scores: &[f32]) -> Result<(), MetricError> {
        self.map.push(average_precision(relevant, scores)?);
        self.mrr_at_10.push(mrr(relevant, scores, AT_K)?);
        self.ndcg_at_10.push(ndcg(relevant, scores, AT_K)?);
        self.p_at_1.push(precision(relevant, scores, 1)?);
        self.p_at_5.push(precision(relevant, scores, 5)?);
        Ok(())
    }

    /// How many rankings there are.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// The means over rankings, each between 0 and 1.
    pub(crate) fn figures(self) -> Vec<Figure> {
        let figure = |name, label, values| Figure { name, label, sample: Sample::Mean(values) };
        vec![
            figure("map", "MAP", self.map),
            figure("mrr@10", "MRR@10", self.mrr_at_10),
            figure("ndcg@10", "nDCG@10", self.ndcg_at_10),
            figure("p@1", "P@1", self.p_at_1),
            figure("p@5", "P@5", self.p_at_5),
        ]
    }
}
