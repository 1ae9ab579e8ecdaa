//! Which files of a repository make a model.

use std::path::Path;

use serde::Deserialize;

use super::error::HubError;

/// The list of a sentence-transformers model's modules.
pub(super) const MODULES: &str = "modules.json";
/// The weights. They are fetched last: a snapshot that has them is not the rest of an interrupted download.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// The weights as a Python pickle, which is not read.
pub(super) const PICKLE: &str = "pytorch_model.bin";

/// What is fetched from the model's directory and from those of its modules, where the repository has it.
pub(super) const WANTED: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    WEIGHTS,
];

/// One entry of `modules.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Module {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

impl Module {
    /// The module's directory as a prefix of file names: empty, or with a slash at its end.
    pub(super) fn prefix(&self) -> String {
        match self.path.trim_end_matches('/') {
            "" => String::new(),
            path => format!("{path}/"),
        }
    }

    /// `Normalize` alone has no files.
    fn has_config(&self) -> bool {
        !self.kind.ends_with("Normalize")
    }
}

/// Parses `modules.json`.
///
/// # Errors
///
/// What is not such a list, or a path that leads out of the model.
pub(super) fn parse_modules(json: &[u8], path: &Path) -> Result<Vec<Module>, HubError> {
    let bad = |reason: String| HubError::Modules { path: path.to_owned(), reason };
    let modules: Vec<Module> = serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?;
    match modules.iter().find(|module| !is_inside(&module.path)) {
        Some(module) => Err(bad(format!("path {} leads out of the model", module.path))),
        None => Ok(modules),
    }
}

fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.is_empty() || path.split('/').all(plain)
}

/// Where the transformer's own files are: in the first module's directory.
pub(super) fn root(modules: &[Module]) -> String {
    modules.first().map(Module::prefix).unwrap_or_default()
}

/// The first thing without which there is no model.
pub(super) fn missing(root: &str, has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let has = |name: &str| has(&format!("{root}{name}"));
    if !has("config.json") {
        Some("config.json")
    } else if !(has("tokenizer.json") || has("vocab.txt") || has("vocab.json") && has("merges.txt")) {
        Some("tokenizer.json, vocab.txt, or vocab.json with merges.txt")
    } else if !has(WEIGHTS) {
        Some(WEIGHTS)
    } else {
        None
    }
}

/// Files that a model may lack but whose content changes what it computes: one must know that they are not there.
pub(super) fn telling(modules: &[Module]) -> Vec<String> {
    let root = root(modules);
    let mut names = vec![MODULES.to_owned(), format!("{root}tokenizer_config.json")];
    if !modules.is_empty() {
        names.push(format!("{root}sentence_bert_config.json"));
    }
    names.extend(modules.iter().skip(1).filter(|m| m.has_config()).map(|m| m.prefix() + "config.json"));
    names
}
