//! What can stop a training run.

use std::io;
use std::path::{Path, PathBuf};

use simcse_model::io::format_bytes;

use crate::data::builder::DataError;

/// Why a run did not start or did not finish.
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
        /// What the system reported.
        source: io::Error,
    },
    /// The output directory is in use.
    #[error("{} already holds {found}: choose another --output-dir, or move it away", path.display())]
    Occupied {
        /// The output directory.
        path: PathBuf,
        /// What was found in it.
        found: String,
    },
    /// There is nothing to train on.
    #[error(
        "{name}: expected at least {batch_size} {} for one batch, found {found}: add some, or choose a smaller \
         --batch-size",
        if *columns == 1 { "different sentences" } else { "examples without a text in common" }
    )]
    TooFewExamples {
        /// The file.
        name: String,
        /// Examples per batch.
        batch_size: usize,
        /// Examples in the file that have no text in common.
        found: usize,
        /// Texts per example.
        columns: usize,
    },
    /// A tokenizer has no token to mask others with.
    #[error("{file}: expected a mask token, to predict masked tokens; found none")]
    NoMask {
        /// The tokenizer's file.
        file: String,
    },
    /// A setting is out of range.
    #[error("--{setting}: expected {expected}, found {found}")]
    Setting {
        /// The flag, without its leading hyphens.
        setting: String,
        /// The values that are allowed.
        expected: String,
        /// The value.
        found: String,
    },
    /// There is not enough memory.
    #[error(
        "the run needs {} but may use only {} (--memory-limit): {advice}",
        format_bytes(*needed), format_bytes(*limit)
    )]
    Memory {
        /// What the run needs, in bytes.
        needed: u64,
        /// What it may use, in bytes.
        limit: u64,
        /// The largest setting that fits.
        advice: String,
    },
    /// The tokenizer turns all texts into the same token ids.
    #[error(
        "{name}: expected sentences that differ, found only sentences that the model's tokenizer cannot tell apart: is \
         the model for another language?"
    )]
    NothingToLearn {
        /// Where the examples come from.
        name: String,
    },
    /// The tokenizer turns so many texts into the same token ids that there is no batch.
    #[error(
        "{name}: expected at least {batch_size} {} that the model's tokenizer can tell apart for one batch, \
         found {found}: add some, or choose a smaller --batch-size",
        if *columns == 1 { "sentences" } else { "examples" }
    )]
    TooFewTokenized {
        /// Where the examples come from.
        name: String,
        /// Examples per batch.
        batch_size: usize,
        /// Examples that have no list of token ids in common.
        found: usize,
        /// Texts per example.
        columns: usize,
    },
    /// A parameter would not be trained as it should.
    #[error("before the first step: {what} {problem}")]
    GradientFlow {
        /// A tensor's gradient, or the two views.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The loss or the gradient was not finite for too many steps.
    #[error(
        "{steps} steps in a row, up to step {step}, had a loss or gradient that is not finite (loss {loss}, \
         gradient norm {grad_norm}); their updates were skipped and all checkpoints are intact: start again with \
         a lower --learning-rate or --scale"
    )]
    NotFinite {
        /// The last of these steps; the first step is 1.
        step: u64,
        /// How many steps.
        steps: u32,
        /// The last step's loss.
        loss: f32,
        /// The last step's gradient norm.
        grad_norm: f64,
    },
    /// A weight or one of the optimizer's moments is not finite, so it is not saved.
    #[error(
        "{tensor} has become {value} and is not saved; earlier checkpoints are intact: start again with a lower \
         --learning-rate"
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
        /// What the file holds now.
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
        /// What is wrong with each checkpoint in it.
        rejected: Vec<Error>,
        /// How to train here or elsewhere instead.
        advice: &'static str,
    },
    /// A resumed run differs from what it was started with.
    #[error("{what}: the run started with {recorded}, found {given}: resume with the former, or start a new run")]
    Changed {
        /// The flag or file.
        what: String,
        /// What the run was started with.
        recorded: String,
        /// What was given now.
        given: String,
    },
    /// Another run is writing.
    #[error("another run is writing into {}: wait for it, or choose another --output-dir", path.display())]
    Locked {
        /// The output directory.
        path: PathBuf,
    },
    /// The ranks of a run are not about to do the same.
    #[error("{what} differ{}: expected {expected}, as on rank 0, found {found} on rank {rank}", if what.ends_with('s') { "" } else { "s" })]
    Ranks {
        /// What differs.
        what: &'static str,
        /// The first rank that differs from rank 0.
        rank: usize,
        /// What rank 0 has.
        expected: String,
        /// What that rank has.
        found: String,
    },
    /// The file system is full, or nearly so.
    #[error(
        "{}: {what} needs {:.3} GB, found {:.3} GB free: free some space, then start or resume",
        path.display(), *needed as f64 / 1e9, *free as f64 / 1e9
    )]
    NoSpace {
        /// A directory on the file system.
        path: PathBuf,
        /// What was to be written.
        what: String,
        /// Its size in bytes.
        needed: u64,
        /// Free bytes.
        free: u64,
    },
    /// The run was asked to stop. A checkpoint holds everything that it did.
    #[error("stopped after step {step}; resume with --resume-from-checkpoint auto --output-dir {}", path.display())]
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
