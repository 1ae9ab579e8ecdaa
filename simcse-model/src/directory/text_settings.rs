//! `sentence_bert_config.json`: how sentence-transformers' Transformer module treats texts.
//!
//! Source: sentence-transformers' `Transformer.load_config` and `Transformer.__init__` (version 6).

use std::path::Path;

use serde_json::json;

use crate::error::Result;
use crate::io::json::JsonObject;

/// The names that the file has had, in the order in which they are tried.
pub(crate) const TEXT_SETTINGS: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// Arguments for loading the parts of a model, under their new and old names.
const ARGUMENTS: [&str; 7] = [
    "processing_kwargs",
    "processor_kwargs",
    "model_kwargs",
    "config_kwargs",
    "tokenizer_args",
    "model_args",
    "config_args",
];

/// What only a multi-vector model has.
const MULTI_VECTOR: [&str; 3] = ["query_length", "document_length", "query_expansion"];

/// The settings that are honored.
#[derive(Debug, Default)]
pub(crate) struct TextSettings {
    /// The name of the file that they are from.
    pub(crate) file: &'static str,
    pub(crate) max_seq_length: Option<usize>,
    pub(crate) do_lower_case: bool,
}

impl TextSettings {
    /// Reads the settings in the directory of the Transformer module. A setting that would change
    /// the embeddings and is not supported is an error, and so is one that sentence-transformers
    /// does not know.
    pub(crate) fn read(transformer: &Path) -> Result<Self> {
        // The first file that is not empty is used.
        for name in TEXT_SETTINGS {
            let json = JsonObject::read(&transformer.join(name))?;
            if !json.is_empty() {
                return Self::of(name, &json);
            }
        }
        Ok(Self::default())
    }

    fn of(file: &'static str, json: &JsonObject) -> Result<Self> {
        let read = ["max_seq_length", "do_lower_case", "transformer_task", "module_output_name", "modality_config"];
        let harmless = ["unpad_inputs", "backend"];
        json.require_known(&[&read[..], &harmless, &ARGUMENTS, &MULTI_VECTOR].concat())?;
        json.require("transformer_task", &json!("feature-extraction"))?;
        json.require("module_output_name", &json!("token_embeddings"))?;
        let forward = json!({ "method": "forward", "method_output_name": "last_hidden_state" });
        json.require("modality_config", &json!({ "text": forward }))?;
        ARGUMENTS.into_iter().try_for_each(|arguments| json.require(arguments, &json!({})))?;
        MULTI_VECTOR.into_iter().try_for_each(|field| json.require_none(field))?;
        Ok(Self {
            file,
            max_seq_length: json.size("max_seq_length", 1..=usize::MAX)?,
            do_lower_case: json.flag("do_lower_case")?.unwrap_or(false),
        })
    }
}
