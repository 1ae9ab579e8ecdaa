//! What the training loop calls back: to score the model, to report progress, and to be stopped.
//!
//! This file must not know evaluation sets or terminals.

use std::path::{Path, PathBuf};

use simcse_model::SentenceEncoder;

use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, Probed};
use crate::run::metrics::StepRecord;
use crate::warnings::warning::Warning;

/// What the training loop calls. Every method has a default that does nothing; `&mut ()` is a
/// complete implementation.
///
/// transformers: `TrainerCallback`.
///
/// ```
/// use simcse_train::{Callbacks, StepRecord};
///
/// /// Prints every step, and stops the run after ten.
/// #[derive(Default)]
/// struct FirstTen(u64);
///
/// impl Callbacks for FirstTen {
///     fn on_step_end(&mut self, record: &StepRecord, total_steps: u64) {
///         println!("step {} of {total_steps}: loss {:.3}", record.step, record.loss);
///         self.0 = record.step;
///     }
///
///     fn stop_requested(&self) -> bool {
///         self.0 >= 10
///     }
/// }
/// # use simcse_train::{Error, Examples, Settings, Trainer};
/// # mod common { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_model.rs")); }
/// # let texts: Vec<String> = (0..40).map(|i| format!("sentence {i}")).collect();
/// # let encoder = common::small_model(&texts);
/// # let sentences = Examples::from_texts("test", &texts, 1)?;
/// # let settings = Settings { batch_size: 2, ..Settings::for_model(&encoder) };
/// # let output = tempfile::tempdir().unwrap();
/// # let trainer = Trainer::new(encoder, &sentences, settings, output.path().join("model"))?;
/// # let mut callbacks = FirstTen::default();
///
/// let result = trainer.train(&mut callbacks);
/// assert!(matches!(result, Err(Error::Stopped { step: 10, .. })));
/// # Ok::<(), Error>(())
/// ```
pub trait Callbacks {
    /// Scores the model on development sets. Returns `None` if there is none, or if scoring ended
    /// early because of [`Callbacks::stop_requested`].
    ///
    /// # Errors
    /// [`Error::Evaluation`](crate::Error::Evaluation).
    fn evaluate(&mut self, _encoder: &SentenceEncoder) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    /// Scores the final model on a test set. Returns `None` if there is none, or if scoring ended
    /// early because of [`Callbacks::stop_requested`].
    ///
    /// # Errors
    /// [`Error::Evaluation`](crate::Error::Evaluation).
    fn test(&mut self, _encoder: &SentenceEncoder) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    /// How many texts [`Callbacks::probe`] encodes; 0 if it does nothing.
    fn probed_texts(&self) -> usize {
        0
    }

    /// Measures the embeddings of the run's probe: before the first step, every `logging_steps`
    /// steps, and after the last one. The figures are a function of the model alone.
    ///
    /// # Errors
    /// [`Error::Evaluation`](crate::Error::Evaluation).
    fn probe(&mut self, _encoder: &SentenceEncoder) -> Result<Option<Probed>> {
        Ok(None)
    }

    /// Something is wrong with the run, which goes on. Each warning is given once in a run.
    fn on_warning(&mut self, _step: u64, _warning: &Warning) {}

    /// A file of `report_to` cannot be written. The run goes on without it.
    fn on_report_failed(&mut self, _error: &Error) {}

    /// Files of an earlier run were set aside; `paths` are their new names.
    fn on_set_aside(&mut self, _paths: &[PathBuf]) {}

    /// One of `total_steps` steps is done.
    fn on_step_end(&mut self, _record: &StepRecord, _total_steps: u64) {}

    /// A checkpoint has been saved and will survive a crash.
    fn on_save(&mut self, _checkpoint: &Path) {}

    /// Whether to save a checkpoint and stop, as soon as the current step is done.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// No scores, no reports, no stop.
impl Callbacks for () {}
