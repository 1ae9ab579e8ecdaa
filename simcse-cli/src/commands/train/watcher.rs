//! Follows a run: shows its progress, scores its models and stops it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{HumanDuration, ProgressBar};
use simcse_model::SentenceEncoder;
use simcse_model::io::figure;
use simcse_train::{Callbacks, Error, Evaluation, StepRecord};

use crate::commands::train::scorer::{Scored, Scorer, test};
use crate::commands::train::time_left::TimeLeft;
use crate::report;
use crate::stop;

/// Shows a run's progress and scores its models.
pub(super) struct Watcher {
    scorer: Scorer,
    pub(super) bar: ProgressBar,
    time_left: TimeLeft,
    /// What the bar says about the last step.
    message: String,
    /// When the last step, evaluation or checkpoint ended.
    last_end: Instant,
}

impl Watcher {
    pub(super) fn new(scorer: Scorer, bar: ProgressBar, time_left: TimeLeft) -> Self {
        Self { scorer, bar, time_left, message: String::new(), last_end: Instant::now() }
    }

    /// Prints a line above the progress bar.
    fn note(&self, text: &str) {
        self.bar.suspend(|| report::note(text));
    }

    /// The seconds since the last event, and a new one.
    fn lap(&mut self) -> f64 {
        let seconds = self.last_end.elapsed().as_secs_f64();
        self.last_end = Instant::now();
        seconds
    }

    fn show_message(&self) {
        let left = self.time_left.after(self.bar.position());
        let left = left.map(|left| format!(", {:#} left", HumanDuration(left)));
        self.bar.set_message(self.message.clone() + &left.unwrap_or_default());
    }
}

impl Callbacks for Watcher {
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        self.last_end = Instant::now();
        let Some(Scored { figures, warnings, .. }) = self.scorer.score(encoder).map_err(failed)? else {
            return Ok(None);
        };
        let seconds = self.lap();
        self.time_left.on_evaluation(seconds);
        self.show_message();
        let metric = self.scorer.metric(&figures).map_err(|names| Error::Setting {
            setting: "choose-best-by".to_owned(),
            expected: format!("one of {names}"),
            found: self.scorer.choose_best_by.clone(),
        })?;
        let shown = figures
            .iter()
            .filter_map(|(name, value)| Some(format!("{} {:.4}", name.trim_start_matches("eval_"), value.as_f64()?)));
        let shown: Vec<_> = shown.collect();
        self.note(&format!("step {}: {}", self.bar.position(), shown.join(", ")));
        warnings.iter().for_each(|warning| self.note(&format!("warning: {warning}")));
        Ok(Some(Evaluation { figures, metric }))
    }

    fn test(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        match &self.scorer.test {
            Some(set) => test(&**set, encoder).map_err(failed),
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
        self.message = format!("loss {loss}, learning rate {learning_rate:.2e}, {sentences_per_second:.1} sentences/s");
        self.time_left.on_step(record.step_seconds);
        self.bar.set_position(*step);
        self.show_message();
        if record.skipped {
            self.note(&format!("warning: step {step}: loss or gradient is not finite; the update is skipped"));
        }
        let every = (total_steps / 10).max(1);
        if self.bar.is_hidden() && (step.is_multiple_of(every) || *step == 1) {
            self.note(&format!("step {step}/{total_steps}: {}", self.message));
        }
        self.last_end = Instant::now();
    }

    fn on_save(&mut self, checkpoint: &Path) {
        let seconds = self.lap();
        self.time_left.on_checkpoint(seconds);
        self.note(&format!("saved {}", checkpoint.display()));
    }

    fn stop_requested(&self) -> bool {
        stop::requested()
    }
}

fn failed(error: simcse_eval::Error) -> Error {
    Error::Evaluation(Box::new(error))
}
