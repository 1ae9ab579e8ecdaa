//! A run's output directory while the run lasts: its record, its log, its checkpoints and the final
//! model.
//!
//! This room knows the files of a run, how to write them so that a crash at any moment does no
//! harm, and how to delete nothing that is not its own. It must not know the training loop,
//! gradients or memory.

pub(crate) mod checkpoint;
mod manifest;
pub(crate) mod metrics;
mod model_card;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod provenance;
mod reports;
mod rotation;
pub(crate) mod summary;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use simcse_model::SentenceEncoder;

use crate::error::{Error, Result};
use crate::optim::adamw::AdamW;
use crate::run::checkpoint::{Checkpoint, State, load_weights, write_model};
use crate::run::metrics::StepRecord;
use crate::run::output::{
    EVENTS, METRICS, OutputDirectory, check_unoccupied, entries, open, require_space, set_aside, step_of,
};
use crate::run::progress::Progress;
use crate::run::provenance::{Provenance, RUN_TOML};
use crate::run::reports::Reports;
use crate::run::rotation::{Rule, rotate};
use crate::run::summary::Summary;
use crate::settings::Settings;

/// The output directory of a run that has started.
#[derive(Debug)]
pub struct RunDirectory {
    output: OutputDirectory,
    provenance: Provenance,
    /// `None` on ranks that do not write.
    metrics: Option<File>,
    reports: Reports,
    /// The checkpoint that the run resumes from.
    resumed: Option<Checkpoint>,
    /// The step of the last checkpoint.
    saved: Option<u64>,
}

impl RunDirectory {
    /// Starts a run: creates and locks the directory, writes `run.toml` and opens `metrics.jsonl`.
    /// If an earlier run ended here before its first checkpoint, its temporary files are removed,
    /// and, if it completed a step, its record and its log are set aside; their new names are
    /// returned.
    ///
    /// # Errors
    /// [`Error::Occupied`], before anything is written, if the directory already holds a run or a
    /// model; [`Error::Locked`]; [`Error::Write`].
    pub(crate) fn create(path: &Path, mut provenance: Provenance) -> Result<(Self, Vec<PathBuf>)> {
        check_unoccupied(path)?;
        let used = OutputDirectory::was_locked(path);
        let output = OutputDirectory::lock(path)?;
        check_unoccupied(path)?; // another run may have started and ended before the lock was taken
        if used {
            output.remove_leftovers()?;
        }
        let aside = set_aside_unsaved(path)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        provenance.id = format!("{:x}-{:x}", now.as_nanos(), std::process::id());
        provenance.write(path)?;
        let metrics = Some(open_metrics(path)?);
        Ok((Self { output, provenance, metrics, reports: Reports::default(), resumed: None, saved: None }, aside))
    }

    /// The directory of a run that another rank starts or resumes. Nothing is ever written.
    pub(crate) fn follow(path: &Path, provenance: Provenance, resumed: Option<Checkpoint>) -> Self {
        let saved = resumed.as_ref().map(Checkpoint::step);
        let output = OutputDirectory::follow(path);
        Self { output, provenance, metrics: None, reports: Reports::default(), resumed, saved }
    }

    /// Resumes from a checkpoint in `output`, with its provenance or one with more steps. Temporary
    /// files of a killed run are removed, `metrics.jsonl` is cut back to the checkpoint, and later
    /// checkpoints, which the run will write again, are set aside; their new names are returned.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(crate) fn resume(
        output: OutputDirectory,
        checkpoint: Checkpoint,
        provenance: Provenance,
    ) -> Result<(Self, Vec<PathBuf>)> {
        let path = output.path();
        output.remove_leftovers()?;
        let aside = set_aside_after(path, checkpoint.step())?;
        provenance.write(path)?;
        let mut metrics = open_metrics(path)?;
        cut_back(&mut metrics, &checkpoint.progress).map_err(Error::write(&path.join(METRICS)))?;
        let saved = Some(checkpoint.step());
        let metrics = Some(metrics);
        Ok((Self { output, provenance, metrics, reports: Reports::default(), resumed: Some(checkpoint), saved }, aside))
    }

    /// Checks that a run may start in `path`: nothing is there that a run would write, except
    /// perhaps the record and the log of a run that ended before its first checkpoint.
    ///
    /// # Errors
    /// [`Error::Occupied`], [`Error::Locked`], [`Error::Write`].
    ///
    /// ```
    /// use simcse_train::{Error, RunDirectory};
    ///
    /// let directory = tempfile::tempdir().unwrap();
    /// RunDirectory::check_free(&directory.path().join("new"))?;
    /// std::fs::write(directory.path().join("model.safetensors"), "")?;
    /// assert!(matches!(RunDirectory::check_free(directory.path()), Err(Error::Occupied { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_free(path: &Path) -> Result<()> {
        check_unoccupied(path)?;
        if OutputDirectory::was_locked(path) {
            OutputDirectory::lock(path)?;
        }
        Ok(())
    }

    /// The output directory.
    pub fn path(&self) -> &Path {
        self.output.path()
    }

    /// Whether another rank writes the directory.
    fn follows(&self) -> bool {
        self.metrics.is_none()
    }

    /// Whether the run resumes from a checkpoint.
    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed.is_some()
    }

    /// The run's progress: that of the checkpoint, whose moments the optimizer gets, or none yet.
    pub(crate) fn restore(&self, optimizer: &mut AdamW) -> Result<Progress> {
        let Some(checkpoint) = &self.resumed else { return Ok(Progress::default()) };
        checkpoint.restore(optimizer)?;
        Ok(checkpoint.progress.clone())
    }

    /// Opens what other programs read of the run, and returns what cannot be opened.
    pub(crate) fn open_reports(&mut self) -> Vec<Error> {
        if self.follows() {
            return Vec::new();
        }
        let done = self.resumed.as_ref().map_or(0, Checkpoint::step);
        let Provenance { settings, .. } = &self.provenance;
        let (reports, failed) = Reports::open(self.path(), settings.report_to, &self.provenance.to_toml(), done);
        self.reports = reports;
        failed
    }

    /// Logs a step; see [`RunDirectory::log_figures`].
    pub(crate) fn log_step(&mut self, record: &StepRecord) -> Result<Vec<Error>> {
        let Value::Object(line) = json!(record) else { unreachable!("a record has names") };
        self.log_figures(line)
    }

    /// Logs the figures of a model, or a warning. Returns the failures to report it elsewhere.
    ///
    /// # Errors
    /// [`Error::Write`] if the log itself cannot be written.
    pub(crate) fn log_figures(&mut self, line: Map<String, Value>) -> Result<Vec<Error>> {
        let path = self.path().join(METRICS);
        let text = Value::Object(line.clone()).to_string() + "\n";
        let Some(metrics) = &mut self.metrics else { return Ok(Vec::new()) };
        metrics.write_all(text.as_bytes()).map_err(Error::write(&path))?;
        Ok(self.reports.add(&line))
    }

    /// Writes `checkpoint-<step>/` and returns its path, or `None` if it exists already.
    pub(crate) fn save_checkpoint(&mut self, state: &State) -> Result<Option<PathBuf>> {
        let Progress { global_step, .. } = *state.progress;
        if self.saved == Some(global_step) {
            return Ok(None);
        }
        self.saved = Some(global_step);
        let Some(metrics) = &self.metrics else { return Ok(None) };
        // A resumed run keeps the log up to the checkpoint, so the log must be on disk before it.
        metrics.sync_data().map_err(Error::write(&self.path().join(METRICS)))?;
        Checkpoint::write(self.path(), &self.provenance, state).map(Some)
    }

    /// Deletes the checkpoints that are no longer needed.
    pub(crate) fn rotate(&self, progress: &Progress) -> Result<()> {
        if self.follows() {
            return Ok(());
        }
        let Settings { save_total_limit, save_steps, load_best_model_at_end, .. } = self.provenance.settings;
        let best = progress.best_global_step.filter(|_| load_best_model_at_end);
        let rule = Rule {
            limit: save_total_limit.unwrap_or(usize::MAX),
            // Without a search for the best model, a checkpoint between two save steps was saved
            // because the run stopped there or ended there; it is kept like the others.
            save_steps: if load_best_model_at_end { save_steps } else { 1 },
            kept: self.saved.into_iter().chain(best).collect(),
        };
        rotate(self.path(), &self.provenance.id, &rule)
    }

    /// Gives `encoder` the weights of the checkpoint at `step`.
    pub(crate) fn load_weights(&self, step: u64, encoder: &mut SentenceEncoder) -> Result<()> {
        load_weights(self.path(), step, encoder)
    }

    /// Writes the final model into the output directory itself.
    pub(crate) fn save_model(&self, encoder: &SentenceEncoder, summary: &Summary) -> Result<()> {
        if self.follows() {
            return Ok(());
        }
        require_space(self.path(), "the final model", encoder.size_on_disk())?;
        write_model(self.path(), &self.provenance, encoder, summary)
    }
}

/// Sets aside the checkpoints of `output` that come after `step`, and returns their new names.
fn set_aside_after(output: &Path, step: u64) -> Result<Vec<PathBuf>> {
    let later = entries(output)?.into_iter().filter(|(name, _)| step_of(name).is_some_and(|of| of > step));
    later.map(|(_, entry)| set_aside(&entry.path())).collect()
}

/// Sets aside the log, the record and TensorBoard's files of a run without a checkpoint, if it
/// completed a step, and returns their new names. The record is renamed last: it is what identifies
/// the others as a run's.
fn set_aside_unsaved(output: &Path) -> Result<Vec<PathBuf>> {
    if fs::symlink_metadata(output.join(METRICS)).map_or(0, |log| log.len()) == 0 {
        return Ok(Vec::new());
    }
    let events = entries(output)?.into_iter().map(|(name, _)| name).filter(|name| name.starts_with(EVENTS));
    let names = events.chain([METRICS, RUN_TOML].map(str::to_owned));
    names.map(|name| set_aside(&output.join(name))).collect()
}

fn open_metrics(output: &Path) -> Result<File> {
    let path = output.join(METRICS);
    open(OpenOptions::new().read(true).append(true).create(true), &path).map_err(Error::write(&path))
}

/// Cuts the log back to what it held when the checkpoint was saved: the steps, evaluations and
/// warnings that the checkpoint's progress knows, and what was measured on the probe after these
/// steps.
///
/// Lines are in chronological order, so everything after the first unknown line was written after
/// the checkpoint. That includes a torn last line, which a killed run may leave. Comparing lines is
/// safer than remembering a length: it works whatever part of the log reached the disk in a crash.
fn cut_back(metrics: &mut File, progress: &Progress) -> std::io::Result<()> {
    let mut text = Vec::new();
    metrics.seek(SeekFrom::Start(0))?;
    metrics.read_to_end(&mut text)?;
    let known = |line: &&[u8]| match serde_json::from_slice(line) {
        Ok(Value::Object(line)) if ["loss", "probe_alignment"].iter().any(|name| line.contains_key(*name)) => {
            line["step"].as_u64().is_some_and(|step| step <= progress.global_step)
        }
        Ok(Value::Object(line)) if line.contains_key("warning") => {
            progress.watch.given.iter().any(|name| line["warning"] == **name)
        }
        Ok(Value::Object(line)) => progress.log_history.contains(&line),
        _ => false,
    };
    let kept: usize = text
        .split_inclusive(|byte| *byte == b'\n')
        .take_while(|line| line.ends_with(b"\n") && known(line))
        .map(<[u8]>::len)
        .sum();
    metrics.set_len(kept as u64)
}
