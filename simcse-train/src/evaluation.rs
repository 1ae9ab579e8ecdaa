//! A model's scores, as a run records them.

use serde_json::{Map, Value};

/// Named scores.
pub type Figures = Map<String, Value>;

/// The scores of one evaluation.
///
/// ```
/// use serde_json::json;
/// use simcse_train::{Evaluation, Figures};
///
/// let map = 0.56;
/// let figures = Figures::from_iter([("eval_map".to_owned(), json!(map))]);
/// let evaluation = Evaluation { figures, metric: map };
/// # assert_eq!(evaluation.figures["eval_map"], evaluation.metric);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What `metrics.jsonl` records; the keys begin with `eval_` or `test_`.
    pub figures: Figures,
    /// What the best model is chosen by; higher is better. transformers: `metric_for_best_model`.
    pub metric: f64,
}
