//! Which files of a repository make up a model.

use std::path::{Component, Path};

use crate::directory::modules::{MODULES, Modules};
use crate::directory::text_settings::TEXT_SETTINGS;
use crate::directory::weights::forms::{ANY_FORM, FORMS, MODULE_FORMS, choose};
use crate::directory::{ADAPTER, MODEL_SETTINGS};
use crate::tokenizer::files::{
    ADDED_TOKENS, ALL as TOKENIZER_FILES, CONFIG as TOKENIZER_CONFIG, MERGES, SPECIAL_TOKENS, TOKENIZER, VOCABULARY,
    WORDS, unsupported,
};

/// The configuration of a module, that of the Transformer included.
const CONFIG: &str = "config.json";

/// The files of a Transformer that change what it computes, or make it unsupported, where they
/// exist; transformers 5 looks all of them up, and so notes in the cache which do not exist. (It
/// does not do so for the files that only a directory without a `tokenizer.json` is refused for.)
const TELLING: [&str; 9] = [
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS,
    ADDED_TOKENS,
    TOKENIZER,
    ADAPTER.0,
    "chat_template.jinja",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
];

/// The directories of a model, as prefixes of file names: empty, or ending in a slash.
pub(super) struct ModelFiles {
    transformer: String,
    /// Whether it is a sentence-transformers model.
    has_modules: bool,
    /// Of the other modules, those that have a configuration, ...
    configured: Vec<String>,
    /// ... and those that have weights.
    weighted: Vec<String>,
}

impl ModelFiles {
    /// The directories of a model with these modules, or of a plain one.
    pub(super) fn new(modules: Option<&Modules>) -> Self {
        Self {
            transformer: modules.map(|modules| prefix(&modules.transformer)).unwrap_or_default(),
            has_modules: modules.is_some(),
            configured: modules.iter().flat_map(|modules| modules.after_transformer()).map(prefix).collect(),
            weighted: modules.iter().flat_map(|modules| modules.with_weights()).map(prefix).collect(),
        }
    }

    /// Whether this is a sentence-transformers model.
    pub(super) fn has_modules(&self) -> bool {
        self.has_modules
    }

    /// All files that the model may have but its weights, which are downloaded last, so that a
    /// snapshot with weights is not the remains of an interrupted download.
    pub(super) fn wanted(&self) -> Vec<String> {
        let transformer = [CONFIG].into_iter().chain(TOKENIZER_FILES).chain(TEXT_SETTINGS);
        let transformer = transformer.map(|name| format!("{}{name}", self.transformer));
        let weights = self.weighted.iter().flat_map(|folder| MODULE_FORMS.map(|name| format!("{folder}{name}")));
        self.of_other_modules().into_iter().chain(weights).chain(transformer).collect()
    }

    /// The file with the weights, or with the index of their shards.
    pub(super) fn weights(&self, has: impl Fn(&str) -> bool) -> Option<String> {
        let root = &self.transformer;
        choose(|name| has(&format!("{root}{name}"))).map(|name| format!("{root}{name}"))
    }

    /// What a repository that `has` files and directories of these names is refused for, and what
    /// is expected instead. A directory on this disk is refused for the same when it is read.
    pub(super) fn unsupported(&self, has: impl Fn(&str) -> bool) -> Option<(String, &'static str)> {
        let root = &self.transformer;
        let has = |name: &str| has(&format!("{root}{name}"));
        let adapter = has(ADAPTER.0).then_some(ADAPTER);
        let (name, expected) = adapter.or_else(|| unsupported(has))?;
        Some((format!("{root}{name}"), expected))
    }

    /// The files of a sentence-transformers model that are not its Transformer's, except for
    /// weights.
    fn of_other_modules(&self) -> Vec<String> {
        let settings = self.has_modules.then(|| MODEL_SETTINGS.to_owned());
        let modules = self.configured.iter().map(|folder| format!("{folder}{CONFIG}"));
        settings.into_iter().chain(modules).collect()
    }

    /// The first file, or choice of files, without which there is no model.
    pub(super) fn missing(&self, has: impl Fn(&str) -> bool) -> Option<&'static str> {
        let no_weights = self.weights(&has).is_none();
        let has = |name: &str| has(&format!("{}{name}", self.transformer));
        if !has(CONFIG) {
            Some(CONFIG)
        } else if !(has(TOKENIZER) || has(WORDS) || has(VOCABULARY) && has(MERGES)) {
            Some("tokenizer.json, vocab.txt, or vocab.json with merges.txt")
        } else if no_weights {
            Some(ANY_FORM)
        } else {
            None
        }
    }

    /// The files that the model lacks and that would change what it computes: before it is used
    /// without asking the hub, each must be known not to exist.
    pub(super) fn telling_absences(&self, has: impl Fn(&str) -> bool) -> Vec<String> {
        let root = &self.transformer;
        let mut names = vec![MODULES.to_owned()];
        names.extend(TELLING.map(|name| format!("{root}{name}")));
        names.extend(self.of_other_modules());
        names.retain(|name| !has(name));
        // The first one that is there is read, and those after it are not.
        let weights = FORMS.iter().map(|name| format!("{root}{name}"));
        names.extend(weights.take_while(|name| !has(name)));
        for folder in &self.weighted {
            let weights = MODULE_FORMS.iter().map(|name| format!("{folder}{name}"));
            names.extend(weights.take_while(|name| !has(name)));
        }
        if self.has_modules() {
            let settings = TEXT_SETTINGS.iter().map(|name| format!("{root}{name}"));
            names.extend(settings.take_while(|name| !has(name)));
        }
        names
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
