//! How a run starts: anew or from a checkpoint, and on the rank that writes or on another.

use std::path::{Path, PathBuf};

use simcse_model::SentenceEncoder;

use crate::data::examples::Examples;
use crate::error::Result;
use crate::ranks::Ranks;
use crate::run::RunDirectory;
use crate::run::checkpoint::Checkpoint;
use crate::run::output::{OutputDirectory, check_space};
use crate::run::provenance::{Provenance, Sources};
use crate::settings::Settings;

/// How the run starts.
#[derive(Debug)]
pub(crate) enum Start {
    /// At the first step, in a directory that does not hold a run yet.
    New {
        output: PathBuf,
        /// The digest of the model as it was given, without what the run adds.
        model_digest: String,
    },
    /// From a checkpoint.
    Resumed(OutputDirectory, Box<Checkpoint>),
}

impl Default for Start {
    /// Nowhere.
    fn default() -> Self {
        Self::New { output: PathBuf::new(), model_digest: String::new() }
    }
}

impl Start {
    /// Steps that are already done.
    pub(crate) fn done(&self) -> u64 {
        match self {
            Self::New { .. } => 0,
            Self::Resumed(_, checkpoint) => checkpoint.step(),
        }
    }

    /// Epochs that are already done, with a fraction.
    pub(crate) fn epochs(&self) -> f64 {
        match self {
            Self::New { .. } => 0.0,
            Self::Resumed(_, checkpoint) => checkpoint.progress.epoch,
        }
    }

    /// The output directory.
    pub(crate) fn output(&self) -> &Path {
        match self {
            Self::New { output, .. } => output,
            Self::Resumed(output, _) => output.path(),
        }
    }

    /// What the run is made of: that of the checkpoint, with these settings, or a new record.
    pub(crate) fn provenance(&self, sources: &Sources, examples: &Examples, settings: &Settings) -> Provenance {
        match self {
            Self::New { model_digest, .. } => Provenance::of(sources, model_digest.clone(), examples, settings),
            Self::Resumed(_, checkpoint) => Provenance { settings: settings.clone(), ..checkpoint.provenance.clone() },
        }
    }

    /// Creates or reopens the output directory and writes the run's record into it; returns the new
    /// names of what was set aside. Ranks other than the first one only follow what it writes.
    pub(crate) fn open(
        self,
        ranks: &Ranks,
        provenance: Provenance,
        encoder: &SentenceEncoder,
    ) -> Result<(RunDirectory, Vec<PathBuf>)> {
        match self {
            Self::New { output, .. } if ranks.is_first() => {
                check_space(&output, encoder)?;
                RunDirectory::create(&output, provenance)
            }
            Self::Resumed(output, checkpoint) if ranks.is_first() => {
                RunDirectory::resume(output, *checkpoint, provenance)
            }
            Self::New { output, .. } => Ok((RunDirectory::follow(&output, provenance, None), Vec::new())),
            Self::Resumed(output, checkpoint) => {
                Ok((RunDirectory::follow(output.path(), provenance, Some(*checkpoint)), Vec::new()))
            }
        }
    }
}
