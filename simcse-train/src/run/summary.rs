//! What a run has been so far.

use crate::evaluation::Figures;
use crate::run::progress::Progress;
use crate::settings::Settings;

/// What a finished run was.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Steps done.
    pub steps: u64,
    /// Those of them without an update, for their loss or gradient was not finite.
    pub skipped: u64,
    /// Mean loss over the updates.
    pub train_loss: f64,
    /// How often a sentence that was drawn had more tokens than `max_seq_length` and lost its end.
    pub cut: u64,
    /// Wall-clock seconds of the steps.
    pub train_seconds: f64,
    /// Figures before the first step.
    pub before: Option<Figures>,
    /// Figures of the final model.
    pub after: Option<Figures>,
    /// Figures of the final model on the test set.
    pub test: Option<Figures>,
    /// The step of the best evaluated model, if it was asked for: the final one is its.
    pub best_step: Option<u64>,
}

impl Summary {
    /// What a run has been so far.
    pub(crate) fn of(progress: &Progress, settings: &Settings) -> Self {
        let last = progress.log_history.last().and_then(|line| line["step"].as_u64());
        let best = progress.best_global_step.filter(|_| settings.load_best_model_at_end);
        Self {
            steps: progress.global_step,
            skipped: progress.skipped_updates,
            train_loss: progress.train_loss,
            cut: progress.cut,
            train_seconds: progress.train_seconds,
            before: progress.figures(0),
            after: best.or(last).filter(|&step| step > 0).and_then(|step| progress.figures(step)),
            test: None,
            best_step: best,
        }
    }
}
