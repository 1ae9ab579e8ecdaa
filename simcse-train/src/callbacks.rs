//! What the loop asks of its surroundings: scores of the model, and an audience.

use std::path::{Path, PathBuf};

use simcse_model::SentenceEncoder;

use crate::error::Result;
use crate::evaluation::Evaluation;
use crate::run::metrics::StepRecord;

/// What the training loop calls. Every method has a default that does nothing, so `&mut ()` is a host of its own.
///
/// transformers: `TrainerCallback`.
pub trait Callbacks {
    /// Scores the model on development sets. `None` without a development set, and where scoring stops early because
    /// [`Callbacks::stop_requested`].
    ///
    /// # Errors
    /// [`Error::Evaluation`](crate::Error::Evaluation).
    fn evaluate(&mut self, _encoder: &SentenceEncoder) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    /// Scores the final model on a test set. `None` without one, and where scoring stops early because
    /// [`Callbacks::stop_requested`].
    ///
    /// # Errors
    /// [`Error::Evaluation`](crate::Error::Evaluation).
    fn test(&mut self, _encoder: &SentenceEncoder) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    /// Files of an earlier run were moved out of the way and are now at `paths`.
    fn on_set_aside(&mut self, _paths: &[PathBuf]) {}

    /// One of `total_steps` steps is done.
    fn on_step_end(&mut self, _record: &StepRecord, _total_steps: u64) {}

    /// A checkpoint is on disk.
    fn on_save(&mut self, _checkpoint: &Path) {}

    /// Whether the run is to save a checkpoint and stop as soon as it can.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// Nothing to score, nobody to watch.
impl Callbacks for () {}
