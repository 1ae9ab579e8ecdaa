//! The results of a run, as JSON and as text.

use std::path::PathBuf;

use serde_json::{Value, json};
use simcse_model::io::{figure, format_bytes};
use simcse_train::memory::peak_memory;
use simcse_train::{Figures, MemoryPlan, Settings, Summary};

use crate::commands::train::embedded;
use crate::report::{self, counted};

/// The results of a run.
pub(super) struct Outcome {
    pub(super) output: PathBuf,
    pub(super) settings: Settings,
    pub(super) summary: Summary,
    pub(super) baseline: Option<Figures>,
    pub(super) plan: MemoryPlan,
}

impl Outcome {
    fn sentences_per_second(&self) -> f64 {
        self.summary.steps as f64 * self.settings.sentences_per_step() as f64 / self.summary.train_seconds
    }

    pub(super) fn json(&self) -> Value {
        let Summary { steps, skipped, train_loss, cut, train_seconds, before, after, test, best_step } = &self.summary;
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
            "before": before,
            "after": after,
            "test": test,
            "tf_idf": self.baseline,
        })
    }

    pub(super) fn text(&self) -> String {
        let Summary { steps, skipped, train_loss, cut, train_seconds, best_step, .. } = &self.summary;
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
            let drawn = steps * self.settings.sentences_per_step() as u64;
            let most = self.settings.max_seq_length;
            text += &format!("{cut} of {drawn} sentences were longer than {most} tokens and were truncated\n");
        }
        if let Some(table) = self.table() {
            text += &format!("\n{table}\n\n");
        }
        if self.baseline.is_some() {
            text += &format!("{}\n\n", embedded::MEANING);
        }
        if let Some(step) = best_step {
            text += &format!("the final model is that of step {step}, which scored best\n");
        }
        format!("{text}model: {}", self.output.display())
    }

    /// The figures of the development sets before and after training, those of the baseline if
    /// there is one, and those of the test set.
    fn table(&self) -> Option<String> {
        let Summary { before, after, test, .. } = self.summary.clone();
        let [before, after, test] = [before, after, test].map(Option::unwrap_or_default);
        let figure = |figures: &Figures, name: &String| figures.get(name).and_then(Value::as_f64);
        // Intervals are in the JSON output alone.
        let names = |figures: &Figures| {
            let values = figures.iter().filter(|(name, _)| !name.ends_with("_interval"));
            values.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let after_names = names(&after);
        let test_names = names(&test);
        match &self.baseline {
            _ if after.is_empty() => None,
            Some(baseline) => {
                let names = after_names.iter().map(|name| (plain(name), name));
                let row = |(shown, name)| (shown, [&before, &after, baseline].map(|figures| figure(figures, name)));
                Some(report::table(["before", "after", "TF-IDF"], &names.map(row).collect::<Vec<_>>()))
            }
            None => {
                let names = after_names.iter().map(|name| (plain(name), name));
                let names = names.chain(test_names.iter().map(|name| (&name[..], name)));
                let after = |name| figure(&after, name).or_else(|| figure(&test, name));
                let row = |(shown, name)| (shown, [figure(&before, name), after(name)]);
                Some(report::table(["before", "after"], &names.map(row).collect::<Vec<_>>()))
            }
        }
    }
}

fn plain(name: &str) -> &str {
    name.trim_start_matches("eval_")
}
