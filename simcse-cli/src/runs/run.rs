//! One run.

use std::path::{Path, PathBuf};

use crate::error::Failure;
use crate::runs::figures::{Score, Scored, has_labels};
use crate::runs::log::{Log, METRICS};
use crate::runs::record::{RECORD, Record};

/// A run, as far as its files tell.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) path: PathBuf,
    /// What tells it from the runs next to it: a part of its path.
    pub(crate) name: String,
    pub(crate) record: Record,
    pub(crate) log: Log,
}

impl Run {
    /// Reads the run in `path`.
    ///
    /// # Errors
    /// What is wrong with its record or its log.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let record = Record::read(path)?;
        if !record.is_of_a_run() {
            let record = path.join(RECORD);
            return Err(Failure::Failed(format!(
                "{}: expected the record of a run, found no settings",
                record.display()
            )));
        }
        let name = path.display().to_string();
        Ok(Self { path: path.to_path_buf(), name, record, log: Log::read(path)? })
    }

    /// Whether there is the log of a run in `path`.
    pub(crate) fn is_logged(path: &Path) -> bool {
        path.join(METRICS).is_file()
    }

    /// Which of a run's two files are in `path`: the record and the log.
    pub(super) fn files(path: &Path) -> [bool; 2] {
        [RECORD, METRICS].map(|name| path.join(name).is_file())
    }

    /// Steps done.
    pub(crate) fn steps(&self) -> u64 {
        self.log.steps.last().map_or(0, |step| step.step)
    }

    /// Steps of the whole run; unknown in runs of earlier versions that counted epochs.
    pub(crate) fn total_steps(&self) -> Option<u64> {
        self.record.total_steps()
    }

    /// Whether the final model is there.
    pub(crate) fn is_finished(&self) -> bool {
        self.path.join("model.safetensors").is_file()
    }

    /// The loss of the last step; `None` if it is not finite.
    pub(crate) fn loss(&self) -> Option<f64> {
        self.log.steps.last()?.loss
    }

    /// Wall-clock seconds of the steps.
    pub(crate) fn seconds(&self) -> f64 {
        self.log.steps.iter().map(|step| step.step_seconds).sum()
    }

    /// The figure that tells most of the run: the one that its settings choose models by; or else
    /// the first one of its first development set; or, without labels, how well masked tokens are
    /// predicted, or corrupted sentences found.
    pub(crate) fn main_figure(&self) -> Option<Scored> {
        let figures = self.log.development();
        let chosen = self.record.setting("choose_best_by");
        let named = |name: &str| figures.iter().find(|figure| figure.name == name);
        let found = match chosen {
            Some(name) => named(&name),
            None => figures.iter().find(|figure| has_labels(&figure.name)),
        };
        found.or_else(|| named("mlm_loss")).or_else(|| named("unlabeled_corruption_mrr")).cloned()
    }

    /// The best model's step, by the figure that the run compares its models by: unless its
    /// settings name one, the first of all.
    fn best_step(&self) -> Option<u64> {
        let chosen = self.record.setting("choose_best_by");
        let mut figures = self.log.development().into_iter();
        let figure = figures.find(|figure| chosen.as_ref().is_none_or(|name| *name == figure.name))?;
        figure.best().map(|score| score.step)
    }

    /// The score of the model that the run ends with, or would end with now.
    pub(crate) fn final_score(&self, figure: &Scored) -> Option<Score> {
        if self.record.setting("load_best_model_at_end").as_deref() != Some("true") {
            return figure.last();
        }
        let best = self.best_step()?;
        figure.scores.iter().copied().find(|score| score.step == best)
    }
}
