//! What a run was made of: `run.toml`, in the output directory and in every checkpoint.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use simcse_model::io::hexadecimal;
use simcse_model::{Isa, Named, SentenceEncoder};

use crate::data::sentences::Sentences;
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

/// Where the inputs of a run come from, so far as the program that starts it knows: described, not read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The model as given by the user.
    pub model: String,
    /// Where the inputs are, for a resume that does not name them again.
    pub inputs: Inputs,
    /// How the questions of development and test set were left out of the sentences, `id` or `text`.
    pub exclude_by: Option<String>,
    /// What models are scored on.
    pub evaluation: EvaluationSource,
}

impl Sources {
    /// The model by its directory, and nothing else.
    pub(crate) fn of_model(encoder: &SentenceEncoder) -> Self {
        let directory = encoder.directory.transformer.to_string_lossy();
        let made_here = directory.is_empty();
        let model = if made_here { "a model with random weights".to_owned() } else { directory.into_owned() };
        Self { model, ..Self::default() }
    }
}

impl ModelSource {
    /// A model by name, with the digest of its weights.
    pub fn of(name: &str, encoder: &SentenceEncoder) -> Self {
        let mut digest = Sha256::new();
        for values in encoder.params.values().chunks(1 << 16) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            digest.update(bytes);
        }
        Self { name: name.to_owned(), sha256: hexadecimal(digest.finalize()) }
    }
}

impl DataSource {
    fn of(sentences: &Sentences, exclude_by: Option<String>) -> Self {
        Self {
            name: sentences.name().to_owned(),
            sentences: sentences.len(),
            skipped: sentences.skipped(),
            duplicates: sentences.duplicates(),
            exclude_by,
            sha256: sentences.sha256(),
        }
    }
}

impl Provenance {
    /// The record of a run that begins now.
    pub(crate) fn of(sources: &Sources, encoder: &SentenceEncoder, sentences: &Sentences, settings: &Settings) -> Self {
        Self {
            id: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instruction_set: Isa::detected().name().to_owned(),
            inputs: sources.inputs.clone(),
            model: ModelSource::of(&sources.model, encoder),
            data: DataSource::of(sentences, sources.exclude_by.clone()),
            evaluation: sources.evaluation.clone(),
            settings: settings.clone(),
        }
    }

    /// Where the run's inputs come from.
    pub(crate) fn sources(&self) -> Sources {
        Sources {
            model: self.model.name.clone(),
            inputs: self.inputs.clone(),
            exclude_by: self.data.exclude_by.clone(),
            evaluation: self.evaluation.clone(),
        }
    }

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
    pub fn check_same_data(&self, sentences: &Sentences) -> Result<()> {
        let found = sentences.sha256();
        if self.data.sha256 == found {
            return Ok(());
        }
        let describe = |count: usize, sha256: &str| format!("{count} sentences with SHA-256 {sha256}");
        Err(Error::Changed {
            what: sentences.name().to_owned(),
            recorded: describe(self.data.sentences, &self.data.sha256),
            given: describe(sentences.len(), &found),
        })
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
