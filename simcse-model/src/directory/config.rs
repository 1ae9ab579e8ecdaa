//! `config.json`: the shape of an encoder.
//!
//! Names and defaults are those of transformers' configuration classes, such as `BertConfig`.

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Map, Value, json};
use simcse_tensor::{Activation, Named, RelativeBias};

use crate::architecture::{Architecture, Positions};
use crate::directory::alternating::AlternatingAttention;
use crate::error::{Error, Result};
use crate::io::files::read_configuration;
use crate::io::json::JsonObject;

// Generous limits, under which no product of sizes comes near 64 bits.
const VOCABULARY: RangeInclusive<usize> = 1..=1 << 24;
pub(super) const WIDTH: RangeInclusive<usize> = 1..=1 << 16;
const FEED_FORWARD: RangeInclusive<usize> = 1..=1 << 20;
const LAYERS: RangeInclusive<usize> = 1..=1 << 10;
const POSITIONS: RangeInclusive<usize> = 1..=1 << 20;
/// ModernBERT's second name for `hidden_dropout_prob`.
const EMBEDDING_DROPOUT: &str = "embedding_dropout";

/// The shape of an encoder, in BERT's names. Every value that is read is checked: sizes are
/// positive and limited, heads divide the hidden size, dropout rates are in `[0, 1)`.
///
/// ```
/// use simcse_model::{Architecture, ModelConfig};
///
/// let config = ModelConfig {
///     num_hidden_layers: 3,
///     ..ModelConfig::defaults(Architecture::Roberta)
/// };
/// assert_eq!(config.hidden_size, 768);
/// assert_eq!(config.max_tokens(), 510);
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("config.json");
/// std::fs::write(&path, config.to_json())?;
/// assert_eq!(ModelConfig::read(&path)?, config);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub architecture: Architecture,
    /// `V`, the number of rows of the word embeddings.
    pub vocab_size: usize,
    /// `C` (DistilBERT: `dim`).
    pub hidden_size: usize,
    /// `E`, the width of the embeddings of an ELECTRA; `None` for families whose embeddings are
    /// always as wide as their layers. See [`ModelConfig::embedding_width`].
    pub embedding_size: Option<usize>,
    /// The number of Transformer layers (DistilBERT: `n_layers`).
    pub num_hidden_layers: usize,
    /// `H` (DistilBERT: `n_heads`).
    pub num_attention_heads: usize,
    /// `F` (DistilBERT: `hidden_dim`).
    pub intermediate_size: usize,
    /// The activation function of the feed-forward layers (DistilBERT: `activation`).
    pub hidden_act: Activation,
    /// Which layers see whole sentences, and which see windows; `None` for families whose layers
    /// all see whole sentences.
    pub alternating_attention: Option<AlternatingAttention>,
    /// The number of rows of the position embeddings, or of positions in families that have none;
    /// see [`ModelConfig::max_tokens`].
    pub max_position_embeddings: usize,
    /// The number of rows of the token type embeddings; 0 for families that have none.
    pub type_vocab_size: usize,
    /// The ε of every LayerNorm (DistilBERT: always 1e-12).
    pub layer_norm_eps: f32,
    /// The dropout rate after embeddings and dense layers (DistilBERT: `dropout`; ModernBERT:
    /// `embedding_dropout` and `mlp_dropout`, which must be equal).
    pub hidden_dropout_prob: f32,
    /// The dropout rate of attention probabilities (DistilBERT and ModernBERT:
    /// `attention_dropout`).
    pub attention_probs_dropout_prob: f32,
    /// The padding token's id, from which RoBERTa counts its positions.
    pub pad_token_id: usize,
    /// The standard deviation of random initial weights.
    pub initializer_range: f32,
}

impl ModelConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Format`]; [`Error::Field`] for a value that is out of range, or
    /// that names something this crate does not compute, such as another model type or a decoder.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with_bytes(path).map(|(config, _)| config)
    }

    /// The configuration and the bytes of its file.
    ///
    /// # Errors
    /// Those of [`ModelConfig::read`].
    pub(crate) fn read_with_bytes(path: &Path) -> Result<(Self, Vec<u8>)> {
        let bytes = read_configuration(path)?.ok_or_else(|| Error::Missing {
            file: path.to_path_buf(),
            advice: "a model directory holds the model's config.json".to_owned(),
        })?;
        Ok((Self::parse(path, &bytes)?, bytes))
    }

    /// Checks a configuration that was not read: its fields together, as those of a file.
    ///
    /// # Errors
    /// [`Error::Field`].
    pub(crate) fn check(&self) -> Result<()> {
        self.check_together(&JsonObject::parse(Path::new("config.json"), self.to_json().as_bytes())?)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let json = JsonObject::parse(path, bytes)?;
        let found = json.text("model_type")?.unwrap_or_default();
        let architecture =
            Architecture::from_name(found).map_err(|unknown| json.invalid("model_type", unknown.expected))?;
        let family = architecture.family();
        let names = &family.fields;
        refuse_unsupported(&json)?;

        let default = Self::defaults(architecture);
        let default_padding = default.pad_token_id;
        let probability = |name| json.float(name, "a probability in [0, 1)", |p| (0.0..1.0).contains(&p));
        let config = Self {
            architecture,
            vocab_size: json.size("vocab_size", VOCABULARY)?.unwrap_or(default.vocab_size),
            hidden_size: json.size(names.hidden_size, WIDTH)?.unwrap_or(default.hidden_size),
            num_hidden_layers: json.size(names.num_hidden_layers, LAYERS)?.unwrap_or(default.num_hidden_layers),
            num_attention_heads: json.size(names.num_attention_heads, WIDTH)?.unwrap_or(default.num_attention_heads),
            intermediate_size: json.size(names.intermediate_size, FEED_FORWARD)?.unwrap_or(default.intermediate_size),
            hidden_act: activation(&json, names.hidden_act)?.unwrap_or(default.hidden_act),
            max_position_embeddings: json
                .size("max_position_embeddings", POSITIONS)?
                .unwrap_or(default.max_position_embeddings),
            hidden_dropout_prob: probability(names.hidden_dropout_prob)?.unwrap_or(default.hidden_dropout_prob),
            attention_probs_dropout_prob: probability(names.attention_probs_dropout_prob)?
                .unwrap_or(default.attention_probs_dropout_prob),
            pad_token_id: json.size("pad_token_id", 0..=*VOCABULARY.end())?.unwrap_or(default.pad_token_id),
            initializer_range: json
                .float("initializer_range", "a positive number", |sd| sd > 0.0 && sd.is_finite())?
                .unwrap_or(default.initializer_range),
            ..default.clone()
        };
        let config = Self {
            type_vocab_size: match family.has_token_types {
                true => json.size("type_vocab_size", VOCABULARY)?.unwrap_or(config.type_vocab_size),
                false => 0,
            },
            layer_norm_eps: match names.layer_norm_eps {
                Some(name) => json
                    .float(name, "a positive number", |eps| eps > 0.0 && eps.is_finite())?
                    .unwrap_or(config.layer_norm_eps),
                None => config.layer_norm_eps,
            },
            embedding_size: match family.has_embedding_size {
                true => json.size("embedding_size", WIDTH)?.or(config.embedding_size),
                false => None,
            },
            alternating_attention: match default.alternating_attention {
                Some(_) => Some(AlternatingAttention::read(&json, config.num_hidden_layers)?),
                None => None,
            },
            ..config
        };
        if !family.has_biases {
            for biases in ["attention_bias", "mlp_bias", "norm_bias"] {
                json.require(biases, &json!(false))?;
            }
            if probability(EMBEDDING_DROPOUT)?.unwrap_or(default.hidden_dropout_prob) != config.hidden_dropout_prob {
                let expected = format_args!("{} {}", names.hidden_dropout_prob, config.hidden_dropout_prob);
                return Err(json.invalid(EMBEDDING_DROPOUT, expected));
            }
        }
        if family.has_relative_attention {
            json.require("relative_attention_num_buckets", &json!(RelativeBias::BUCKETS))?;
            // transformers' code has this number where others read it from the configuration.
            json.require("pad_token_id", &json!(default_padding))?;
        }
        config.check_together(&json)?;
        Ok(config)
    }

    /// The conditions on more than one field.
    fn check_together(&self, json: &JsonObject) -> Result<()> {
        let names = &self.architecture.family().fields;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format_args!("a divisor of {} {}", names.hidden_size, self.hidden_size);
            return Err(json.invalid(names.num_attention_heads, expected));
        }
        let head_size = self.hidden_size / self.num_attention_heads;
        if self.alternating_attention.is_some() && !head_size.is_multiple_of(2) {
            let expected = format_args!("heads of an even width, as rotary positions need them; {head_size} is odd");
            return Err(json.invalid(names.num_attention_heads, expected));
        }
        if self.pad_token_id >= self.vocab_size {
            return Err(json.invalid("pad_token_id", format_args!("less than vocab_size {}", self.vocab_size)));
        }
        if self.max_tokens() == 0 {
            let expected = format_args!("more than pad_token_id + 1, {}", self.pad_token_id + 1);
            return Err(json.invalid("max_position_embeddings", expected));
        }
        Ok(())
    }

    /// The defaults of transformers' configuration classes, for fields that a `config.json` does
    /// not have.
    #[must_use]
    pub fn defaults(architecture: Architecture) -> Self {
        let bert = Self {
            architecture,
            vocab_size: 30522,
            hidden_size: 768,
            embedding_size: None,
            alternating_attention: None,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: Activation::Gelu,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            pad_token_id: 0,
            initializer_range: 0.02,
        };
        match architecture {
            Architecture::Bert => bert,
            Architecture::Roberta => Self { vocab_size: 50265, pad_token_id: 1, ..bert },
            Architecture::XlmRoberta | Architecture::Camembert => Self { pad_token_id: 1, ..bert },
            Architecture::DistilBert => Self { num_hidden_layers: 6, type_vocab_size: 0, ..bert },
            Architecture::Electra => Self {
                hidden_size: 256,
                embedding_size: Some(128),
                num_attention_heads: 4,
                intermediate_size: 1024,
                ..bert
            },
            Architecture::ModernBert => Self {
                vocab_size: 50368,
                num_hidden_layers: 22,
                intermediate_size: 1152,
                alternating_attention: Some(AlternatingAttention::DEFAULT),
                max_position_embeddings: 8192,
                type_vocab_size: 0,
                layer_norm_eps: 1e-5,
                hidden_dropout_prob: 0.0,
                attention_probs_dropout_prob: 0.0,
                pad_token_id: 50283,
                ..bert
            },
            Architecture::Mpnet => Self { vocab_size: 30527, type_vocab_size: 0, pad_token_id: 1, ..bert },
        }
    }

    /// `E`, the width of the embeddings; `C` for all families but ELECTRA.
    pub fn embedding_width(&self) -> usize {
        self.embedding_size.unwrap_or(self.hidden_size)
    }

    /// The largest distance, in tokens, of a key that a query of a layer sees; `None` if it sees
    /// all.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.alternating_attention.and_then(|attention| attention.window(layer))
    }

    /// The width of what the first feed-forward layer computes: F, or 2F with a gate.
    pub fn feed_forward_width(&self) -> usize {
        let halves = if self.architecture.family().has_gate { 2 } else { 1 };
        halves * self.intermediate_size
    }

    /// The length of the longest sentence in tokens, special ones included. RoBERTa and its
    /// relatives have fewer than their position embeddings have rows, because their first position
    /// is after the padding index.
    pub fn max_tokens(&self) -> usize {
        match self.architecture.family().positions {
            Positions::AfterPadding => self.max_position_embeddings.saturating_sub(self.pad_token_id + 1),
            Positions::FromZero | Positions::Rotary => self.max_position_embeddings,
        }
    }

    /// A `config.json` as transformers would write it.
    pub fn to_json(&self) -> String {
        let family = self.architecture.family();
        let names = &family.fields;
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("architectures", json!([family.class]));
        put("model_type", json!(self.architecture.name()));
        put("vocab_size", json!(self.vocab_size));
        put(names.hidden_size, json!(self.hidden_size));
        put(names.num_hidden_layers, json!(self.num_hidden_layers));
        put(names.num_attention_heads, json!(self.num_attention_heads));
        put(names.intermediate_size, json!(self.intermediate_size));
        put(names.hidden_act, json!(self.hidden_act.name()));
        put(names.hidden_dropout_prob, decimal(self.hidden_dropout_prob));
        put(names.attention_probs_dropout_prob, decimal(self.attention_probs_dropout_prob));
        put("max_position_embeddings", json!(self.max_position_embeddings));
        if let Some(embedding_size) = self.embedding_size {
            put("embedding_size", json!(embedding_size));
        }
        if family.has_token_types {
            put("type_vocab_size", json!(self.type_vocab_size));
        }
        if let Some(name) = names.layer_norm_eps {
            put(name, decimal(self.layer_norm_eps));
        }
        if family.has_relative_attention {
            put("relative_attention_num_buckets", json!(RelativeBias::BUCKETS));
        }
        put("pad_token_id", json!(self.pad_token_id));
        put("initializer_range", decimal(self.initializer_range));
        if let Some(attention) = &self.alternating_attention {
            put(EMBEDDING_DROPOUT, decimal(self.hidden_dropout_prob));
            attention.write(&mut fields);
        }
        format!("{:#}\n", Value::Object(fields))
    }
}

/// Refuses models that are computed in a way that this crate does not know.
fn refuse_unsupported(json: &JsonObject) -> Result<()> {
    json.require("position_embedding_type", &json!("absolute"))?;
    for decoder in ["is_decoder", "add_cross_attention"] {
        json.require(decoder, &json!(false))?;
    }
    for other in ["auto_map", "quantization_config"] {
        if json.get(other).is_some_and(|value| *value != json!({})) {
            return Err(json.invalid(other, "none (a model of other code or weights is not supported)"));
        }
    }
    Ok(())
}

/// The activation function that a field names.
fn activation(json: &JsonObject, field: &str) -> Result<Option<Activation>> {
    let named = json.text(field)?.map(Activation::from_name).transpose();
    named.map_err(|unknown| json.invalid(field, unknown.expected))
}

/// The shortest decimal that is the same f32: 0.1 rather than 0.10000000149011612.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
#[path = "tests/config.rs"]
mod tests;
