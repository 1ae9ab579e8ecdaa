//! What a run was made of: `run.toml`, in the output directory and in every checkpoint.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::settings::Settings;

/// Name of the file.
pub(crate) const RUN_TOML: &str = "run.toml";

/// What a run was made of, for `run.toml` and the model card.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Tells runs apart: a checkpoint that bears another one is never deleted. Given when the run begins.
    pub id: String,
    /// Version of this program.
    pub version: String,
    /// The instruction set of the kernels: other sets give other bits.
    pub instruction_set: String,
    /// Where the inputs lie.
    pub inputs: Inputs,
    /// The model that was tuned.
    pub model: ModelSource,
    /// The sentences.
    pub data: DataSource,
    /// What models are scored on.
    pub evaluation: EvaluationSource,
    /// Every setting, as resolved.
    pub settings: Settings,
}

/// Where the inputs of a run lie, so that a resume need not name them again. Neither sentences nor data: the sentences that
/// the program brings along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The file of sentences, an absolute path, or `-`.
    pub sentences: Option<String>,
    /// A directory of questions, an absolute path.
    pub data: Option<String>,
    /// Characters of the shortest sentence that is not skipped.
    pub min_length: usize,
    /// The reranking set that models are scored on, an absolute path.
    pub eval_rerank: Option<String>,
    /// The similarity set that models are scored on, an absolute path.
    pub eval_sts: Option<String>,
}

/// The model that a run began with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ModelSource {
    /// As given by the user.
    pub name: String,
    /// SHA-256 of the parameters' values, in the order of the layout, f32 little-endian.
    pub sha256: String,
}

/// The sentences of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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

/// What the models of a run are scored on, as far as there is any: each set's SHA-256.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EvaluationSource {
    /// The reranking set.
    pub rerank: Option<String>,
    /// The similarity set.
    pub sts: Option<String>,
    /// The reranking set for the final model alone.
    pub test: Option<String>,
}

impl Provenance {
    /// Reads the `run.toml` of a directory.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is missing or says something else.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let file = dir.join(RUN_TOML);
        let damaged =
            |found: String| Error::Damaged { file: file.clone(), expected: "the record of a run".into(), found };
        let text = std::fs::read_to_string(&file).map_err(|error| damaged(error.to_string()))?;
        toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))
    }

    /// Writes the `run.toml` of a directory.
    ///
    /// # Errors
    /// As [`simcse_model::io::write_bytes`].
    ///
    /// # Panics
    /// If the settings are not [checked](Settings::check): TOML has no number above 2^63.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let text = toml::to_string(self).expect("settings are TOML");
        Ok(simcse_model::io::write_bytes(&dir.join(RUN_TOML), text.as_bytes())?)
    }

    /// Checks that sentences are those that the run began with.
    ///
    /// # Errors
    /// [`Error::Changed`].
    pub fn check_same_data(&self, found: &DataSource) -> Result<()> {
        if self.data.sha256 == found.sha256 {
            return Ok(());
        }
        let describe = |data: &DataSource| format!("{} sentences with SHA-256 {}", data.sentences, data.sha256);
        Err(Error::Changed { what: found.name.clone(), recorded: describe(&self.data), given: describe(found) })
    }

    /// Checks that models are scored on what the run began with, wherever it lies.
    ///
    /// # Errors
    /// [`Error::Changed`].
    pub fn check_same_evaluation(&self, found: &EvaluationSource) -> Result<()> {
        let EvaluationSource { rerank, sts, test } = &self.evaluation;
        let rerank_flag = if self.inputs.data.is_some() { "--data (development set)" } else { "--eval-rerank" };
        let describe = |sha256: &Option<String>| match sha256 {
            Some(sha256) => format!("a set with SHA-256 {sha256}"),
            None => "nothing".to_owned(),
        };
        for (what, recorded, found) in [
            (rerank_flag, rerank, &found.rerank),
            ("--eval-sts", sts, &found.sts),
            ("--data (test set)", test, &found.test),
        ] {
            if recorded != found {
                let (recorded, given) = (describe(recorded), describe(found));
                return Err(Error::Changed { what: what.to_owned(), recorded, given });
            }
        }
        Ok(())
    }

    /// Checks that a model is the one that the run began with.
    ///
    /// # Errors
    /// [`Error::Changed`].
    pub fn check_same_model(&self, found: &ModelSource) -> Result<()> {
        if self.model.sha256 == found.sha256 {
            return Ok(());
        }
        let describe = |model: &ModelSource| format!("{} with weights of SHA-256 {}", model.name, model.sha256);
        let what = "--model".to_owned();
        Err(Error::Changed { what, recorded: describe(&self.model), given: describe(found) })
    }
}
