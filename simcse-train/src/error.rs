//! What can stop a training run.

use std::io;
use std::path::{Path, PathBuf};

use crate::data::sentences::DataError;
use simcse_model::io::format_bytes;

/// Why a run did not begin or did not end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sentences cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model cannot be read, written or applied.
    #[error(transparent)]
    Model(#[from] simcse_model::Error),
    /// A file of the run cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The output directory is in use.
    #[error("{} already holds {found}: give another --output-dir, or move it away", path.display())]
    Occupied {
        /// The output directory.
        path: PathBuf,
        /// What was found in it.
        found: String,
    },
    /// There is nothing to train on.
    #[error(
        "{name}: expected at least {batch_size} different sentences for one batch, found {found}: give more, or a smaller --batch-size"
    )]
    TooFewSentences {
        /// The sentences' file.
        name: String,
        /// Sentences in a batch.
        batch_size: usize,
        /// Sentences that there are.
        found: usize,
    },
    /// A setting is out of range.
    #[error("--{setting}: expected {expected}, found {found}")]
    Setting {
        /// The flag, without its leading hyphens.
        setting: String,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// There is not enough memory.
    #[error("the run would take {}, and may take {} (--memory-limit): {advice}", format_bytes(*needed), format_bytes(*limit))]
    Memory {
        /// What it would take, in bytes.
        needed: u64,
        /// What it may take, in bytes.
        limit: u64,
        /// The largest setting that fits.
        advice: String,
    },
    /// A parameter would not be trained as it should.
    #[error("before the first step: {what} {problem}")]
    GradientFlow {
        /// A tensor's gradient, or the views.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The loss or the gradient was not a number for too long.
    #[error(
        "{steps} steps in a row, to step {step}, gave a loss or gradient that is not a number (loss {loss}, gradient's \
         length {grad_norm}); their updates were skipped and the checkpoints are good: begin anew with a lower \
         --learning-rate or --scale"
    )]
    NotFinite {
        /// The last step, from 1.
        step: u64,
        /// How many steps.
        steps: u32,
        /// The last step's loss.
        loss: f32,
        /// The last step's gradient norm.
        grad_norm: f64,
    },
    /// A weight or a moment of the optimizer is not a number, so there is nothing to save.
    #[error(
        "{tensor} has become {value} and is not saved; earlier checkpoints are good: begin anew with a lower --learning-rate"
    )]
    WeightsNotFinite {
        /// The tensor.
        tensor: String,
        /// One of its values.
        value: f32,
    },
    /// A file of a checkpoint is not as it was saved.
    #[error("{}: expected {expected}, found {found}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was saved.
        expected: String,
        /// What is there.
        found: String,
    },
    /// There is nothing to resume from.
    #[error(
        "{}: expected a complete checkpoint to resume from, found {}: {advice}",
        path.display(), rejected_checkpoints(rejected)
    )]
    NoCheckpoint {
        /// The output directory.
        path: PathBuf,
        /// What is wrong with the checkpoints in it.
        rejected: Vec<Error>,
        /// How to train here or elsewhere.
        advice: &'static str,
    },
    /// A resumed run differs from what it began as.
    #[error("{what}: the run began with {recorded}, found {given}: resume with the former, or begin a new run")]
    Changed {
        /// The flag or file.
        what: String,
        /// How the run began.
        recorded: String,
        /// What is given now.
        given: String,
    },
    /// Another run is writing.
    #[error("another run is writing into {}: wait for it, or give another --output-dir", path.display())]
    Locked {
        /// The output directory.
        path: PathBuf,
    },
    /// The file system is full, or nearly so.
    #[error(
        "{}: {what} needs {:.3} GB, found {:.3} GB free: make room, then begin or resume",
        path.display(), *needed as f64 / 1e9, *free as f64 / 1e9
    )]
    NoSpace {
        /// A directory on the file system.
        path: PathBuf,
        /// What was to be written.
        what: String,
        /// Its bytes.
        needed: u64,
        /// Free bytes.
        free: u64,
    },
    /// The run was asked to stop; a checkpoint holds all that it did.
    #[error("stopped after step {step}; continue with --resume-from-checkpoint auto --output-dir {}", path.display())]
    Stopped {
        /// Steps done.
        step: u64,
        /// The output directory.
        path: PathBuf,
    },
    /// Scoring the model failed.
    #[error("cannot evaluate: {0}")]
    Evaluation(Box<dyn std::error::Error + Send + Sync>),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Write { path, source }
    }
}

fn rejected_checkpoints(rejected: &[Error]) -> String {
    match rejected {
        [] => "none".to_owned(),
        _ => rejected.iter().map(Error::to_string).collect::<Vec<_>>().join("; "),
    }
}
