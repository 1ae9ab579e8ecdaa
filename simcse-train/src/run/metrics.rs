//! A line of `metrics.jsonl`.

use std::time::Duration;

use serde::Serialize;

/// What a step was.
#[derive(Clone, Debug, Serialize)]
pub struct StepRecord {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// The batch's loss before the update; not finite is `null`.
    pub loss: f32,
    /// The update's learning rate.
    pub learning_rate: f64,
    /// Length of the gradient before clipping; not finite is `null`.
    pub grad_norm: f64,
    /// Whether there was no update, for loss or gradient were not finite; left out if there was one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Wall-clock seconds of the step.
    pub step_seconds: f64,
    /// Sentences per second; each counts once, though it is encoded twice.
    pub sentences_per_second: f64,
    /// Tokens of those sentences per second.
    pub tokens_per_second: f64,
}

impl StepRecord {
    pub(crate) fn new(
        step: u64,
        epoch: f64,
        loss: f32,
        learning_rate: f64,
        grad_norm: f64,
        sentences: &[Vec<u32>],
        took: Duration,
    ) -> Self {
        let step_seconds = took.as_secs_f64();
        let tokens: usize = sentences.iter().map(Vec::len).sum();
        let skipped = !(loss.is_finite() && grad_norm.is_finite());
        let sentences_per_second = sentences.len() as f64 / step_seconds;
        let tokens_per_second = tokens as f64 / step_seconds;
        Self {
            step,
            epoch,
            loss,
            learning_rate,
            grad_norm,
            skipped,
            step_seconds,
            sentences_per_second,
            tokens_per_second,
        }
    }
}
