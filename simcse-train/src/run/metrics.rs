//! The line that a step adds to `metrics.jsonl`, and the lines that are there.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::draws::Draw;
use crate::ranks::Traffic;
use crate::step::batch::TokenizedBatch;
use crate::step::gradient::StepLoss;

/// The figures of a step.
#[derive(Clone, Debug, Serialize)]
pub struct StepRecord {
    /// Steps done, including this one.
    pub step: u64,
    /// Epochs done, with a fraction.
    pub epoch: f64,
    /// The loss before the update; `null` in the file if it is not finite.
    pub loss: f32,
    /// The share of anchors whose positive is more similar to them than all other texts of their
    /// batch, among its first 256 anchors; not in the file unless there is a contrastive loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_batch_accuracy: Option<f64>,
    /// The mean cross-entropy of masked tokens; not in the file unless it is part of the loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlm_loss: Option<f64>,
    /// The share of masked tokens that were predicted; not in the file unless they are part of the
    /// loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlm_accuracy: Option<f64>,
    /// The learning rate of the update.
    pub learning_rate: f64,
    /// The norm of the gradient before clipping; `null` in the file if it is not finite.
    pub grad_norm: f64,
    /// Whether the update was skipped because the loss or the gradient is not finite; not in the
    /// file if there was an update.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Tokens of the texts; those of a sentence count once, although it is encoded twice.
    pub tokens: u64,
    /// The share of the texts that were too long and were truncated.
    pub cut_share: f64,
    /// Wall-clock seconds of the step.
    pub step_seconds: f64,
    /// Texts per second; a sentence counts once, although it is encoded twice.
    pub sentences_per_second: f64,
    /// Tokens per second; those of a sentence count once.
    pub tokens_per_second: f64,
    /// What this rank exchanged with others; not in the file unless there are any.
    #[serde(flatten)]
    pub traffic: Option<Traffic>,
}

impl StepRecord {
    pub(crate) fn new(
        step: u64,
        draw: &Draw,
        found: StepLoss,
        learning_rate: f64,
        grad_norm: f64,
        elapsed: Duration,
    ) -> Self {
        let StepLoss { loss, in_batch_accuracy, masked_lm } = found;
        let step_seconds = elapsed.as_secs_f64();
        let texts = draw.batches.iter().flat_map(TokenizedBatch::texts);
        let tokens: u64 = texts.map(|ids| ids.len() as u64).sum();
        let skipped = !(loss.is_finite() && grad_norm.is_finite());
        let sentences_per_second = draw.texts() as f64 / step_seconds;
        let tokens_per_second = tokens as f64 / step_seconds;
        Self {
            step,
            epoch: draw.epoch,
            loss,
            in_batch_accuracy,
            mlm_loss: masked_lm.map(|figures| figures.loss),
            mlm_accuracy: masked_lm.map(|figures| figures.accuracy),
            learning_rate,
            grad_norm,
            skipped,
            tokens,
            cut_share: draw.cut as f64 / draw.texts().max(1) as f64,
            step_seconds,
            sentences_per_second,
            tokens_per_second,
            traffic: None,
        }
    }
}

/// The lines of a log, in order.
pub(crate) fn logged(log: &Path) -> io::Result<impl Iterator<Item = io::Result<Map<String, Value>>>> {
    let lines = BufReader::new(File::open(log)?).lines();
    Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
}

/// The single values of a line, in order: of an interval `x`, they are `x_low` and `x_high`.
pub(crate) fn named_values(line: &Map<String, Value>) -> Vec<(String, &Value)> {
    let each = line.iter().flat_map(|(name, value)| match value.as_array().map(Vec::as_slice) {
        Some([low, high]) => vec![(format!("{name}_low"), low), (format!("{name}_high"), high)],
        _ => vec![(name.clone(), value)],
    });
    each.collect()
}
