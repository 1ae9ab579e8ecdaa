//! The figures of a run so far, for its caller and the model card.

use crate::evaluation::Figures;
use crate::run::progress::Progress;
use crate::settings::Settings;

/// The figures of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Steps done.
    pub steps: u64,
    /// How many of them had no update because their loss or gradient was not finite.
    pub skipped: u64,
    /// Mean loss over the updates.
    pub train_loss: f64,
    /// How many of the texts drawn had more than `max_seq_length` tokens and were truncated.
    pub cut: u64,
    /// Wall-clock seconds of the steps.
    pub train_seconds: f64,
    /// Scores before the first step.
    pub before: Option<Figures>,
    /// Scores of the final model.
    pub after: Option<Figures>,
    /// Scores of the final model on the test set.
    pub test: Option<Figures>,
    /// The step of the final model, if that is the best evaluated one rather than the last one.
    pub best_step: Option<u64>,
    /// Whether the run ended before its last step, because evaluations stopped improving.
    pub stopped_early: bool,
}

impl Summary {
    /// The figures of a run with this progress.
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
            stopped_early: progress.out_of_patience(settings),
        }
    }
}
