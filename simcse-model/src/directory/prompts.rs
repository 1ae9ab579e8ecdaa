//! The prompts of `config_sentence_transformers.json`: texts that are put in front of every text
//! before it is encoded.
//!
//! Source: sentence-transformers' `BaseModel._parse_model_config`, `_validate_prompts` and
//! `_resolve_prompt`, and `SentenceTransformer.encode_query` and `encode_document` (version 6).

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::io::json::JsonObject;

const QUERY: &str = "query";
const DOCUMENT: &str = "document";

/// A text to put in front of every sentence, as one model uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// The text; empty for none.
    pub text: &'a str,
    /// How many leading tokens of every sentence pooling excludes: the prompt's, if the model says
    /// so.
    pub excluded: usize,
}

/// A model's prompts by name. Every model has those named `query` and `document`, which are empty
/// unless its file sets them.
#[derive(Clone, Debug, Default)]
pub struct Prompts {
    file: PathBuf,
    /// As they are in the file.
    saved: Map<String, Value>,
    default_name: Option<String>,
}

impl Prompts {
    /// The prompts in `json`.
    pub(crate) fn read(file: &Path, json: &JsonObject) -> Result<Self> {
        let saved = match json.fields().get("prompts") {
            None => Map::new(),
            Some(Value::Object(prompts)) => prompts.clone(),
            Some(_) => return Err(json.invalid("prompts", "an object")),
        };
        if let Some((name, prompt)) = saved.iter().find(|(_, prompt)| !prompt.is_string() && !prompt.is_null()) {
            return Err(Error::field(file, &format!("prompts.{name}"), "a string", prompt));
        }
        let default_name = json.text("default_prompt_name")?.map(str::to_owned);
        let prompts = Self { file: file.to_path_buf(), saved, default_name };
        match &prompts.default_name {
            Some(name) if prompts.get(name).is_none() => {
                Err(json.invalid("default_prompt_name", format_args!("one of {}", prompts.names().join(", "))))
            }
            _ => Ok(prompts),
        }
    }

    /// The names of all prompts.
    pub fn names(&self) -> Vec<&str> {
        let others = self.saved.keys().map(String::as_str).filter(|name| ![QUERY, DOCUMENT].contains(name));
        [QUERY, DOCUMENT].into_iter().chain(others).collect()
    }

    /// The prompt of this name, which may be empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.saved.get(name) {
            Some(prompt) => Some(prompt.as_str().unwrap_or_default()),
            None => [QUERY, DOCUMENT].contains(&name).then_some(""),
        }
    }

    /// The prompt of a text that is encoded without naming one; empty if the model has no default.
    /// sentence-transformers: `encode`.
    pub fn default_prompt(&self) -> &str {
        self.default_name.as_deref().and_then(|name| self.get(name)).unwrap_or_default()
    }

    /// The name of the default prompt.
    pub fn default_name(&self) -> Option<&str> {
        self.default_name.as_deref()
    }

    /// The prompt of a query; never the default. sentence-transformers: `encode_query`.
    pub fn query(&self) -> &str {
        self.get(QUERY).unwrap_or_default()
    }

    /// The prompt of a document; never the default. sentence-transformers: `encode_document`, which
    /// also knows the names `passage` and `corpus`, but prefers `document`, which always exists.
    pub fn document(&self) -> &str {
        self.get(DOCUMENT).unwrap_or_default()
    }

    /// The prompt to use: `prompt` if given, else that of `name`, else the default.
    ///
    /// # Errors
    /// [`Error::Field`] if there is none of this name.
    pub fn resolve<'a>(&'a self, prompt: Option<&'a str>, name: Option<&str>) -> Result<&'a str> {
        match (prompt, name) {
            (Some(prompt), _) => Ok(prompt),
            (None, None) => Ok(self.default_prompt()),
            (None, Some(name)) => self.get(name).ok_or_else(|| {
                let expected = format_args!("a prompt named {name}");
                Error::field(&self.file, "prompts", expected, self.names().join(", "))
            }),
        }
    }

    /// The prompts as they are in the file.
    pub(crate) fn saved(&self) -> &Map<String, Value> {
        &self.saved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Prompts> {
        let file = Path::new("config_sentence_transformers.json");
        Prompts::read(file, &JsonObject::parse(file, json.as_bytes())?)
    }

    #[track_caller]
    fn refused(json: &str, message: &str) {
        let error = read(json).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn query_and_document_are_always_there() {
        let prompts = read("{}").unwrap();
        assert_eq!(prompts.names(), ["query", "document"]);
        assert_eq!((prompts.query(), prompts.document(), prompts.default_prompt()), ("", "", ""));
        assert_eq!(read(r#"{"default_prompt_name": "query"}"#).unwrap().default_prompt(), "");
    }

    #[test]
    fn a_passage_prompt_is_not_the_document_prompt() {
        let prompts = read(r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#).unwrap();
        assert_eq!((prompts.query(), prompts.document()), ("query: ", ""));
        assert_eq!(prompts.get("passage"), Some("passage: "));
        assert_eq!(prompts.names(), ["query", "document", "passage"]);
    }

    #[test]
    fn what_is_given_goes_before_the_default() {
        let prompts = read(r#"{"prompts": {"a": "A ", "none": null}, "default_prompt_name": "a"}"#).unwrap();
        assert_eq!(prompts.resolve(None, None).unwrap(), "A ");
        assert_eq!(prompts.resolve(None, Some("none")).unwrap(), "");
        assert_eq!(prompts.resolve(None, Some("query")).unwrap(), "");
        assert_eq!(prompts.resolve(Some("B "), Some("a")).unwrap(), "B ");
        assert_eq!(prompts.resolve(Some(""), None).unwrap(), "");
        let error = prompts.resolve(None, Some("b")).unwrap_err().to_string();
        assert!(error.contains("prompts: expected a prompt named b, found query, document, a, none"), "{error}");
    }

    #[test]
    fn bad_prompts_are_named() {
        refused(r#"{"prompts": null}"#, "prompts: expected an object, found null");
        refused(r#"{"prompts": {"q": 5}}"#, "prompts.q: expected a string, found 5");
        refused(
            r#"{"default_prompt_name": "q"}"#,
            r#"default_prompt_name: expected one of query, document, found "q""#,
        );
    }
}
