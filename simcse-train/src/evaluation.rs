//! A model's scores, as a run records them.
//!
//! This file knows names and numbers. It must not know how they were computed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Named scores.
pub type Figures = Map<String, Value>;

/// Figures of the embeddings of a few fixed sentences, the probe of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Mean squared distance of embeddings that belong together, 0 to 4; lower is better.
    #[serde(rename = "probe_alignment")]
    pub alignment: f64,
    /// How evenly the embeddings cover the sphere, −8 to 0; lower is better.
    #[serde(rename = "probe_uniformity")]
    pub uniformity: f64,
    /// Mean cosine similarity of different sentences, −1 to 1.
    #[serde(rename = "probe_mean_cosine")]
    pub mean_cosine: f64,
    /// How many directions the embeddings spread over, 1 or more; 0 if all are zero.
    #[serde(rename = "probe_effective_rank")]
    pub effective_rank: f64,
}

/// The scores of one evaluation.
///
/// ```
/// use serde_json::json;
/// use simcse_train::{Evaluation, Figures};
///
/// let map = 0.56;
/// let figures = Figures::from_iter([("eval_map".to_owned(), json!(map))]);
/// let evaluation = Evaluation { figures, metric: map, has_labels: true };
/// # assert_eq!(evaluation.figures["eval_map"], evaluation.metric);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What `metrics.jsonl` records; the keys begin with `eval_` or `test_`.
    pub figures: Figures,
    /// What the best model is chosen by; higher is better. transformers: `metric_for_best_model`.
    pub metric: f64,
    /// Whether the metric comes from labels. One that does not, such as alignment, may get worse in
    /// a model that gets better.
    pub has_labels: bool,
}
