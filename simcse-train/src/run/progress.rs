//! The progress of a run: `trainer_state.json`, with the names of transformers' `TrainerState`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, Figures};
use crate::run::metrics::StepRecord;
use crate::settings::Settings;
use crate::warnings::watch::Watch;

/// Name of the file.
const TRAINER_STATE: &str = "trainer_state.json";
/// After this many steps in a row without a finite gradient, the run is given up.
const MAX_SKIPPED: u32 = 5;

/// The state of a run, except for its weights and the optimizer's moments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Steps done, including those without an update.
    pub(crate) global_step: u64,
    /// Epochs done, with a fraction.
    pub(crate) epoch: f64,
    /// Evaluations, one line each; that of step 0 comes first.
    pub(crate) log_history: Vec<Map<String, Value>>,
    /// The highest metric of an evaluation after step 0.
    pub(crate) best_metric: Option<f64>,
    /// The step of that evaluation.
    pub(crate) best_global_step: Option<u64>,
    /// How many evaluations in a row, up to the last one, have not raised the best metric by more
    /// than `early_stopping_threshold`. transformers: `early_stopping_patience_counter`.
    #[serde(default)]
    pub(crate) early_stopping_patience_counter: u64,
    /// Steps whose loss or gradient was not finite.
    pub(crate) skipped_updates: u64,
    /// The number of such steps since the last update.
    pub(crate) skipped_in_a_row: u32,
    /// How many of the sentences drawn were truncated.
    pub(crate) cut: u64,
    /// Mean loss over the updates.
    pub(crate) train_loss: f64,
    /// Wall-clock seconds of the steps.
    pub(crate) train_seconds: f64,
    /// What warnings depend on, and which have been given.
    #[serde(default)]
    pub(crate) watch: Watch,
}

/// The content of the file: the progress, and what else transformers writes.
#[derive(Serialize)]
struct TrainerState<'a> {
    #[serde(flatten)]
    progress: &'a Progress,
    best_model_checkpoint: Option<String>,
    max_steps: u64,
    num_train_epochs: u32,
    train_batch_size: usize,
    save_steps: u64,
    eval_steps: Option<u64>,
}

impl Progress {
    /// The number of updates that the optimizer has made.
    pub(crate) fn updates(&self) -> u64 {
        self.global_step - self.skipped_updates
    }

    /// Adds a step, in which `cut` sentences were truncated.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if too many steps in a row had no update.
    pub(crate) fn add(&mut self, record: &StepRecord, cut: u64) -> Result<()> {
        self.cut += cut;
        if record.skipped {
            self.skipped_updates += 1;
            self.skipped_in_a_row += 1;
        } else {
            let before = self.updates() as f64;
            self.train_loss = (self.train_loss * before + f64::from(record.loss)) / (before + 1.0);
            self.skipped_in_a_row = 0;
        }
        self.train_seconds += record.step_seconds;
        self.global_step = record.step;
        self.epoch = record.epoch;
        if self.skipped_in_a_row < MAX_SKIPPED {
            return Ok(());
        }
        let StepRecord { step, loss, grad_norm, .. } = *record;
        Err(Error::NotFinite { step, steps: MAX_SKIPPED, loss, grad_norm })
    }

    /// Whether this step's model has been evaluated already.
    pub(crate) fn is_evaluated(&self) -> bool {
        self.log_history.last().is_some_and(|line| line["step"] == self.global_step)
    }

    /// A log line about this step's model.
    pub(crate) fn line(&self, figures: Figures) -> Map<String, Value> {
        let step = [("step".to_owned(), json!(self.global_step)), ("epoch".to_owned(), json!(self.epoch))];
        step.into_iter().chain(figures).collect()
    }

    /// Adds an evaluation and returns whether it is the best one so far; that of step 0 never is.
    ///
    /// Patience is counted as by transformers' `EarlyStoppingCallback`: an evaluation must raise
    /// the best metric by more than `threshold`.
    pub(crate) fn add_evaluation(&mut self, evaluation: &Evaluation, threshold: f64) -> bool {
        self.log_history.push(self.line(evaluation.figures.clone()));
        if self.global_step == 0 {
            return false;
        }
        let raised_by = |gain: f64| self.best_metric.is_none_or(|best| evaluation.metric - best > gain);
        let better = raised_by(0.0);
        self.early_stopping_patience_counter =
            if raised_by(threshold) { 0 } else { self.early_stopping_patience_counter + 1 };
        if better {
            self.best_metric = Some(evaluation.metric);
            self.best_global_step = Some(self.global_step);
        }
        better
    }

    /// Whether as many evaluations in a row as the settings allow were no better than the best one.
    pub(crate) fn out_of_patience(&self, settings: &Settings) -> bool {
        let counter = self.early_stopping_patience_counter;
        settings.early_stopping_patience.is_some_and(|patience| counter >= patience)
    }

    /// The figures of the evaluation at `step`.
    pub(crate) fn figures(&self, step: u64) -> Option<Map<String, Value>> {
        let mut figures = self.log_history.iter().find(|line| line["step"] == step)?.clone();
        figures.retain(|name, _| name != "step" && name != "epoch");
        Some(figures)
    }

    /// Reads the `trainer_state.json` of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(crate) fn read(checkpoint: &Path) -> Result<Self> {
        let file = checkpoint.join(TRAINER_STATE);
        let text = std::fs::read_to_string(&file);
        let state = text.map_err(|error| error.to_string());
        let state = state.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        state.and_then(Self::checked).map_err(|found| Error::Damaged {
            file,
            expected: "the state of a trainer".to_owned(),
            found,
        })
    }

    /// Checks what other methods rely on: anyone can write a state and a manifest that agrees with
    /// it.
    fn checked(self) -> std::result::Result<Self, String> {
        if self.skipped_updates > self.global_step {
            return Err(format!("{} skipped of {} steps", self.skipped_updates, self.global_step));
        }
        // An epoch has at least one step.
        let most = self.global_step.min(u32::MAX.into()) as f64;
        if !(0.0..=most).contains(&self.epoch) {
            return Err(format!("{} epochs after {} steps", self.epoch, self.global_step));
        }
        if self.log_history.iter().any(|line| !line.contains_key("step")) {
            return Err("an evaluation without its step".to_owned());
        }
        Ok(self)
    }

    /// Writes the `trainer_state.json` of a checkpoint.
    ///
    /// # Errors
    /// As [`simcse_model::io::write_bytes`].
    pub(crate) fn write(&self, checkpoint: &Path, settings: &Settings, max_steps: u64) -> Result<()> {
        let state = TrainerState {
            progress: self,
            best_model_checkpoint: self.best_global_step.map(|step| format!("checkpoint-{step}")),
            max_steps,
            num_train_epochs: settings.epochs,
            train_batch_size: settings.batch_size,
            save_steps: settings.save_steps,
            eval_steps: settings.eval_steps,
        };
        let text = serde_json::to_string_pretty(&state).expect("a state is JSON") + "\n";
        Ok(simcse_model::io::write_bytes(&checkpoint.join(TRAINER_STATE), text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::draws::Draw;
    use crate::step::gradient::StepLoss;

    fn record(step: u64, loss: f32, grad_norm: f64) -> StepRecord {
        StepRecord::new(
            step,
            &Draw { epoch: step as f64 / 10.0, batches: Vec::new(), cut: 0 },
            StepLoss { loss, ..StepLoss::default() },
            1e-3,
            grad_norm,
            Duration::from_secs(1),
        )
    }

    #[test]
    fn skipped_steps_are_counted_and_change_nothing_else() {
        let mut progress = Progress::default();
        progress.add(&record(1, 2.0, 1.0), 0).unwrap();
        for step in 2..6 {
            progress.add(&record(step, 3.0, f64::INFINITY), 0).unwrap();
        }
        progress.add(&record(6, 4.0, 1.0), 0).unwrap();
        assert_eq!((progress.train_loss, progress.updates(), progress.skipped_updates), (3.0, 2, 4));
        (7..11).for_each(|step| progress.add(&record(step, f32::NAN, f64::NAN), 0).unwrap());
        let error = progress.add(&record(11, f32::NAN, f64::NAN), 0).unwrap_err();
        assert!(error.to_string().contains("5 steps in a row"), "{error}");
    }

    #[test]
    fn progress_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut progress = Progress { train_loss: 0.1 + 0.2, ..Progress::default() };
        let evaluation = |metric: f64| Evaluation {
            figures: Map::from_iter([("eval_map".into(), json!(metric))]),
            metric,
            has_labels: true,
        };
        assert!(!progress.add_evaluation(&evaluation(0.9), 0.0), "the model before training");
        progress.add(&record(1, 1.0, 1.0), 0).unwrap();
        assert!(progress.add_evaluation(&evaluation(1.0 / 3.0), 0.0));
        progress.add(&record(2, 1.0, 1.0), 0).unwrap();
        assert!(!progress.add_evaluation(&evaluation(1.0 / 3.0), 0.0), "the first of equals");
        progress.write(dir.path(), &Settings::default(), 9).unwrap();
        let read = Progress::read(dir.path()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{progress:?}"));
        assert_eq!(read.figures(1).unwrap()["eval_map"], 1.0 / 3.0);
        assert!(read.is_evaluated());
    }

    /// The counters were noted from transformers' `EarlyStoppingCallback` with these metrics.
    #[test]
    fn patience_is_that_of_transformers() {
        let counters = |metrics: &[f64], threshold| -> Vec<u64> {
            let mut progress = Progress { global_step: 1, ..Progress::default() };
            let mut add = |&metric| {
                progress.add_evaluation(&Evaluation { figures: Map::new(), metric, has_labels: true }, threshold);
                progress.early_stopping_patience_counter
            };
            metrics.iter().map(&mut add).collect()
        };
        assert_eq!(counters(&[0.5, 0.5, 0.6, 0.4, 0.61], 0.0), [0, 1, 0, 1, 0]);
        // Gains of 0.01 each raise the best metric, but not by more than the threshold.
        assert_eq!(counters(&[0.5, 0.51, 0.52, 0.6], 0.05), [0, 1, 2, 0]);
    }

    #[test]
    fn an_impossible_state_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let skipped = Progress { global_step: 1, skipped_updates: 2, ..Progress::default() };
        let ahead = Progress { global_step: 1, epoch: 1.5, ..Progress::default() };
        let nowhere = Progress { log_history: vec![Map::new()], ..Progress::default() };
        for (progress, message) in [
            (skipped, "2 skipped of 1 steps"),
            (ahead, "1.5 epochs after 1 steps"),
            (nowhere, "an evaluation without its step"),
        ] {
            progress.write(dir.path(), &Settings::default(), 9).unwrap();
            let error = Progress::read(dir.path()).unwrap_err().to_string();
            assert!(error.ends_with(message), "{error}");
        }
    }
}
