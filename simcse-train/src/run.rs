//! A run's output directory: settings, log, checkpoints, and the final model.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};
use simcse_model::SentenceEncoder;

use crate::error::{Error, Result};
use crate::model_card;
use crate::settings::Settings;
use crate::trainer::{Evaluation, Summary};

/// What a run was made of, for `run.toml` and the model card.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// Version of this program.
    pub version: String,
    /// The instruction set of the kernels: other sets give other bits.
    pub instruction_set: String,
    /// The model that was tuned.
    pub model: ModelSource,
    /// The sentences.
    pub data: DataSource,
    /// Every setting, as resolved.
    pub settings: Settings,
}

/// The model that a run began with.
#[derive(Clone, Debug, Serialize)]
pub struct ModelSource {
    /// As given by the user.
    pub name: String,
    /// SHA-256 of the parameters' values, in the order of the layout, f32 little-endian.
    pub sha256: String,
}

/// The sentences of a run.
#[derive(Clone, Debug, Serialize)]
pub struct DataSource {
    /// As given by the user.
    pub name: String,
    /// Sentences used.
    pub sentences: usize,
    /// Lines left out for being too short.
    pub skipped: u64,
    /// Sentences that are equal to an earlier one.
    pub duplicates: usize,
    /// How the questions of development and test set were left out, `id` or `text`, if the data has them.
    pub exclude_by: Option<String>,
    /// SHA-256 of the sentences.
    pub sha256: String,
}

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct StepRecord {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// The batch's loss before the update.
    pub loss: f32,
    /// The update's learning rate.
    pub learning_rate: f64,
    /// Length of the gradient before clipping.
    pub grad_norm: f64,
    /// Wall-clock seconds of the step.
    pub step_seconds: f64,
    /// Sentences per second; each counts once, though it is encoded twice.
    pub sentences_per_second: f64,
    /// Tokens of those sentences per second.
    pub tokens_per_second: f64,
}

impl StepRecord {
    pub(crate) fn new(
        step: u64,
        epoch: f64,
        loss: f32,
        learning_rate: f64,
        grad_norm: f64,
        sentences: &[Vec<u32>],
        took: Duration,
    ) -> Self {
        let step_seconds = took.as_secs_f64();
        let tokens: usize = sentences.iter().map(Vec::len).sum();
        let sentences_per_second = sentences.len() as f64 / step_seconds;
        let tokens_per_second = tokens as f64 / step_seconds;
        Self { step, epoch, loss, learning_rate, grad_norm, step_seconds, sentences_per_second, tokens_per_second }
    }
}

/// The output directory of a run that has begun.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    provenance: Provenance,
    metrics: File,
    /// Evaluations so far, for `trainer_state.json`.
    evaluations: Vec<Value>,
    /// Checkpoints of this run that exist, oldest first.
    checkpoints: Vec<PathBuf>,
}

impl RunDirectory {
    /// Begins a run: makes the directory, writes `run.toml` and opens `metrics.jsonl`.
    ///
    /// # Errors
    /// [`Error::Occupied`] if the directory already holds a run or a model, before anything is written; [`Error::Write`].
    pub fn create(path: &Path, provenance: Provenance) -> Result<Self> {
        Self::check_free(path)?;
        fs::create_dir_all(path).map_err(Error::write(path))?;
        let settings = path.join("run.toml");
        let text = toml::to_string(&provenance).expect("settings are TOML");
        simcse_model::write_bytes(&settings, text.as_bytes())?;
        let log = path.join("metrics.jsonl");
        let metrics = File::create_new(&log).map_err(Error::write(&log))?;
        Ok(Self { path: path.to_path_buf(), provenance, metrics, evaluations: Vec::new(), checkpoints: Vec::new() })
    }

    /// Whether a run may begin in `path`: it is free, or holds nothing that a run would write.
    ///
    /// # Errors
    /// [`Error::Occupied`], [`Error::Write`].
    pub fn check_free(path: &Path) -> Result<()> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::write(path)(error)),
        };
        for entry in entries {
            let name = entry.map_err(Error::write(path))?.file_name().to_string_lossy().into_owned();
            let ours = ["run.toml", "metrics.jsonl", "model.safetensors", "config.json", "modules.json", "README.md"];
            if ours.contains(&name.as_str()) || name.starts_with("checkpoint-") {
                let found = format!("a run or a model ({name})");
                return Err(Error::Occupied { path: path.to_path_buf(), found });
            }
        }
        Ok(())
    }

    /// The output directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log_step(&mut self, record: &StepRecord) -> Result<()> {
        self.log(&json!(record))
    }

    pub(crate) fn log_evaluation(&mut self, step: u64, epoch: f64, evaluation: Option<&Evaluation>) -> Result<()> {
        let Some(evaluation) = evaluation else { return Ok(()) };
        let mut line = Map::from_iter([("step".to_owned(), json!(step)), ("epoch".to_owned(), json!(epoch))]);
        line.extend(evaluation.figures.clone());
        let line = Value::Object(line);
        self.log(&line)?;
        self.evaluations.push(line);
        Ok(())
    }

    fn log(&mut self, line: &Value) -> Result<()> {
        writeln!(self.metrics, "{line}").map_err(Error::write(&self.path.join("metrics.jsonl")))
    }

    /// Writes `checkpoint-<step>/`, a model directory with `trainer_state.json`, under another name first; then deletes the
    /// oldest checkpoints beyond the limit.
    pub(crate) fn save_checkpoint(
        &mut self,
        encoder: &SentenceEncoder,
        summary: &Summary,
        epoch: f64,
    ) -> Result<PathBuf> {
        let name = format!("checkpoint-{}", summary.steps);
        let (checkpoint, unfinished) = (self.path.join(&name), self.path.join(format!(".{name}.unfinished")));
        self.write_model(&unfinished, encoder, summary)?;
        let state = json!({
            "global_step": summary.steps,
            "epoch": epoch,
            "log_history": self.evaluations,
        });
        simcse_model::write_bytes(&unfinished.join("trainer_state.json"), format!("{state:#}\n").as_bytes())?;
        fs::rename(&unfinished, &checkpoint).map_err(Error::write(&checkpoint))?;

        self.checkpoints.push(checkpoint.clone());
        let limit = self.provenance.settings.save_total_limit.unwrap_or(usize::MAX).max(1);
        while self.checkpoints.len() > limit {
            let oldest = self.checkpoints.remove(0);
            fs::remove_dir_all(&oldest).map_err(Error::write(&oldest))?;
        }
        Ok(checkpoint)
    }

    /// Writes the final model into the output directory itself.
    pub(crate) fn save_model(&self, encoder: &SentenceEncoder, summary: &Summary) -> Result<()> {
        self.write_model(&self.path, encoder, summary)
    }

    fn write_model(&self, path: &Path, encoder: &SentenceEncoder, summary: &Summary) -> Result<()> {
        encoder.save(path)?;
        let card = model_card::render(&self.provenance, encoder, summary);
        Ok(simcse_model::write_bytes(&path.join("README.md"), card.as_bytes())?)
    }
}
