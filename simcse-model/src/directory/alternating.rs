//! ModernBERT's attention in `config.json`: which layers see whole sentences, which see windows,
//! and by which angles positions rotate in each.
//!
//! transformers: `ModernBertConfig`. Version 5 writes `layer_types` and `rope_parameters`; before,
//! the same was in `global_attn_every_n_layers`, `global_rope_theta` and `local_rope_theta`. Both
//! are read, the older names are written, and every version of transformers understands those.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::io::json::JsonObject;

const GLOBAL_EVERY: &str = "global_attn_every_n_layers";
const WINDOW: &str = "local_attention";
const LAYER_TYPES: &str = "layer_types";
const ROPE: &str = "rope_parameters";
const THETAS: [&str; 2] = ["global_rope_theta", "local_rope_theta"];
const GLOBAL: &str = "full_attention";
const LOCAL: &str = "sliding_attention";
const TOKENS: RangeInclusive<usize> = 1..=1 << 20;

/// Layers that see whole sentences in turn with layers that see windows.
///
/// ```
/// use simcse_model::{Architecture, ModelConfig};
///
/// let config = ModelConfig::defaults(Architecture::ModernBert);
/// let attention = config.alternating_attention.unwrap();
/// assert_eq!([0, 1, 2, 3].map(|layer| attention.window(layer)), [None, Some(64), Some(64), None]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlternatingAttention {
    /// Layers 0, n, 2n, … see whole sentences.
    pub global_every: usize,
    /// The window of the other layers in tokens, half of it on either side of a query.
    pub local_attention: usize,
    /// θ of the rotary positions in layers that see whole sentences.
    pub global_theta: f32,
    /// θ in the other layers.
    pub local_theta: f32,
}

impl AlternatingAttention {
    /// transformers' defaults.
    pub(super) const DEFAULT: Self =
        Self { global_every: 3, local_attention: 128, global_theta: 160_000.0, local_theta: 10_000.0 };

    /// The largest distance of a key that a query of a layer sees, in tokens; `None` if it sees
    /// all.
    pub fn window(&self, layer: usize) -> Option<usize> {
        (!layer.is_multiple_of(self.global_every)).then_some(self.local_attention / 2)
    }

    /// Reads the fields of a model of `layers` layers.
    pub(super) fn read(json: &JsonObject, layers: usize) -> Result<Self> {
        let default = Self::DEFAULT;
        json.require_none("rope_scaling")?;
        let [global_theta, local_theta] = thetas(json)?;
        Ok(Self {
            global_every: global_every(json, layers)?,
            local_attention: json.size(WINDOW, TOKENS)?.unwrap_or(default.local_attention),
            global_theta: global_theta.unwrap_or(default.global_theta),
            local_theta: local_theta.unwrap_or(default.local_theta),
        })
    }

    /// The fields, by their older names.
    pub(super) fn write(&self, fields: &mut Map<String, Value>) {
        fields.insert(GLOBAL_EVERY.to_owned(), json!(self.global_every));
        fields.insert(WINDOW.to_owned(), json!(self.local_attention));
        for (name, theta) in THETAS.into_iter().zip([self.global_theta, self.local_theta]) {
            fields.insert(name.to_owned(), json!(theta));
        }
    }
}

/// After how many layers one sees whole sentences.
fn global_every(json: &JsonObject, layers: usize) -> Result<usize> {
    let every = json.size(GLOBAL_EVERY, TOKENS)?;
    let Some(types) = json.get(LAYER_TYPES) else {
        return Ok(every.unwrap_or(AlternatingAttention::DEFAULT.global_every));
    };
    let listed = |every: usize| (0..layers).map(move |layer| if layer % every == 0 { GLOBAL } else { LOCAL });
    let found = (1..=layers).find(|&every| *types == json!(listed(every).collect::<Vec<_>>()));
    found.ok_or_else(|| {
        let expected = format_args!(
            "{GLOBAL:?} for the first of {layers} layers and every n-th after it, {LOCAL:?} for the others"
        );
        json.invalid(LAYER_TYPES, expected)
    })
}

/// Both θ, as far as they are given.
fn thetas(json: &JsonObject) -> Result<[Option<f32>; 2]> {
    let older = |name: &str| {
        if json.fields().get(name).is_some_and(Value::is_null) {
            return Err(json.invalid(name, "a positive number"));
        }
        json.float(name, "a positive number", |theta| theta > 0.0 && theta.is_finite())
    };
    let Some(parameters) = json.get(ROPE) else {
        let [global, local] = THETAS.map(older);
        return Ok([global?, local?]);
    };
    let rotary = |kind: &str| {
        let plain = parameters.get(kind).and_then(Value::as_object);
        let plain = plain.filter(|of| of.keys().all(|key| ["rope_type", "rope_theta"].contains(&key.as_str())));
        let plain = plain.filter(|of| of.get("rope_type").is_none_or(|kind| kind == "default"));
        let theta = plain?.get("rope_theta")?.as_f64()? as f32;
        Some(theta).filter(|theta| *theta > 0.0 && theta.is_finite())
    };
    match [GLOBAL, LOCAL].map(rotary) {
        [Some(global), Some(local)] => Ok([Some(global), Some(local)]),
        _ => {
            let one = r#"{"rope_theta": a positive number, "rope_type": "default"}"#;
            Err(json.invalid(ROPE, format_args!("{GLOBAL:?} and {LOCAL:?}, each {one}")))
        }
    }
}
