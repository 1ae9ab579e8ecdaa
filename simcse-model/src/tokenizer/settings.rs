//! `tokenizer_config.json`: the settings that are refused, and the maximum length.
//!
//! Every other setting that affects token ids is read where it is used:
//! [`class`](crate::tokenizer::class), [`special_tokens`](crate::tokenizer::special_tokens),
//! [`pipeline`](crate::tokenizer::pipeline) and [`build`](crate::tokenizer::build). The rest do not
//! affect ids.

use serde_json::Value;

use crate::error::Result;
use crate::io::json::JsonObject;

/// Fields that would make transformers run code, wrap texts, or use a vocabulary other than the
/// files'.
const UNSUPPORTED: [(&str, &str); 16] = [
    ("auto_map", REMOTE),
    ("processor_class", "none (a model of texts has a tokenizer alone; others are not supported)"),
    ("chat_template", "none (texts would be wrapped in it, which is not supported)"),
    ("fast_tokenizer_files", "none (a tokenizer.json for each version is not supported)"),
    ("init_inputs", "none (arguments without names are not supported)"),
    ("vocab", "none (a vocabulary outside of the tokenizer's files is not supported)"),
    ("merges", "none (merges outside of the tokenizer's files are not supported)"),
    ("gguf_file", "none (GGUF is not supported)"),
    ("model_specific_special_tokens", "none (extra_special_tokens is supported)"),
    ("tokenizer_object", INTERNAL),
    ("post_processor", INTERNAL),
    ("tokenizer_truncation", INTERNAL),
    ("tokenizer_padding", INTERNAL),
    ("_json_truncation", INTERNAL),
    ("_json_padding", INTERNAL),
    ("_spm_precompiled_charsmap", INTERNAL),
];

const REMOTE: &str = "none (code of the model's own is not supported: choose another model, or take the field out if \
                      tokenizer.json does all that the code does)";

const INTERNAL: &str = "none (an argument that transformers uses inside is not supported)";

/// Refuses fields that are not supported, unless they are `null` or empty.
pub(crate) fn refuse_unsupported(config: &JsonObject) -> Result<()> {
    let asks = |value: &Value| match value {
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => true,
    };
    match UNSUPPORTED.into_iter().find(|(field, _)| config.get(field).is_some_and(asks)) {
        Some((field, expected)) => Err(config.invalid(field, expected)),
        None => Ok(()),
    }
}

/// `model_max_length` or, under its older name, `max_len`; transformers writes 1e30 for no limit.
pub(crate) fn model_max_length(config: &JsonObject) -> Result<Option<usize>> {
    let names = ["model_max_length", "max_len"];
    let field = names.into_iter().find(|name| config.fields().contains_key(*name)).unwrap_or(names[0]);
    match config.get(field).and_then(Value::as_f64) {
        Some(unlimited) if unlimited > 1e15 => Ok(None),
        _ => config.size(field, 1..=usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(json: &str) -> JsonObject {
        JsonObject::parse(Path::new("tokenizer_config.json"), json.as_bytes()).unwrap()
    }

    #[test]
    fn the_older_name_of_the_length_counts_where_the_newer_is_absent() {
        let length = |json| model_max_length(&config(json)).unwrap();
        assert_eq!(length("{}"), None);
        assert_eq!(length(r#"{"max_len": 7}"#), Some(7));
        assert_eq!(length(r#"{"max_len": 7, "model_max_length": 9}"#), Some(9));
        assert_eq!(length(r#"{"max_len": 7, "model_max_length": null}"#), None);
        assert_eq!(length(r#"{"model_max_length": 1000000000000000019884624838656}"#), None);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let refused = |json| refuse_unsupported(&config(json)).unwrap_err().to_string();
        assert!(refused(r#"{"auto_map": {"AutoTokenizer": ["a.B", null]}}"#).contains("auto_map: expected none"));
        assert!(refused(r#"{"chat_template": ""}"#).contains("chat_template: expected none"));
        refuse_unsupported(&config(r#"{"init_inputs": [], "auto_map": {}, "chat_template": null}"#)).unwrap();
    }
}
