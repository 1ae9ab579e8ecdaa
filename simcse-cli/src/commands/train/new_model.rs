//! Models that are made for a run.

use simcse_model::SentenceEncoder;
use simcse_train::{Examples, Settings};

use crate::error::Failure;

/// A model that does not exist before the run that trains it.
pub(crate) trait NewModel {
    /// What it is called in the run's record.
    fn name(&self) -> String;

    /// The settings of a run that trains it, unless flags say otherwise.
    fn settings(&self) -> Settings;

    /// The model, with random weights.
    fn build(&self, examples: &Examples, settings: &Settings) -> Result<SentenceEncoder, Failure>;
}
