//! A run that is ready to start or to resume.

use simcse_train::Trainer;

use crate::commands::train::data::Data;

/// A run that is ready, and what to tell the user about it.
pub(super) struct Prepared {
    pub(super) data: Data,
    pub(super) trainer: Trainer,
    /// Printed after the description of the run, one line each.
    pub(super) notes: Vec<String>,
}
