//! Which files of a repository make up a model.

use std::path::{Component, Path};

use crate::directory::modules::{MODULES, Modules};
use crate::directory::text_settings::TEXT_SETTINGS;
use crate::directory::{MODEL_SETTINGS, WEIGHTS};

/// The weights as a Python pickle, which cannot be read here.
const PICKLE: &str = "pytorch_model.bin";

/// What is downloaded of the Transformer, besides its text settings and its weights.
const TRANSFORMER: [&str; 8] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
];

/// The directories of a model, as prefixes of file names: empty, or ending in a slash.
pub(super) struct ModelFiles {
    transformer: String,
    /// Only a sentence-transformers model has one.
    pooling: Option<String>,
}

impl ModelFiles {
    /// The directories of a model with these modules, or of a plain one.
    pub(super) fn new(modules: Option<&Modules>) -> Self {
        Self {
            transformer: modules.map(|modules| prefix(&modules.transformer)).unwrap_or_default(),
            pooling: modules.map(|modules| prefix(&modules.pooling)),
        }
    }

    /// Whether this is a sentence-transformers model.
    pub(super) fn has_modules(&self) -> bool {
        self.pooling.is_some()
    }

    /// All files that the model may have, in the order of their download: the weights are last, so
    /// that a snapshot with weights is not the remains of an interrupted download.
    pub(super) fn wanted(&self) -> Vec<String> {
        let root = &self.transformer;
        let pooling =
            self.pooling.iter().flat_map(|folder| [MODEL_SETTINGS.to_owned(), format!("{folder}config.json")]);
        let transformer = TRANSFORMER.iter().chain(&TEXT_SETTINGS).chain([&WEIGHTS]);
        pooling.chain(transformer.map(|name| format!("{root}{name}"))).collect()
    }

    /// The first file, or choice of files, without which there is no model.
    pub(super) fn missing(&self, has: impl Fn(&str) -> bool) -> Option<&'static str> {
        let has = |name: &str| has(&format!("{}{name}", self.transformer));
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

    /// The files that the model lacks and that would change what it computes: before it is used
    /// without asking the hub, each must be known not to exist.
    pub(super) fn telling_absences(&self, has: impl Fn(&str) -> bool) -> Vec<String> {
        let root = &self.transformer;
        let mut names = vec![MODULES.to_owned(), format!("{root}tokenizer_config.json")];
        names
            .extend(self.pooling.iter().flat_map(|folder| [MODEL_SETTINGS.to_owned(), format!("{folder}config.json")]));
        names.retain(|name| !has(name));
        if self.has_modules() {
            // The first one that is there is read, and those after it are not.
            let settings = TEXT_SETTINGS.iter().map(|name| format!("{root}{name}"));
            names.extend(settings.take_while(|name| !has(name)));
        }
        names
    }

    /// Whether the weights are there as a pickle only.
    pub(super) fn only_pickle(&self, has: impl Fn(&str) -> bool) -> bool {
        let root = &self.transformer;
        !has(&format!("{root}{WEIGHTS}")) && has(&format!("{root}{PICKLE}"))
    }
}

fn prefix(folder: &Path) -> String {
    let names = folder.components().filter_map(|part| match part {
        Component::Normal(name) => Some(format!("{}/", name.to_string_lossy())),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn prefixes_are_those_of_names_in_a_repository() {
        for (folder, expected) in [("", ""), (".", ""), ("1_Pooling", "1_Pooling/"), ("./a//b/", "a/b/")] {
            assert_eq!(prefix(folder.as_ref()), expected);
        }
    }
}
