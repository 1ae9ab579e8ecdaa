//! One token of a settings file.
//!
//! Source: `AddedToken` of the Python tokenizers library, and transformers' `convert_added_tokens`.

use std::ops::Deref;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// A token of a settings file: just a spelling, or one with flags. As in Python, the two kinds are
/// never equal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A string.
    Bare(String),
    /// An `AddedToken`.
    Flagged(Flagged),
}

/// An `AddedToken`. As in Python, whether it is matched after normalization follows from whether it
/// is special, also where a role makes it special later, unless the file says.
#[derive(Clone, Debug)]
pub(crate) struct Flagged {
    token: AddedToken,
    is_explicit: bool,
}

impl Flagged {
    /// The token for the library, special or not.
    pub(crate) fn special(self, special: bool) -> AddedToken {
        let normalized = if self.is_explicit { self.token.normalized } else { !special };
        self.token.special(special).normalized(normalized)
    }
}

impl From<AddedToken> for Flagged {
    fn from(token: AddedToken) -> Self {
        Self { token, is_explicit: true }
    }
}

/// By spelling, as tokens are compared in the library.
impl PartialEq for Flagged {
    fn eq(&self, other: &Self) -> bool {
        self.token == other.token
    }
}

impl Deref for Flagged {
    type Target = AddedToken;

    fn deref(&self) -> &AddedToken {
        &self.token
    }
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
pub(crate) fn added_token(object: &Map<String, Value>, special: Option<bool>) -> Option<Flagged> {
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
    Some(Flagged { token, is_explicit: object.contains_key("normalized") })
}
