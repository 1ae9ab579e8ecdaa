//! The Pooling module: its `config.json`, in both layouts.
//!
//! Source: sentence-transformers' `Pooling`; the layout of versions 2.x to 5.3 (`pooling_mode_*`
//! booleans) and of 5.4+ (one `pooling_mode`).

use std::path::Path;

use serde_json::{Value, json};
use simcse_tensor::{Named, Pooling};

use crate::error::{Error, Result};
use crate::io::json::JsonObject;

/// What the two layouts call the width of an embedding.
pub(super) const WIDTHS: [&str; 2] = ["word_embedding_dimension", "embedding_dimension"];

/// The classic layout's name of each mode, as `Pooling.forward` orders them.
const BOOLEANS: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// The modes that every version of sentence-transformers knows.
const OLDEST: [&str; 4] = ["cls", "max", "mean", "mean_sqrt_len_tokens"];

/// What a Pooling module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolingSettings {
    pub(crate) mode: Pooling,
    /// Whether the tokens of a prompt are pooled, too.
    pub(crate) include_prompt: bool,
}

impl PoolingSettings {
    /// Reads a `1_Pooling/config.json`, whose embeddings are `hidden_size` wide.
    pub(super) fn read(file: &Path, hidden_size: usize) -> Result<Self> {
        let json = JsonObject::read_required(file, "modules.json names a Pooling module there")?;
        let known = ["pooling_mode", "include_prompt"].into_iter().chain(WIDTHS);
        json.require_known(&known.chain(BOOLEANS.map(|(field, _)| field)).collect::<Vec<_>>())?;
        require_width(&json, hidden_size)?;
        let include_prompt = json.flag("include_prompt")?.unwrap_or(true);
        Ok(Self { mode: pooling_mode(&json, file)?, include_prompt })
    }

    /// The `config.json` in the classic layout, which every version reads.
    pub(super) fn to_json(self, hidden_size: usize) -> Value {
        let mut config = json!({ "word_embedding_dimension": hidden_size });
        for (field, mode) in BOOLEANS {
            let chosen = mode == self.mode.name();
            // The oldest versions know the first four modes only.
            if chosen || OLDEST.contains(&mode) {
                config[field] = json!(chosen);
            }
        }
        if !self.include_prompt {
            // Versions before 2.4 do not know the field, and could not compute what it says.
            config["include_prompt"] = json!(false);
        }
        config
    }
}

/// Checks that a module's configuration states the width of the hidden states.
pub(super) fn require_width(json: &JsonObject, hidden_size: usize) -> Result<()> {
    for width in WIDTHS {
        json.require(width, &json!(hidden_size))?;
    }
    if WIDTHS.iter().all(|width| json.get(width).is_none()) {
        return Err(json.invalid(WIDTHS[0], hidden_size));
    }
    Ok(())
}

/// The mode of a Pooling module, in either layout.
fn pooling_mode(json: &JsonObject, file: &Path) -> Result<Pooling> {
    let mode = match json.get("pooling_mode") {
        Some(Value::String(mode)) => mode.as_str(),
        Some(Value::Array(modes)) if modes.len() == 1 => modes[0].as_str().unwrap_or_default(),
        Some(_) => "",
        None => {
            let mut modes = Vec::new();
            for (field, mode) in BOOLEANS {
                if json.flag(field)? == Some(true) {
                    modes.push(mode);
                }
            }
            match modes[..] {
                [] => "mean", // sentence-transformers' default
                [mode] => mode,
                _ => {
                    return Err(Error::field(file, "pooling_mode", "one mode", modes.join(" and ")));
                }
            }
        }
    };
    Pooling::from_name(mode).map_err(|unknown| match mode {
        "" => json.invalid("pooling_mode", unknown.expected),
        mode => Error::field(file, "pooling_mode", unknown.expected, mode),
    })
}
