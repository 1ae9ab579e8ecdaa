//! Follows a run: shows its progress, scores its models and stops it.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use simcse_model::SentenceEncoder;
use simcse_model::io::figure;
use simcse_train::{Callbacks, Error, Evaluation, StepRecord};

use crate::commands::train::scorer::{Scorer, evaluate};
use crate::report;
use crate::stop;

/// Shows a run's progress and scores its models.
pub(super) struct Watcher {
    pub(super) scorer: Scorer,
    pub(super) bar: ProgressBar,
}

impl Callbacks for Watcher {
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        let evaluation = self.scorer.score(encoder).map_err(failed)?;
        if let Some(evaluation) = &evaluation {
            let figures = evaluation.figures.iter().filter_map(|(name, value)| {
                Some(format!("{} {:.4}", name.trim_start_matches("eval_"), value.as_f64()?))
            });
            let figures: Vec<_> = figures.collect();
            self.note(&format!("step {}: {}", self.bar.position(), figures.join(", ")));
        }
        Ok(evaluation)
    }

    fn test(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        match &self.scorer.test {
            Some(set) => evaluate(set, encoder, "test").map_err(failed),
            None => Ok(None),
        }
    }

    fn on_set_aside(&mut self, paths: &[PathBuf]) {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        self.note(&format!("the earlier run's files were renamed to {}", names.join(" and ")));
    }

    fn on_step_end(&mut self, record: &StepRecord, total_steps: u64) {
        let StepRecord { step, loss, learning_rate, sentences_per_second, .. } = record;
        let loss = figure(f64::from(*loss));
        let text = format!("loss {loss}, learning rate {learning_rate:.2e}, {sentences_per_second:.1} sentences/s");
        self.bar.set_position(*step);
        self.bar.set_message(text.clone());
        if record.skipped {
            self.note(&format!("warning: step {step}: loss or gradient is not finite; the update is skipped"));
        }
        let every = (total_steps / 10).max(1);
        if self.bar.is_hidden() && (step.is_multiple_of(every) || *step == 1) {
            self.note(&format!("step {step}/{total_steps}: {text}"));
        }
    }

    fn on_save(&mut self, checkpoint: &Path) {
        self.note(&format!("saved {}", checkpoint.display()));
    }

    fn stop_requested(&self) -> bool {
        stop::requested()
    }
}

fn failed(error: simcse_eval::Error) -> Error {
    Error::Evaluation(Box::new(error))
}

impl Watcher {
    /// Prints a line above the progress bar.
    fn note(&self, text: &str) {
        self.bar.suspend(|| report::note(text));
    }
}
