//! What the loop asks of its surroundings: scores of the model, and an audience.

use std::path::Path;

use serde_json::{Map, Value};
use simcse_model::SentenceEncoder;

use crate::error::Result;
use crate::run::metrics::StepRecord;

/// Figures by name.
pub type Figures = Map<String, Value>;

/// The figures of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// For `metrics.jsonl`, under keys that begin with `eval_`, or `test_`.
    pub figures: Figures,
    /// What the best model is chosen by, the higher the better.
    pub objective: f64,
}

/// What the loop asks of its surroundings: to score the model, and to be watched.
pub trait Host {
    /// Scores the model on development sets: figures for the log by name, and the one by which models are compared, the
    /// higher the better. `None` without a development set, and when it stops early because it is asked to.
    ///
    /// # Errors
    /// [`Error::Evaluation`].
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> Result<Option<Evaluation>>;

    /// Scores the final model on a test set: figures for the log, under keys that begin with `test_`. `None` without one,
    /// and when it stops early because it is asked to.
    ///
    /// # Errors
    /// [`Error::Evaluation`].
    fn test(&mut self, _encoder: &SentenceEncoder) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    /// One of `total_steps` steps is done.
    fn stepped(&mut self, record: &StepRecord, total_steps: u64);

    /// A checkpoint is on disk.
    fn saved(&mut self, checkpoint: &Path);

    /// Whether the run is to save a checkpoint and stop as soon as it can.
    fn stop_requested(&self) -> bool {
        false
    }
}
