//! The baseline that comes with AskUbuntu: candidates in the order in which BM25 found them.

use crate::metrics::error::MetricError;
use crate::metrics::ranking::mrr;
use crate::scores::{Figure, Scores, Unit};
use crate::sets::rerank_figures::RerankFigures;
use crate::statistics::sample::Sample;

/// The figures of the order of candidates in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Bm25Scores {
    /// Over every query with a positive, including those without negatives: the rule of the
    /// published figures. It includes the mean reciprocal rank over the whole list.
    pub published: Scores,
    /// Over the queries that a model is scored on: compare a model's figures with these.
    pub comparable: Scores,
}

impl Bm25Scores {
    /// The figures of rankings given as labels, best candidate first. (BM25's scores have ties; the
    /// order has none.)
    pub(crate) fn of(rankings: &[Vec<bool>]) -> Result<Self, MetricError> {
        let mut published = RerankFigures::default();
        let mut comparable = RerankFigures::default();
        let mut reciprocal_ranks = Vec::new();
        for relevant in rankings {
            // Metrics take scores, not ranks: any scores that fall with the rank will do.
            let falling: Vec<f32> = (0..relevant.len()).map(|rank| -(rank as f32)).collect();
            published.push(relevant, &falling)?;
            reciprocal_ranks.push(mrr(relevant, &falling, relevant.len())?);
            if relevant.contains(&false) {
                comparable.push(relevant, &falling)?;
            }
        }
        let scores = |figures: RerankFigures| Scores {
            count: figures.len(),
            figures: figures.figures(),
            unit: Unit::Queries,
            warnings: Vec::new(),
        };
        let comparable = scores(comparable);
        let mut published = scores(published);
        published.figures.push(Figure { name: "mrr", label: "MRR", sample: Sample::Mean(reciprocal_ranks) });
        Ok(Self { published, comparable })
    }
}
