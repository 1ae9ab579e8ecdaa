//! One token of a settings file.
//!
//! Source: `AddedToken` of the Python tokenizers library, and transformers' `convert_added_tokens`.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// A token of a settings file: just a spelling, or one with flags. As in Python, the two kinds are
/// never equal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A string.
    Bare(String),
    /// An `AddedToken`.
    Flagged(AddedToken),
}

impl Token {
    pub(crate) fn content(&self) -> &str {
        match self {
            Self::Bare(content) => content,
            Self::Flagged(token) => &token.content,
        }
    }

    /// A string, or an object that says that it is an `AddedToken`.
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::String(content) => Some(Self::Bare(content.clone())),
            Value::Object(object) if object.get("__type").is_some_and(|kind| kind == "AddedToken") => {
                added_token(object, None).map(Self::Flagged)
            }
            _ => None,
        }
    }
}

/// `AddedToken(**object)`; `special` overrides the object's. `None` if a flag is not one.
pub(crate) fn added_token(object: &Map<String, Value>, special: Option<bool>) -> Option<AddedToken> {
    let flag = |name: &str, default: bool| object.get(name).map_or(Some(default), Value::as_bool);
    let content = object.get("content").map_or(Some(""), Value::as_str)?;
    let special = match special {
        Some(special) => special,
        None => flag("special", false)?,
    };
    let token = AddedToken::from(content, special)
        .single_word(flag("single_word", false)?)
        .lstrip(flag("lstrip", false)?)
        .rstrip(flag("rstrip", false)?)
        .normalized(flag("normalized", !special)?);
    Some(token)
}
