//! Scores of a model, as a run records them.

use serde_json::{Map, Value};

/// Named scores.
pub type Figures = Map<String, Value>;

/// The scores of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// For `metrics.jsonl`, under keys that begin with `eval_` or `test_`.
    pub figures: Figures,
    /// What the best model is chosen by; higher is better.
    pub objective: f64,
}
