//! The results of a run, as JSON and as text.

use std::path::PathBuf;

use serde_json::{Value, json};
use simcse_eval::Scores;
use simcse_eval::statistics::differences;
use simcse_model::io::{figure, format_bytes};
use simcse_train::memory::peak_memory;
use simcse_train::{Figures, MemoryPlan, Settings, Summary};

use crate::commands::train::embedded;
use crate::commands::train::scorer::{is_interval, plain};
use crate::commands::train::watcher::History;
use crate::figures::difference_line;
use crate::report::{self, counted};

/// The results of a run.
pub(super) struct Outcome {
    pub(super) output: PathBuf,
    pub(super) settings: Settings,
    /// Texts per example.
    pub(super) columns: usize,
    pub(super) summary: Summary,
    pub(super) baseline: Option<Figures>,
    pub(super) plan: MemoryPlan,
    pub(super) history: History,
}

impl Outcome {
    /// The number of texts that the steps have drawn; those of a sentence's two views are one.
    fn drawn(&self) -> u64 {
        self.summary.steps * (self.settings.examples_per_step() * self.columns) as u64
    }

    fn sentences_per_second(&self) -> f64 {
        self.drawn() as f64 / self.summary.train_seconds
    }

    pub(super) fn json(&self) -> Value {
        let Summary { steps, skipped, train_loss, cut, train_seconds, before, after, test, best_step, stopped_early } =
            &self.summary;
        json!({
            "output_dir": self.output,
            "steps": steps,
            "skipped_updates": skipped,
            "train_loss": train_loss,
            "cut": cut,
            "train_seconds": train_seconds,
            "sentences_per_second": self.sentences_per_second(),
            "predicted_memory_bytes": self.plan.peak,
            "peak_memory_bytes": peak_memory(),
            "best_step": best_step,
            "stopped_early": stopped_early,
            "before": before,
            "after": after,
            "test": test,
            "tf_idf": self.baseline,
        })
    }

    pub(super) fn text(&self) -> String {
        let Summary { steps, skipped, train_loss, cut, train_seconds, best_step, stopped_early, .. } = &self.summary;
        let speed = self.sentences_per_second();
        let memory = peak_memory().map(|bytes| format!(", at most {} of memory", format_bytes(bytes)));
        let mut text = format!(
            "{} in {train_seconds:.0} s ({speed:.1} sentences/s), mean loss {}{}\n",
            counted(*steps as usize, "step", "steps"),
            figure(*train_loss),
            memory.unwrap_or_default()
        );
        if *skipped > 0 {
            text += &format!("{skipped} of the steps had no update: their loss or gradient was not finite\n");
        }
        if *cut > 0 {
            let drawn = self.drawn();
            let most = self.settings.max_seq_length;
            let were = if *cut == 1 { "was" } else { "were" };
            text += &format!("{cut} of {drawn} sentences {were} longer than {most} tokens and {were} truncated\n");
        }
        if let Some(table) = self.table() {
            text += &format!("\n{table}\n\n");
        }
        text += &self.gains();
        if self.baseline.is_some() {
            text += &format!("{}\n\n", embedded::MEANING);
        }
        if *stopped_early {
            let patience = self.settings.early_stopping_patience.unwrap_or(0) as usize;
            let evaluations = counted(patience, "evaluation", "evaluations in a row");
            text += &format!("stopped early: {evaluations} without a better score\n");
        }
        if let Some(step) = best_step {
            text += &format!("the final model is that of step {step}, which scored best\n");
        }
        format!("{text}model: {}", self.output.display())
    }

    /// What training has done to the main figure of each development set, and how sure that is.
    fn gains(&self) -> String {
        let step = self.summary.best_step.unwrap_or(self.summary.steps);
        let of_set = |(before, after): (&Scores, &Scores)| {
            let main = differences(after, before).into_iter().next()?;
            Some(format!("{} by training: {}\n", main.label, difference_line(&main, after)))
        };
        let gains: String = self.history.before_and_after(step).into_iter().filter_map(of_set).collect();
        if gains.is_empty() { gains } else { gains + "\n" }
    }

    /// The figures of the development sets before and after training, those of the baseline if
    /// there is one, and those of the test set. Intervals are in the JSON output alone.
    fn table(&self) -> Option<String> {
        let Summary { before, after, test, .. } = &self.summary;
        let after = after.as_ref()?;
        let figure = |figures: &Option<Figures>, name: &str| figures.as_ref()?.get(name)?.as_f64();
        let names = |figures: &Figures| {
            let values = figures.keys().filter(|name| !is_interval(name));
            values.cloned().collect::<Vec<_>>()
        };
        let developed = names(after);
        let after = Some(after.clone());
        if let Some(baseline) = self.baseline.clone() {
            let baseline = Some(baseline);
            let row = |name: &String| [before, &after, &baseline].map(|figures| figure(figures, name));
            let rows: Vec<_> = developed.iter().map(|name| (plain(name), row(name))).collect();
            return Some(report::table(["before", "after", "TF-IDF"], &rows));
        }
        let tested = test.as_ref().map(names).unwrap_or_default();
        let row = |name: &String| [figure(before, name), figure(&after, name).or_else(|| figure(test, name))];
        let rows: Vec<_> = developed.iter().chain(&tested).map(|name| (plain(name), row(name))).collect();
        Some(report::table(["before", "after"], &rows))
    }
}
