//! What can stop a training run.

use std::io;
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::memory::size;

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
        /// The flag.
        setting: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// There is not enough memory.
    #[error("the run would take {}, and may take {} (--memory-limit): {advice}", size(*needed), size(*limit))]
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
    /// The loss or a gradient is no longer a number.
    #[error("step {step}: the {what} is {value}; the last checkpoint is good: try a lower --learning-rate")]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// Loss or gradient norm.
        what: &'static str,
        /// Its value.
        value: f64,
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
