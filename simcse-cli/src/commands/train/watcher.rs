//! Follows a run: shows its progress, scores its models and stops it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{HumanDuration, ProgressBar};
use simcse_eval::Scores;
use simcse_model::SentenceEncoder;
use simcse_model::io::figure;
use simcse_train::{Callbacks, Error, Evaluation, Probed, StepRecord, Warning};

use crate::commands::train::follow::Follow;
use crate::commands::train::scorer::{Scored, Scorer, is_interval, plain, test};
use crate::commands::train::time_left::TimeLeft;
use crate::error::Failure;
use crate::report::{self, Verbosity};
use crate::stop;

/// What to do if the embeddings of a model have collapsed.
const ADVICE: &str = "the run goes on; if this lasts, start again with a lower --learning-rate";

/// Shows a run's progress and scores its models.
pub(super) struct Watcher {
    scorer: Scorer,
    pub(super) follow: Follow,
    pub(super) bar: ProgressBar,
    time_left: TimeLeft,
    /// What the bar says about the last step.
    message: String,
    /// When the last step, evaluation or checkpoint ended.
    last_end: Instant,
    pub(super) history: History,
    /// Why the model can no longer be scored. The run then saves what it can and ends.
    pub(super) failure: Option<Error>,
    /// Whether the user has been told that something is wrong with the embeddings.
    warned: bool,
    /// Whether the user has been told that the page that shows the run cannot be written.
    write_failed: bool,
}

/// The scores of the models that may be compared at the end of a run.
#[derive(Default)]
pub(super) struct History {
    /// The model before the first step, the best one after it, and the last one, each with its step
    /// and its metric.
    before: Option<Vec<Scores>>,
    best: Option<(u64, f64, Vec<Scores>)>,
    last: Option<(u64, Vec<Scores>)>,
}

impl History {
    fn add(&mut self, step: u64, metric: f64, scores: Vec<Scores>) {
        if step == 0 {
            self.before = Some(scores);
            return;
        }
        if self.best.as_ref().is_none_or(|(_, best, _)| metric > *best) {
            self.best = Some((step, metric, scores.clone()));
        }
        self.last = Some((step, scores));
    }

    /// The scores of each set by the model before the first step and by that of `step`; nothing if
    /// one of them was not scored by this process.
    pub(super) fn before_and_after(&self, step: u64) -> Vec<(&Scores, &Scores)> {
        let best = self.best.iter().map(|(step, _, scores)| (step, scores));
        let last = self.last.iter().map(|(step, scores)| (step, scores));
        let after = best.chain(last).find(|&(&of, _)| of == step).map(|(_, scores)| scores);
        self.before.iter().flatten().zip(after.into_iter().flatten()).collect()
    }
}

impl Watcher {
    pub(super) fn new(scorer: Scorer, follow: Follow, bar: ProgressBar, time_left: TimeLeft) -> Self {
        Self {
            scorer,
            follow,
            bar,
            time_left,
            message: String::new(),
            last_end: Instant::now(),
            history: History::default(),
            failure: None,
            warned: false,
            write_failed: false,
        }
    }

    /// Says something above the progress bar.
    fn note(&self, text: &str) {
        self.bar.suspend(|| report::note(text));
    }

    /// Warns above the progress bar.
    fn warn(&self, text: &str) {
        self.bar.suspend(|| report::warn(text));
    }

    /// Prints the figures of this step's model, and the first time that something is wrong with its
    /// embeddings, what that is.
    fn show_figures(&mut self, scored: &Scored) {
        let step = self.bar.position();
        let figures = scored.figures.iter().filter(|(name, _)| !is_interval(name)).map(|(name, value)| {
            let value = value.as_f64().map_or("undefined".to_owned(), |value| format!("{value:.4}"));
            format!("{} {value}", plain(name))
        });
        self.note(&format!("step {step}: {}", figures.collect::<Vec<_>>().join(", ")));
        if !self.warned && !scored.warnings.is_empty() {
            self.warned = true;
            self.warn(&format!("step {step}: {}; {ADVICE}", scored.warnings.join("; ")));
        }
    }

    /// Writes the page that shows the run. The run matters more: a failure is a warning, the first
    /// time.
    pub(super) fn write_page(&mut self) {
        if !self.scorer.ranks.is_first() {
            return;
        }
        let Err(Failure::Failed(message)) = self.follow.write() else { return };
        if !self.write_failed {
            self.warn(&format!("the page that shows the run: {message}"));
        }
        self.write_failed = true;
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
        let message = Some(&self.message).filter(|message| !message.is_empty()).map(|message| format!(", {message}"));
        self.bar.set_message(message.unwrap_or_default() + &left.unwrap_or_default());
    }
}

impl Callbacks for Watcher {
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        self.last_end = Instant::now();
        let scored = match self.scorer.score(encoder) {
            // The data are as good as before, and so may be the weights: stop as if asked to.
            Err(error @ simcse_eval::Error::NotFinite { .. }) => {
                self.failure = Some(failed(error));
                return Ok(None);
            }
            scored => scored.map_err(failed)?,
        };
        let Some(scored) = scored else { return Ok(None) };
        let seconds = self.lap();
        self.time_left.on_evaluation(seconds);
        self.show_message();
        self.show_figures(&scored);
        let (metric, has_labels) = scored.metric(&self.scorer.choose_best_by).map_err(|names| Error::Setting {
            setting: "choose-best-by".to_owned(),
            expected: format!("one of {names}"),
            found: self.scorer.choose_best_by.clone(),
        })?;
        let evaluation = Evaluation { figures: scored.figures, metric, has_labels };
        self.follow.is_old = true;
        self.history.add(self.bar.position(), metric, scored.scores);
        Ok(Some(evaluation))
    }

    fn test(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        match &self.scorer.test {
            Some(set) => test(&**set, encoder, &self.scorer.ranks).map_err(failed),
            None => Ok(None),
        }
    }

    fn probed_texts(&self) -> usize {
        self.follow.texts()
    }

    fn probe(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Probed>> {
        self.follow.probe(encoder, self.bar.position()).map_err(failed)
    }

    fn on_warning(&mut self, step: u64, warning: &Warning) {
        let step = if step == 0 { String::new() } else { format!("step {step}: ") };
        self.warn(&format!("{step}{warning}"));
        self.follow.is_old = true;
    }

    fn on_report_failed(&mut self, error: &Error) {
        self.warn(&format!("--report-to: {error}; the run goes on without it"));
    }

    fn on_set_aside(&mut self, paths: &[PathBuf]) {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        self.note(&format!("the earlier run's files were renamed to {}", names.join(" and ")));
    }

    fn on_step_end(&mut self, record: &StepRecord, total_steps: u64) {
        let StepRecord { step, loss, learning_rate, sentences_per_second, .. } = record;
        let loss = figure(f64::from(*loss));
        let rate = if *learning_rate == 0.0 { "0".to_owned() } else { format!("{learning_rate:.2e}") };
        self.message = format!("loss {loss}, learning rate {rate}, {sentences_per_second:.1} sentences/s");
        self.time_left.on_step(record.step_seconds);
        self.bar.set_position(*step);
        self.show_message();
        if self.follow.is_old {
            self.write_page();
        }
        let verbose = report::prints(Verbosity::Verbose);
        let every = if verbose { 1 } else { (total_steps / 10).max(1) };
        if (self.bar.is_hidden() || verbose) && (step.is_multiple_of(every) || *step == 1) {
            self.note(&format!("step {step}/{total_steps}: {}", self.message));
        }
        self.last_end = Instant::now();
    }

    fn on_save(&mut self, checkpoint: &Path) {
        let seconds = self.lap();
        self.time_left.on_checkpoint(seconds);
        self.note(&format!("saved {}", checkpoint.display()));
        self.write_page();
    }

    fn stop_requested(&self) -> bool {
        stop::requested() || self.failure.is_some()
    }
}

fn failed(error: simcse_eval::Error) -> Error {
    Error::Evaluation(Box::new(error))
}
