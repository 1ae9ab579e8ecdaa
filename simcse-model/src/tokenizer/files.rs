//! The files that a tokenizer is made of, read whole so that they can be written back byte for
//! byte.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::files::{read_configuration, read_vocabulary, write_bytes};
use crate::io::json::JsonObject;

pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const CONFIG: &str = "tokenizer_config.json";
pub(crate) const SPECIAL_TOKENS: &str = "special_tokens_map.json";
pub(crate) const ADDED_TOKENS: &str = "added_tokens.json";
pub(crate) const WORDS: &str = "vocab.txt";
pub(crate) const VOCABULARY: &str = "vocab.json";
pub(crate) const MERGES: &str = "merges.txt";

/// The model's own configuration, which names the tokenizer's class if `tokenizer_config.json` does
/// not.
const MODEL: &str = "config.json";

/// Everything that belongs to a tokenizer.
pub(crate) const ALL: [&str; 7] = [TOKENIZER, CONFIG, SPECIAL_TOKENS, ADDED_TOKENS, WORDS, VOCABULARY, MERGES];

/// Files and directories that make transformers load the tokenizer in another way, and what is
/// expected instead.
const UNSUPPORTED: [(&str, &str); 10] = [
    ("chat_template.jinja", "no chat template (texts would be wrapped in it, which is not supported)"),
    ("additional_chat_templates", "no chat templates (texts would be wrapped in one, which is not supported)"),
    ("processor_config.json", "no processor (a model of texts has a tokenizer alone)"),
    ("preprocessor_config.json", "no preprocessor (a model of texts has a tokenizer alone)"),
    ("video_preprocessor_config.json", "no preprocessor (a model of texts has a tokenizer alone)"),
    ("tokenizer.model", CONVERTIBLE),
    (
        "tiktoken.model",
        "a tokenizer.json (tiktoken models are not supported: choose a model that has a tokenizer.json)",
    ),
    ("tekken.json", "a tokenizer.json (tekken models are not supported: choose a model that has a tokenizer.json)"),
    ("sentencepiece.bpe.model", CONVERTIBLE),
    ("spiece.model", CONVERTIBLE),
];

/// The first of [`UNSUPPORTED`] that a `tokenizer.json` makes harmless.
const REPLACED_BY_TOKENIZER_JSON: usize = 5;

/// The first of [`UNSUPPORTED`] that any other vocabulary makes harmless.
const REPLACED_BY_VOCABULARY: usize = 8;

/// What is expected instead of a SentencePiece model.
pub(crate) const CONVERTIBLE: &str = "a tokenizer.json (SentencePiece models alone are not supported: where Python has \
                                      transformers, sentencepiece and protobuf, the command python -c \"from \
                                      transformers import AutoTokenizer; \
                                      AutoTokenizer.from_pretrained('DIR').save_pretrained('DIR')\" writes the file \
                                      into the directory DIR)";

/// What makes a tokenizer's directory unsupported, and what is expected instead: the first file or
/// directory of that kind that the directory `has`.
pub(crate) fn unsupported(has: impl Fn(&str) -> bool) -> Option<(&'static str, &'static str)> {
    let count = match [TOKENIZER, WORDS, VOCABULARY].map(&has) {
        [true, ..] => REPLACED_BY_TOKENIZER_JSON,
        [false, false, false] => UNSUPPORTED.len(),
        _ => REPLACED_BY_VOCABULARY,
    };
    UNSUPPORTED[..count].iter().copied().find(|(name, _)| has(name))
}

/// A tokenizer's files in memory.
#[derive(Clone)]
pub(crate) struct Files {
    dir: PathBuf,
    files: Vec<(&'static str, Vec<u8>)>,
    model: Option<Vec<u8>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.files.iter().map(|(name, bytes)| (name, bytes.len()));
        f.debug_map().entry(&"dir", &self.dir).entries(sizes).finish()
    }
}

impl Files {
    /// No files yet; errors will name them without a directory.
    pub(crate) fn new() -> Self {
        Self { dir: PathBuf::new(), files: Vec::new(), model: None }
    }

    /// Reads all of a tokenizer's files that `dir` has.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for name in ALL {
            let read = if [CONFIG, SPECIAL_TOKENS].contains(&name) { read_configuration } else { read_vocabulary };
            if let Some(bytes) = read(&dir.join(name))? {
                files.push((name, bytes));
            }
        }
        let files = Self { dir: dir.to_path_buf(), files, model: read_configuration(&dir.join(MODEL))? };
        match unsupported(|name| dir.join(name).exists()) {
            Some((name, expected)) => Err(Error::format(&dir.join(name), expected, "one")),
            None => Ok(files),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(file, _)| *file == name).map(|(_, bytes)| &bytes[..])
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The file's bytes, or an error that says why it is needed.
    pub(crate) fn require(&self, name: &str, advice: &str) -> Result<&[u8]> {
        let missing = || Error::Missing { file: self.path(name), advice: advice.to_owned() };
        self.get(name).ok_or_else(missing)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The object in a file; an empty one if there is no such file.
    pub(crate) fn object(&self, name: &str) -> Result<JsonObject> {
        JsonObject::parse(&self.path(name), self.get(name).unwrap_or(b"{}"))
    }

    /// The model's `config.json`, if the directory has one.
    pub(crate) fn model(&self) -> Result<Option<JsonObject>> {
        self.model.as_deref().map(|bytes| JsonObject::parse(&self.path(MODEL), bytes)).transpose()
    }

    /// These files in a directory with this `config.json`.
    #[cfg(test)]
    pub(crate) fn with_model(self, json: &str) -> Self {
        Self { model: Some(json.into()), ..self }
    }

    /// These files and one more, which replaces any of the same name.
    pub(crate) fn with(self, name: &'static str, bytes: Vec<u8>) -> Self {
        let mut files = self.without(&[name]);
        files.files.push((name, bytes));
        files
    }

    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.files.retain(|(file, _)| !names.contains(file));
        self
    }

    /// Writes all files to `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        self.files.iter().try_for_each(|(name, bytes)| write_bytes(&dir.join(name), bytes))
    }

    /// Bytes of all files together.
    pub(crate) fn size(&self) -> usize {
        self.files.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}
