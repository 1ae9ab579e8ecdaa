//! Follows a run: shows its progress, scores its models and stops it.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use simcse_model::SentenceEncoder;
use simcse_model::io::figure;
use simcse_train::{Callbacks, Error, Evaluation, StepRecord};

use crate::commands::train::scorer::{Scored, Scorer, evaluate};
use crate::report;
use crate::stop;

/// What to do if the embeddings of a model have collapsed.
const ADVICE: &str = "the run goes on; if this lasts, start again with a lower --learning-rate";

/// Shows a run's progress and scores its models.
pub(super) struct Watcher {
    scorer: Scorer,
    pub(super) bar: ProgressBar,
    /// Why the model can no longer be scored. The run then saves what it can and ends.
    pub(super) failure: Option<Error>,
    /// Whether the user has been told that the embeddings have collapsed.
    warned: bool,
}

impl Callbacks for Watcher {
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        let scored = match self.scorer.score(encoder) {
            // The data are as good as before, and so may be the weights: stop as if asked to.
            Err(error @ simcse_eval::Error::NotFinite { .. }) => {
                self.failure = Some(failed(error));
                return Ok(None);
            }
            scored => scored.map_err(failed)?,
        };
        let Some(Scored { evaluation, warnings }) = scored else { return Ok(None) };
        let step = self.bar.position();
        let figures =
            evaluation.figures.iter().filter(|(name, _)| !name.ends_with("_interval")).map(|(name, value)| {
                let value = value.as_f64().map_or("undefined".to_owned(), |value| format!("{value:.4}"));
                format!("{} {value}", name.trim_start_matches("eval_"))
            });
        self.note(&format!("step {step}: {}", figures.collect::<Vec<_>>().join(", ")));
        if !self.warned && !warnings.is_empty() {
            self.warned = true;
            self.note(&format!("warning: step {step}: {}; {ADVICE}", warnings.join("; ")));
        }
        Ok(Some(evaluation))
    }

    fn test(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        match &self.scorer.test {
            Some(set) => Ok(evaluate(set, encoder, "test").map_err(failed)?.map(|scored| scored.evaluation)),
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
        stop::requested() || self.failure.is_some()
    }
}

fn failed(error: simcse_eval::Error) -> Error {
    Error::Evaluation(Box::new(error))
}

impl Watcher {
    pub(super) fn new(scorer: Scorer, bar: ProgressBar) -> Self {
        Self { scorer, bar, failure: None, warned: false }
    }

    /// Prints a line above the progress bar.
    fn note(&self, text: &str) {
        self.bar.suspend(|| report::note(text));
    }
}
