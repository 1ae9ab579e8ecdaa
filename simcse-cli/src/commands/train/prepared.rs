//! A run that is ready to start or to resume.

use simcse_train::Trainer;

use crate::commands::train::data::Data;
use crate::report::Message;

/// A run that is ready, and what to tell the user about it.
pub(super) struct Prepared {
    pub(super) data: Data,
    pub(super) trainer: Trainer,
    /// Printed after the description of the run.
    pub(super) notes: Vec<Message>,
}
