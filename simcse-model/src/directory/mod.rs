//! A model directory, of sentence-transformers or plain Hugging Face: everything but the weights, read and written.
//!
//! Source: sentence-transformers' `SentenceTransformer` and `Transformer`.

pub(crate) mod config;
pub(crate) mod encoder_tensors;
pub(crate) mod modules;
pub(crate) mod weights;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use simcse_tensor::Pooling;

use crate::directory::config::ModelConfig;
use crate::directory::modules::Modules;
use crate::directory::weights::WeightsFile;
use crate::error::{Error, Result};
use crate::io::files::{uninterrupted, write_bytes};
use crate::io::json::JsonObject;
use crate::tokenizer::Tokenizer;

const CONFIG: &str = "config.json";
/// The names that the text settings of a sentence-transformers model have had, the current one
/// first.
pub(crate) const TEXT_SETTINGS: [&str; 3] =
    ["sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json"];
/// The prompts of a sentence-transformers model.
pub(crate) const MODEL_SETTINGS: &str = "config_sentence_transformers.json";
/// The weights.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// A model without its weights. What is written back is in memory, so the directory may change or vanish meanwhile.
///
/// To write a model with other settings, change the public fields.
#[derive(Debug)]
pub struct ModelDirectory {
    /// The shape of the encoder.
    pub config: ModelConfig,
    /// The tokenizer; if `do_lower_case`, it lower-cases.
    pub tokenizer: Tokenizer,
    /// How token embeddings become a sentence embedding; mean for a plain Hugging Face directory.
    pub pooling: Pooling,
    /// Whether embeddings are scaled to length 1.
    pub normalize: bool,
    /// The longest sentence in tokens, special ones included; never more than the model has positions for.
    pub max_seq_length: usize,
    /// Whether texts are lower-cased before the tokenizer's own normalization.
    pub do_lower_case: bool,
    /// Whether the directory already holds a sentence-embedding model (it has a `modules.json`).
    pub is_sentence_transformers: bool,
    /// Where the weights lie: the directory itself or its `0_Transformer`.
    pub transformer: PathBuf,
    prompts: Prompts,
    config_json: Vec<u8>,
}

/// The prompts of `config_sentence_transformers.json`, carried over.
#[derive(Debug, Default)]
struct Prompts {
    prompts: Map<String, Value>,
    default_prompt_name: Option<String>,
}

/// `sentence_bert_config.json`.
#[derive(Default)]
struct TextSettings {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

impl ModelDirectory {
    /// Reads the model in `dir`.
    ///
    /// # Errors
    /// Whatever is missing, malformed, or would be computed otherwise by sentence-transformers than here: see [`Error`].
    pub fn read(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            let advice = "expected a model directory".to_owned();
            return Err(Error::Missing { file: dir.to_path_buf(), advice });
        }
        let modules = Modules::read(dir)?;
        let transformer = modules.as_ref().map_or(dir.to_path_buf(), |modules| dir.join(&modules.transformer));
        let (config, config_json) = ModelConfig::read_with_bytes(&transformer.join(CONFIG))?;
        let mut tokenizer = Tokenizer::read(&transformer)?;
        tokenizer.check_fits(config.vocab_size)?;

        let (pooling, settings, prompts) = match &modules {
            None => (Pooling::Mean, TextSettings::default(), Prompts::default()),
            Some(modules) => (
                modules.pooling_mode(dir, config.hidden_size)?,
                TextSettings::read(&transformer)?,
                Prompts::read(&dir.join(MODEL_SETTINGS))?,
            ),
        };
        if settings.do_lower_case {
            tokenizer.lower_case_first()?;
        }
        let wanted = settings.max_seq_length.or(tokenizer.model_max_length());
        let max_seq_length = wanted.unwrap_or(usize::MAX).min(config.max_tokens());
        Ok(Self {
            config,
            tokenizer,
            pooling,
            normalize: modules.as_ref().is_some_and(|modules| modules.normalize),
            max_seq_length,
            do_lower_case: settings.do_lower_case,
            is_sentence_transformers: modules.is_some(),
            transformer,
            prompts,
            config_json,
        })
    }

    /// A model made here, which has no directory yet.
    ///
    /// # Errors
    /// [`Error::Field`] if the tokenizer has ids that the model has no embeddings for.
    pub fn new(config: ModelConfig, tokenizer: Tokenizer, pooling: Pooling, max_seq_length: usize) -> Result<Self> {
        tokenizer.check_fits(config.vocab_size)?;
        Ok(Self {
            max_seq_length: max_seq_length.min(config.max_tokens()),
            config_json: config.to_json().into_bytes(),
            config,
            tokenizer,
            pooling,
            normalize: false,
            do_lower_case: false,
            is_sentence_transformers: false,
            transformer: PathBuf::new(),
            prompts: Prompts::default(),
        })
    }

    /// Opens the model's weights.
    ///
    /// # Errors
    /// As [`WeightsFile::read`].
    pub fn weights(&self) -> Result<WeightsFile> {
        WeightsFile::read(&self.transformer.join(WEIGHTS))
    }

    /// Where [`ModelDirectory::write`]'s directory holds the weights.
    pub fn weights_path(out: &Path) -> PathBuf {
        out.join(WEIGHTS)
    }

    /// Writes everything but the weights to `out`, in the classic layout: `SentenceTransformer(out)` of versions 2.x to
    /// 6.x loads it. `config.json` and the tokenizer's files are the base model's, byte for byte; only a `config.json` that
    /// announces weights of another type than f32 says f32.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, out: &Path) -> Result<()> {
        uninterrupted(|| std::fs::create_dir_all(out)).map_err(Error::io(out))?;
        write_bytes(&out.join(CONFIG), &self.config_with_f32()?)?;
        self.tokenizer.write(out, self.config.architecture)?;
        let settings = json!({ "max_seq_length": self.max_seq_length, "do_lower_case": self.do_lower_case });
        write_json(&out.join(TEXT_SETTINGS[0]), &settings)?;
        let settings = json!({
            "prompts": self.prompts.prompts,
            "default_prompt_name": self.prompts.default_prompt_name,
            "similarity_fn_name": "cosine",
        });
        write_json(&out.join(MODEL_SETTINGS), &settings)?;
        modules::write(out, self.pooling, self.normalize, self.config.hidden_size)
    }

    /// About the bytes that [`ModelDirectory::write`] writes, and never fewer.
    pub(crate) fn size_on_disk(&self) -> u64 {
        const SMALL_FILES: usize = 64 << 10;
        (self.config_json.len() + self.tokenizer.size_on_disk() + SMALL_FILES) as u64
    }

    /// transformers loads weights in the type that `config.json` names, and we write f32.
    fn config_with_f32(&self) -> Result<Vec<u8>> {
        let path = self.transformer.join(CONFIG);
        let mut config: Value =
            serde_json::from_slice(&self.config_json).map_err(|error| Error::format(&path, "a JSON object", error))?;
        let mut changed = false;
        for field in ["dtype", "torch_dtype"] {
            if let Some(dtype) = config.get_mut(field).filter(|dtype| dtype.is_string() && *dtype != "float32") {
                *dtype = json!("float32");
                changed = true;
            }
        }
        Ok(if changed { format!("{config:#}\n").into_bytes() } else { self.config_json.clone() })
    }
}

impl TextSettings {
    /// Reads the first of the names that the file has had. What would change the embeddings and is not done here is an
    /// error.
    fn read(transformer: &Path) -> Result<Self> {
        for name in TEXT_SETTINGS {
            let json = JsonObject::read(&transformer.join(name))?;
            if json.is_empty() {
                continue;
            }
            json.require("transformer_task", &json!("feature-extraction"))?;
            json.require("module_output_name", &json!("token_embeddings"))?;
            let forward = json!({ "method": "forward", "method_output_name": "last_hidden_state" });
            json.require("modality_config", &json!({ "text": forward }))?;
            let arguments = ["processing", "processor", "tokenizer", "model", "config"];
            for argument in arguments.iter().flat_map(|of| [format!("{of}_kwargs"), format!("{of}_args")]) {
                json.require(&argument, &json!({}))?;
            }
            for multi_vector in ["query_length", "document_length", "query_expansion"] {
                json.require(multi_vector, &Value::Null)?;
            }
            return Ok(Self {
                max_seq_length: json.size("max_seq_length", 1..=usize::MAX)?,
                do_lower_case: json.flag("do_lower_case")?.unwrap_or(false),
            });
        }
        Ok(Self::default())
    }
}

impl Prompts {
    fn read(file: &Path) -> Result<Self> {
        let json = JsonObject::read(file)?;
        json.require("model_type", &json!("SentenceTransformer"))?;
        let prompts = match json.get("prompts") {
            None => Map::new(),
            Some(Value::Object(prompts)) => prompts.clone(),
            Some(_) => return Err(json.invalid("prompts", "an object")),
        };
        let default_prompt_name = json.text("default_prompt_name")?.map(str::to_owned);
        if let Some(name) = &default_prompt_name
            && prompts.get(name).is_none_or(|prompt| prompt != "")
        {
            // It would stand before every text.
            return Err(json.invalid("default_prompt_name", "none, or that of an empty prompt"));
        }
        Ok(Self { prompts, default_prompt_name })
    }
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    write_bytes(path, format!("{value:#}\n").as_bytes())
}

#[cfg(test)]
#[path = "tests/directory.rs"]
mod tests;
