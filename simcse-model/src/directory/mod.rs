//! A model directory of sentence-transformers or plain Hugging Face: reads and writes everything
//! but the values of the weights.
//!
//! This room knows the files of a model and what transformers and sentence-transformers make of
//! them. It must not know how a hidden state or an embedding is computed, nor anything of training
//! or of the hub.
//!
//! Source: sentence-transformers' `SentenceTransformer` and `Transformer`.

pub(crate) mod alternating;
pub(crate) mod config;
pub(crate) mod dense;
pub(crate) mod encoder_tensors;
pub(crate) mod layer_mix;
pub(crate) mod modules;
mod pooling;
pub(crate) mod prompts;
pub(crate) mod sizes;
mod stated_length;
pub(crate) mod text_settings;
pub(crate) mod weights;
pub(crate) mod word_weights;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use simcse_tensor::Pooling;

use crate::architecture::Architecture;
use crate::directory::config::ModelConfig;
use crate::directory::dense::DenseModule;
use crate::directory::layer_mix::LayerMix;
use crate::directory::modules::{Module, Modules};
use crate::directory::pooling::PoolingSettings;
use crate::directory::prompts::Prompts;
use crate::directory::stated_length::StatedLength;
use crate::directory::text_settings::TextSettings;
use crate::directory::weights::file::WeightsFile;
use crate::directory::weights::forms::SAFETENSORS;
use crate::directory::weights::write::WeightType;
use crate::directory::word_weights::WordWeights;
use crate::error::{Error, Result};
use crate::io::files::{uninterrupted, write_bytes};
use crate::io::json::JsonObject;
use crate::tokenizer::encode::Tokenizer;

const CONFIG: &str = "config.json";
/// An adapter and what is expected instead: without its weights, it would be a different model.
pub(crate) const ADAPTER: (&str, &str) =
    ("adapter_config.json", "no adapter (it is not supported; merge its weights into the model's first)");
/// The prompts of a sentence-transformers model.
pub(crate) const MODEL_SETTINGS: &str = "config_sentence_transformers.json";
/// The head of masked language modeling: a safetensors file with the names of transformers'
/// `BertForMaskedLM` and similar classes.
const MLM_HEAD: &str = "mlm_head.safetensors";

/// A model without its weights. Everything that is written back is kept in memory, so the directory
/// may change or disappear in the meantime.
///
/// To write a model with other settings, change the public fields.
#[derive(Debug)]
pub struct ModelDirectory {
    /// The shape of the encoder.
    pub config: ModelConfig,
    /// The tokenizer; it already lower-cases if `do_lower_case` is set.
    pub tokenizer: Tokenizer,
    /// Which hidden states are pooled; `None` for the last layer's alone.
    pub layer_mix: Option<LayerMix>,
    /// How much each token counts in mean pooling; `None` if all count the same.
    pub word_weights: Option<WordWeights>,
    /// How token embeddings become a sentence embedding, always mean with word weights; mean for a
    /// plain Hugging Face directory.
    pub pooling: Pooling,
    /// Whether pooling includes the tokens of a prompt.
    pub include_prompt: bool,
    /// Whether embeddings are scaled to length 1.
    pub normalize: bool,
    /// The longest sentence in tokens, special ones included; never more than the model has
    /// positions for.
    pub max_seq_length: usize,
    /// Whether texts are lower-cased before the tokenizer's own normalization.
    pub do_lower_case: bool,
    /// Whether the directory already holds a sentence-embedding model (it has a `modules.json`).
    pub is_sentence_transformers: bool,
    /// The directory of the weights: the model's own or its `0_Transformer`.
    pub transformer: PathBuf,
    /// The prompts that may be put in front of texts.
    pub prompts: Prompts,
    dense: Vec<DenseModule>,
    config_json: Vec<u8>,
    /// The warning that the model has no positions for the length that its files state.
    length_warning: Option<String>,
}

impl ModelDirectory {
    /// Reads the model in `dir`.
    ///
    /// # Errors
    /// Whatever is missing or malformed, and whatever sentence-transformers would compute
    /// differently: see [`Error`].
    pub fn read(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            let advice = "expected a model directory".to_owned();
            return Err(Error::Missing { file: dir.to_path_buf(), advice });
        }
        let modules = Modules::read(dir)?;
        let transformer = modules.as_ref().map_or(dir.to_path_buf(), |modules| dir.join(&modules.transformer));
        refuse_adapter(&transformer)?;
        let (config, config_json) = ModelConfig::read_with_bytes(&transformer.join(CONFIG))?;
        let mut tokenizer = Tokenizer::read(&transformer)?;
        fit(&mut tokenizer, &config, &transformer)?;

        let json = JsonObject::parse(&transformer.join(CONFIG), &config_json)?;
        let (layer_mix, word_weights, pooling, dense) = match &modules {
            None => (None, None, PoolingSettings { mode: Pooling::Mean, include_prompt: true }, Vec::new()),
            Some(modules) => {
                modules.check_normalize(dir)?;
                let width = config.hidden_size;
                let mix = modules.layer_mix(dir, &config, &json)?;
                let word_weights = modules.word_weights(dir, tokenizer.ids())?;
                let pooling = modules.pooling(dir, width)?;
                (mix, word_weights, pooling, modules.dense(dir, width)?)
            }
        };
        let (settings, prompts) = match &modules {
            None => {
                refuse_last_token(&json)?;
                (TextSettings::default(), Prompts::default())
            }
            Some(_) => (TextSettings::read(&transformer)?, read_prompts(&dir.join(MODEL_SETTINGS))?),
        };
        if settings.do_lower_case {
            tokenizer.lower_case_first()?;
        }
        let stated = StatedLength::of(&settings, &tokenizer);
        let most = config.max_tokens();
        Ok(Self {
            max_seq_length: stated.as_ref().map_or(most, |stated| stated.tokens.min(most)),
            length_warning: stated.and_then(|stated| stated.warning(&transformer, &config)),
            config,
            tokenizer,
            layer_mix,
            word_weights,
            pooling: pooling.mode,
            include_prompt: pooling.include_prompt,
            dense,
            normalize: modules.as_ref().is_some_and(|modules| modules.normalize.is_some()),
            do_lower_case: settings.do_lower_case,
            is_sentence_transformers: modules.is_some(),
            transformer,
            prompts,
            config_json,
        })
    }

    /// A new model, which has no directory yet.
    ///
    /// # Errors
    /// [`Error::Field`] if the configuration is not one that could be read, or if the model has no
    /// embeddings for the tokens that the tokenizer puts around a text.
    pub fn new(config: ModelConfig, mut tokenizer: Tokenizer, pooling: Pooling, max_seq_length: usize) -> Result<Self> {
        config.check()?;
        fit(&mut tokenizer, &config, Path::new(""))?;
        Ok(Self {
            max_seq_length: max_seq_length.min(config.max_tokens()),
            config_json: config.to_json().into_bytes(),
            config,
            tokenizer,
            layer_mix: None,
            word_weights: None,
            pooling,
            include_prompt: true,
            dense: Vec::new(),
            normalize: false,
            do_lower_case: false,
            is_sentence_transformers: false,
            transformer: PathBuf::new(),
            prompts: Prompts::default(),
            length_warning: None,
        })
    }

    /// The warning, in one line, that longer texts are truncated than the files of the model say,
    /// because it has no positions for them.
    pub(crate) fn length_warning(&self) -> Option<&str> {
        self.length_warning.as_deref()
    }

    /// Refuses a configuration whose head of masked language modeling does not share its weights
    /// with the word embeddings.
    ///
    /// # Errors
    /// [`Error::Field`].
    pub(crate) fn require_tied_head(&self) -> Result<()> {
        let json = JsonObject::parse(&self.transformer.join(CONFIG), &self.config_json)?;
        json.require("tie_word_embeddings", &json!(true))?;
        for (field, value) in self.config.architecture.family().head.required {
            let value = serde_json::from_str(value).expect("JSON in the table of families");
            json.require(field, &value)?;
        }
        Ok(())
    }

    /// Opens the model's weights.
    ///
    /// # Errors
    /// As [`WeightsFile::find`].
    pub fn weights(&self) -> Result<WeightsFile> {
        WeightsFile::find(&self.transformer)
    }

    /// The path of the weights in the directory that [`ModelDirectory::write`] writes.
    pub fn weights_path(out: &Path) -> PathBuf {
        out.join(SAFETENSORS)
    }

    /// Whether this is a language model that was trained here (`simcse pretrain`): its head is in a
    /// file next to it. sentence-transformers loads such a directory, but nothing has tuned its
    /// embeddings yet.
    pub fn has_mlm_head(&self) -> bool {
        Self::mlm_head_path(&self.transformer).exists()
    }

    /// The path of the head of masked language modeling in a directory.
    pub(crate) fn mlm_head_path(dir: &Path) -> PathBuf {
        dir.join(MLM_HEAD)
    }

    /// Writes everything but the weights to `out`, in the classic layout, which
    /// `SentenceTransformer(out)` of versions 2.x to 6.x loads. `config.json` and the tokenizer's
    /// files are the base model's, byte for byte, except that a `config.json` that declares weights
    /// of another type than f32 is changed to f32, and that it is made to ask for all hidden states
    /// if several are pooled.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, out: &Path) -> Result<()> {
        self.write_with(out, WeightType::F32)
    }

    /// [`write`](Self::write) for weights of any type.
    pub(crate) fn write_with(&self, out: &Path, weights: WeightType) -> Result<()> {
        uninterrupted(|| std::fs::create_dir_all(out)).map_err(Error::io(out))?;
        write_bytes(&out.join(CONFIG), &self.written_config(weights)?)?;
        self.tokenizer.write(out, self.config.architecture == Architecture::Bert)?;
        let settings = json!({ "max_seq_length": self.max_seq_length, "do_lower_case": self.do_lower_case });
        write_json(&out.join(text_settings::TEXT_SETTINGS[0]), &settings)?;
        let settings = json!({
            "prompts": self.prompts.saved(),
            "default_prompt_name": self.prompts.default_name(),
            "similarity_fn_name": "cosine",
        });
        write_json(&out.join(MODEL_SETTINGS), &settings)?;
        modules::write(out, &self.chain(), self.config.hidden_size)
    }

    /// The modules of the model.
    fn chain(&self) -> Vec<Module<'_>> {
        let mut chain = vec![Module::Transformer];
        chain.extend(self.layer_mix.as_ref().map(Module::LayerMix));
        chain.extend(self.word_weights.as_ref().map(Module::WordWeights));
        chain.push(Module::Pooling(PoolingSettings { mode: self.pooling, include_prompt: self.include_prompt }));
        chain.extend(self.dense.iter().map(Module::Dense));
        chain.extend(self.normalize.then_some(Module::Normalize));
        chain
    }

    /// The dense layers that follow pooling, in their order.
    pub fn dense(&self) -> &[DenseModule] {
        &self.dense
    }

    /// Appends a dense layer, whose weights are the caller's to write.
    pub(crate) fn push_dense(&mut self, dense: DenseModule) {
        self.dense.push(dense);
    }

    /// The paths of the weights of the dense layers in the directory that
    /// [`ModelDirectory::write`] writes.
    pub(crate) fn dense_weights_paths(&self, out: &Path) -> Vec<PathBuf> {
        let chain = self.chain();
        let dense = chain.iter().enumerate().filter(|(_, module)| matches!(module, Module::Dense(_)));
        dense.map(|(index, module)| out.join(module.path(index)).join(SAFETENSORS)).collect()
    }

    /// Whether `name` is that of a module's directory in a directory that
    /// [`ModelDirectory::write`] writes.
    pub fn is_module(name: &str) -> bool {
        modules::is_module(name)
    }

    /// The number of values in an embedding.
    pub fn dimension(&self) -> usize {
        self.dense.last().map_or(self.config.hidden_size, |dense| dense.out_features)
    }

    /// A close upper bound on the bytes that [`ModelDirectory::write`] writes.
    pub(crate) fn size_on_disk(&self) -> u64 {
        const SMALL_FILES: usize = 64 << 10;
        let word_weights = self.word_weights.as_ref().map_or(0, WordWeights::size_on_disk);
        (self.config_json.len() + self.tokenizer.size_on_disk() + word_weights + SMALL_FILES) as u64
    }

    /// transformers loads weights in the type that `config.json` names, or else in their own. It
    /// returns all hidden states, of which sentence-transformers computes a mix, only if told to.
    fn written_config(&self, weights: WeightType) -> Result<Vec<u8>> {
        let path = self.transformer.join(CONFIG);
        let mut config: Value =
            serde_json::from_slice(&self.config_json).map_err(|error| Error::format(&path, "a JSON object", error))?;
        let mut changed = false;
        for field in ["dtype", "torch_dtype"] {
            let written = weights.torch_name();
            if let Some(dtype) = config.get_mut(field).filter(|dtype| dtype.is_string() && *dtype != written) {
                *dtype = json!(written);
                changed = true;
            }
        }
        if self.layer_mix.is_some() && config.get("output_hidden_states") != Some(&json!(true)) {
            config["output_hidden_states"] = json!(true);
            changed = true;
        }
        Ok(if changed { format!("{config:#}\n").into_bytes() } else { self.config_json.clone() })
    }
}

fn refuse_adapter(transformer: &Path) -> Result<()> {
    let (name, expected) = ADAPTER;
    let file = transformer.join(name);
    if file.exists() { Err(Error::format(&file, expected, "one")) } else { Ok(()) }
}

/// Refuses a plain directory of a causal model, whose last token sentence-transformers would pool.
fn refuse_last_token(config: &JsonObject) -> Result<()> {
    const FIELD: &str = "architectures";
    let first = config.get(FIELD).and_then(|architectures| architectures[0].as_str()).unwrap_or_default();
    if first.ends_with("ForCausalLM") && config.get("is_causal") != Some(&json!(false)) {
        let expected = "a model that is not causal (pooling of the last token is not supported)";
        return Err(config.invalid(FIELD, expected));
    }
    Ok(())
}

/// Limits the tokenizer to the tokens and token types that the model has embeddings for.
fn fit(tokenizer: &mut Tokenizer, config: &ModelConfig, transformer: &Path) -> Result<()> {
    if tokenizer.has_token_types() && config.architecture.family().has_token_types {
        let file = transformer.join("tokenizer.json");
        let expected = "a template of token type 0 (others are not supported)";
        return Err(Error::field(&file, "post_processor", expected, "another"));
    }
    tokenizer.fit(config.vocab_size)
}

/// The prompts of a sentence-transformers model. Any other setting in the file that would change
/// embeddings is an error.
fn read_prompts(file: &Path) -> Result<Prompts> {
    let json = JsonObject::read(file)?;
    json.require("model_type", &json!("SentenceTransformer"))?;
    json.require_none("truncate_dim")?;
    Prompts::read(file, &json)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    write_bytes(path, format!("{value:#}\n").as_bytes())
}

#[cfg(test)]
#[path = "tests/directory.rs"]
mod tests;
