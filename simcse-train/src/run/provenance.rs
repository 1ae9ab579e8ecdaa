//! The record of what a run was made of: `run.toml`, in the output directory and in every
//! checkpoint.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use simcse_model::io::{counted, hexadecimal};
use simcse_model::{Isa, Named, SentenceEncoder, WordWeights};

use crate::data::examples::Examples;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// Name of the file.
pub(crate) const RUN_TOML: &str = "run.toml";

/// What a run was made of, for `run.toml` and the model card.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Identifies the run, and is chosen when it starts. Checkpoints with another id are never
    /// deleted.
    pub id: String,
    /// The version of this program.
    pub version: String,
    /// The instruction set of the kernels, because others give other bits.
    pub instruction_set: String,
    /// The number of processes that train together, because sums over another number have other
    /// last bits.
    #[serde(default = "one")]
    pub ranks: usize,
    /// Steps of the whole run; 0 in records of earlier versions.
    #[serde(default)]
    pub total_steps: u64,
    /// Where the inputs are.
    pub inputs: Inputs,
    /// The model that was trained.
    pub model: ModelSource,
    /// The examples.
    pub data: DataSource,
    /// What models are scored on.
    pub evaluation: EvaluationSource,
    /// Every setting, as resolved.
    pub settings: Settings,
}

fn one() -> usize {
    1
}

/// Where the inputs of a run are, so that they need not be named again to resume it. With neither
/// `sentences` nor `data`, the program's embedded sentences.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The files and directories of sentences or examples, absolute paths, or `-`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentences: Vec<String>,
    /// The columns of those files, if they were named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_columns: Vec<String>,
    /// A directory of questions, an absolute path.
    pub data: Option<String>,
    /// Characters of the shortest sentence that is not skipped.
    pub min_length: usize,
    /// How many of the sentences are held out, to score models on them.
    pub hold_out: Option<usize>,
    /// The sets that models are scored on, in order.
    #[serde(default)]
    pub sets: Vec<SetInput>,
}

/// An evaluation set, as the user names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetInput {
    /// What kind of set it is, such as `rerank`.
    pub kind: String,
    /// What the names of its figures begin with; empty for none.
    pub name: String,
    /// Its file or directory, an absolute path.
    pub path: String,
    /// The columns of a table, if they were named.
    pub columns: Option<String>,
    /// The split, if one was named.
    pub split: Option<String>,
}

/// The model that a run was started with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ModelSource {
    /// As given by the user.
    pub name: String,
    /// Whether that is its name on the hub: it was downloaded, or read from the hub's cache.
    #[serde(default)]
    pub on_hub: bool,
    /// SHA-256 of the values of all parameters, in the order of the layout, and of word weights, if
    /// there are any, as little-endian f32.
    pub sha256: String,
}

/// The examples of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DataSource {
    /// As given by the user.
    pub name: String,
    /// The number of examples.
    pub examples: usize,
    /// The number of texts in each: 1 for sentences.
    pub texts_per_example: usize,
    /// The columns of texts, if they have names.
    pub columns: Vec<String>,
    /// Examples that were skipped because a text is missing or too short.
    pub skipped: u64,
    /// Texts that are equal to an earlier one.
    pub duplicates: usize,
    /// How the questions of the development and test sets were left out, by `id` or by `text`, if
    /// the data have such sets.
    pub exclude_by: Option<String>,
    /// SHA-256 of the texts.
    pub sha256: String,
}

/// What the models of a run are scored on: the SHA-256 of each set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSource {
    /// The development sets: each flag or file, and its digest.
    #[serde(default)]
    pub sets: Vec<SetDigest>,
    /// The set that only the final model is scored on.
    pub test: Option<String>,
}

/// The digest of an evaluation set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDigest {
    /// How the user names the set, for messages, such as `--eval-rerank`.
    pub flag: String,
    /// SHA-256 of what is scored.
    pub sha256: String,
}

/// Where the inputs of a run come from, as far as the caller knows. It is recorded; nothing is read
/// from there.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The model, as given by the user.
    pub model: String,
    /// Whether that is its name on the hub.
    pub on_hub: bool,
    /// Where the inputs are, so that they need not be named again to resume the run.
    pub inputs: Inputs,
    /// How the questions of the development and test sets were left out, by `id` or by `text`.
    pub exclude_by: Option<String>,
    /// What models are scored on.
    pub evaluation: EvaluationSource,
}

impl Sources {
    /// The model's directory, and nothing else.
    pub(crate) fn of_model(encoder: &SentenceEncoder) -> Self {
        let directory = encoder.directory.transformer.to_string_lossy();
        let random = directory.is_empty();
        let model = if random { "a model with random weights".to_owned() } else { directory.into_owned() };
        Self { model, ..Self::default() }
    }
}

impl ModelSource {
    /// The model's name, with the digest of its weights.
    pub fn of(name: &str, encoder: &SentenceEncoder) -> Self {
        Self { name: name.to_owned(), on_hub: false, sha256: model_digest(encoder) }
    }
}

/// The digest of a model's weights and word weights, as in [`ModelSource::sha256`].
pub(crate) fn model_digest(encoder: &SentenceEncoder) -> String {
    let mut digest = Sha256::new();
    let word_weights = encoder.directory.word_weights.as_ref().map_or(&[][..], WordWeights::values);
    for values in encoder.params.values().chunks(1 << 16).chain(word_weights.chunks(1 << 16)) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(bytes);
    }
    hexadecimal(digest.finalize())
}

impl DataSource {
    fn of(examples: &Examples, exclude_by: Option<String>) -> Self {
        Self {
            name: examples.name().to_owned(),
            examples: examples.len(),
            texts_per_example: examples.columns(),
            columns: examples.column_names().to_vec(),
            skipped: examples.skipped(),
            duplicates: examples.duplicates(),
            exclude_by,
            sha256: examples.sha256().to_owned(),
        }
    }
}

impl Provenance {
    /// The record of a run that starts now, with a model of this digest.
    pub(crate) fn of(sources: &Sources, model_digest: String, examples: &Examples, settings: &Settings) -> Self {
        Self {
            id: String::new(),
            total_steps: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instruction_set: Isa::detected().name().to_owned(),
            ranks: 1,
            inputs: sources.inputs.clone(),
            model: ModelSource { name: sources.model.clone(), on_hub: sources.on_hub, sha256: model_digest },
            data: DataSource::of(examples, sources.exclude_by.clone()),
            evaluation: sources.evaluation.clone(),
            settings: settings.clone(),
        }
    }

    /// The sources that the record names.
    pub(crate) fn sources(&self) -> Sources {
        Sources {
            model: self.model.name.clone(),
            on_hub: self.model.on_hub,
            inputs: self.inputs.clone(),
            exclude_by: self.data.exclude_by.clone(),
            evaluation: self.evaluation.clone(),
        }
    }

    /// Reads the `run.toml` of a directory.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is missing or is not the record of a run.
    pub fn read(dir: &Path) -> Result<Self> {
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
    /// If the settings were not [checked](Settings::check): TOML has no integers from 2^63 on.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        Ok(simcse_model::io::write_bytes(&dir.join(RUN_TOML), self.to_toml().as_bytes())?)
    }

    /// The content of the file.
    ///
    /// # Panics
    /// As [`Provenance::write`].
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are TOML")
    }

    /// Checks that the examples are those that the run was started with.
    ///
    /// # Errors
    /// [`Error::Changed`].
    pub fn check_same_data(&self, examples: &Examples) -> Result<()> {
        let recorded = &self.data;
        let found = DataSource::of(examples, None);
        // The numbers count, too: a text may have line breaks, which end one in the digest.
        let essence = |data: &DataSource| (data.sha256.clone(), data.examples, data.texts_per_example);
        if essence(recorded) == essence(&found) {
            return Ok(());
        }
        let describe = |data: &DataSource| {
            let examples = match data.texts_per_example {
                1 => counted(data.examples, "sentence", "sentences"),
                texts => format!("{} of {texts} texts", counted(data.examples, "example", "examples")),
            };
            format!("{examples} with SHA-256 {}", data.sha256)
        };
        Err(Error::Changed { what: examples.name().to_owned(), recorded: describe(recorded), given: describe(&found) })
    }

    /// Checks that models are scored on the sets that the run was started with, wherever they are
    /// now.
    ///
    /// # Errors
    /// [`Error::Changed`].
    pub fn check_same_evaluation(&self, found: &EvaluationSource) -> Result<()> {
        let EvaluationSource { sets, test } = &self.evaluation;
        let mut digests: Vec<_> = (0..sets.len().max(found.sets.len()))
            .map(|index| [sets, &found.sets].map(|sets| sets.get(index)))
            .map(|pair| match pair {
                [Some(recorded), Some(found)] if recorded.flag != found.flag && recorded.sha256 != found.sha256 => {
                    (found.flag.as_str(), [None, Some(&found.sha256)])
                }
                _ => (pair[0].or(pair[1]).map_or("", |set| &set.flag), pair.map(|set| set.map(|set| &set.sha256))),
            })
            .collect();
        digests.push(("--data (test set)", [test.as_ref(), found.test.as_ref()]));
        let Some((what, pair)) = digests.into_iter().find(|(_, [recorded, found])| recorded != found) else {
            return Ok(());
        };
        let [recorded, given] = pair.map(|sha256| match sha256 {
            Some(sha256) => format!("a set with SHA-256 {sha256}"),
            None => "nothing".to_owned(),
        });
        Err(Error::Changed { what: what.to_owned(), recorded, given })
    }

    /// Checks that a model is the one that the run was started with.
    ///
    /// # Errors
    /// [`Error::Changed`].
    pub fn check_same_model(&self, found: &ModelSource) -> Result<()> {
        if self.model.sha256 == found.sha256 {
            return Ok(());
        }
        let describe = |model: &ModelSource| format!("{}, whose weights have SHA-256 {}", model.name, model.sha256);
        Err(Error::Changed { what: "--model".to_owned(), recorded: describe(&self.model), given: describe(found) })
    }
}
