//! What four files say about special and added tokens.
//!
//! `tokenizer_config.json` names tokens by role and may list all added tokens
//! (`added_tokens_decoder`). Only where it does not, `special_tokens_map.json` overrides its roles,
//! and `added_tokens.json` and the `added_tokens` of `tokenizer.json` are the added tokens.
//!
//! Source: transformers' `PreTrainedTokenizerBase._from_pretrained` (version 5).

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::error::{Error, Result};
use crate::io::json::JsonObject;
use crate::tokenizer::files::{ADDED_TOKENS, CONFIG, Files, SPECIAL_TOKENS, TOKENIZER};
use crate::tokenizer::token::{Flagged, Token, added_token};

/// The roles that every tokenizer class knows, in the order in which their tokens are added.
pub(crate) const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

const DECODER: &str = "added_tokens_decoder";
const EXTRA: &str = "extra_special_tokens";
const ADDITIONAL: &str = "additional_special_tokens";

/// What all files say together.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The token of a role, or `None` for an explicit `null`.
    pub(crate) roles: HashMap<&'static str, Option<Token>>,
    /// Special tokens of roles that only this model has.
    pub(crate) own_roles: Vec<(String, Token)>,
    /// Special tokens without a role, or `None` where the files leave them to the class.
    pub(crate) extra: Option<Vec<Token>>,
    /// The added tokens by the ids that the files claim for them: only their order counts.
    pub(crate) added: BTreeMap<i64, Flagged>,
}

impl Claims {
    /// Reads `files`, whose `tokenizer_config.json` is `config`.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Field`] for what transformers refuses.
    pub(crate) fn read(files: &Files, config: &JsonObject) -> Result<Self> {
        let mut reader = Reader::of_config(files, config)?;
        if let Some(decoder) = config.fields().get(DECODER) {
            reader.read_decoder(config, decoder)?;
        } else {
            reader.read_special_tokens_map()?;
            reader.read_added_tokens()?;
            reader.read_tokenizer()?;
        }
        reader.finish()
    }
}

/// What a file says about a role, until all files are read.
enum Claim {
    /// A value that need not be a token.
    Value(&'static str, Value),
    Token(Token),
}

/// The tokens so far, while the files are read one after another.
struct Reader<'a> {
    files: &'a Files,
    roles: HashMap<&'static str, Claim>,
    /// The model's own roles: those that come first, and those that come later and override them.
    own_roles: [Vec<(String, Token)>; 2],
    /// `extra_special_tokens`, if there is such a field, and the file that it is from.
    extra: Option<(&'static str, Value)>,
    /// `additional_special_tokens`, its older name.
    additional: Option<(&'static str, Value)>,
    /// The spellings among `extra` that count as special for `added_tokens.json`.
    extra_spellings: Vec<String>,
    added: BTreeMap<i64, Flagged>,
    by_content: HashMap<String, Flagged>,
}

impl<'a> Reader<'a> {
    fn of_config(files: &'a Files, config: &JsonObject) -> Result<Self> {
        let field = |name: &str| config.fields().get(name).map(|value| (CONFIG, value.clone()));
        let mut reader = Self {
            files,
            roles: HashMap::new(),
            own_roles: [Vec::new(), Vec::new()],
            extra: field(EXTRA),
            additional: field(ADDITIONAL),
            extra_spellings: Vec::new(),
            added: BTreeMap::new(),
            by_content: HashMap::new(),
        };
        for (name, value) in config.fields() {
            if let Some(role) = common_role(name) {
                reader.roles.insert(role, Claim::Value(CONFIG, value.clone()));
            } else if name.ends_with("_token")
                && let Some(token) = Token::parse(value)
            {
                let last = matches!(token, Token::Bare(_));
                reader.own_roles[usize::from(last)].push((name.clone(), token));
            }
        }
        if reader.extra.as_ref().is_none_or(|(_, extra)| is_falsy(extra)) && reader.additional.is_some() {
            reader.extra = reader.additional.take();
        }
        reader.take_own_roles()?;
        if let Some((_, Value::Array(extra))) = &reader.extra {
            reader.extra_spellings = extra.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        Ok(reader)
    }

    /// `extra_special_tokens` may be an object: then its tokens have roles.
    fn take_own_roles(&mut self) -> Result<()> {
        let Some((file, Value::Object(_))) = &self.extra else {
            return Ok(());
        };
        let file = *file;
        let Some((_, Value::Object(own))) = self.extra.take() else {
            return Ok(());
        };
        for (name, value) in own {
            let token = Token::parse(&value).ok_or_else(|| self.not_a_token(file, &name, &value))?;
            upsert(&mut self.own_roles[1], name, token);
        }
        Ok(())
    }

    fn read_decoder(&mut self, config: &JsonObject, decoder: &Value) -> Result<()> {
        let expected = "an object of ids and tokens";
        let decoder = decoder.as_object().ok_or_else(|| config.invalid(DECODER, expected))?;
        for (id, value) in decoder {
            let token = value.as_object().and_then(|object| added_token(object, None));
            match (id.trim().parse::<i64>(), token) {
                (Ok(id), Some(token)) => self.add(id, token),
                _ => {
                    return Err(Error::field(
                        &self.files.path(CONFIG),
                        DECODER,
                        expected,
                        format_args!("{id:?}: {value}"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn read_special_tokens_map(&mut self) -> Result<()> {
        for (name, value) in self.files.object(SPECIAL_TOKENS)?.fields() {
            match (name.as_str(), value) {
                (EXTRA, Value::Array(more)) => self.extend_extra(more)?,
                (EXTRA, _) => self.extra = Some((SPECIAL_TOKENS, value.clone())),
                (ADDITIONAL, _) => self.additional = Some((SPECIAL_TOKENS, value.clone())),
                _ => self.read_special_token(name, value)?,
            }
        }
        self.take_own_roles()
    }

    fn read_special_token(&mut self, name: &str, value: &Value) -> Result<()> {
        let token = match value {
            Value::Object(object) => Some(
                added_token(object, Some(true))
                    .map(Token::Flagged)
                    .ok_or_else(|| self.not_a_token(SPECIAL_TOKENS, name, value))?,
            ),
            Value::String(content) => Some(Token::Bare(content.clone())),
            _ => None,
        };
        match (common_role(name), token) {
            (Some(role), Some(token)) => _ = self.roles.insert(role, Claim::Token(token)),
            (Some(role), None) => _ = self.roles.insert(role, Claim::Value(SPECIAL_TOKENS, value.clone())),
            (None, Some(token)) if name.ends_with("_token") => upsert(&mut self.own_roles[0], name.to_owned(), token),
            (None, None) if value.is_null() && name.ends_with("_token") => {}
            // transformers would take it for a setting of the tokenizer.
            _ => return Err(self.not_a_token(SPECIAL_TOKENS, name, value)),
        }
        Ok(())
    }

    fn extend_extra(&mut self, more: &[Value]) -> Result<()> {
        let mut all = match self.extra.take() {
            Some((_, Value::Array(extra))) => extra,
            _ => Vec::new(),
        };
        for value in more {
            let mut token = value.clone();
            if let Value::Object(object) = &mut token {
                if object.insert("special".to_owned(), Value::from(true)).is_some() {
                    return Err(self.not_a_token(SPECIAL_TOKENS, EXTRA, value));
                }
                object.insert("__type".to_owned(), Value::from("AddedToken"));
            }
            let spelling = Token::parse(&token).map(|token| token.content().to_owned());
            self.extra_spellings.extend(spelling);
            if !all.contains(&token) {
                all.push(token);
            }
        }
        self.extra = Some((SPECIAL_TOKENS, Value::Array(all)));
        Ok(())
    }

    fn read_added_tokens(&mut self) -> Result<()> {
        let special = self.claimed_as_special();
        let added = self.files.object(ADDED_TOKENS)?;
        for (content, id) in added.fields() {
            let id = id.as_i64().ok_or_else(|| added.invalid(content, "an id"))?;
            if self.added.contains_key(&id) {
                return Err(added.invalid(content, "an id of its own"));
            }
            let special = special.contains(content);
            self.add(id, AddedToken::from(content.clone(), special).into());
        }
        Ok(())
    }

    /// The spellings that the settings, not the class, call special.
    fn claimed_as_special(&self) -> Vec<String> {
        let claimed = self.roles.values().filter_map(|claim| match claim {
            Claim::Token(token) => Some(token.content().to_owned()),
            Claim::Value(_, value) => value.as_str().map(str::to_owned),
        });
        claimed.chain(self.extra_spellings.iter().cloned()).collect()
    }

    fn read_tokenizer(&mut self) -> Result<()> {
        #[derive(Deserialize)]
        struct File {
            added_tokens: Vec<Map<String, Value>>,
        }
        let Some(bytes) = self.files.get(TOKENIZER) else {
            return Ok(());
        };
        let path = self.files.path(TOKENIZER);
        let file: File = serde_json::from_slice(bytes).map_err(|error| Error::format(&path, "a tokenizer", error))?;
        for token in file.added_tokens {
            let id = token.get("id").and_then(Value::as_i64);
            match id.zip(added_token(&token, None)) {
                Some((id, token)) => self.add(id, token),
                None => return Err(Error::field(&path, "added_tokens", "a token and its id", Value::Object(token))),
            }
        }
        Ok(())
    }

    fn add(&mut self, id: i64, token: Flagged) {
        self.by_content.insert(token.content.clone(), token.clone());
        self.added.insert(id, token);
    }

    fn finish(mut self) -> Result<Claims> {
        let extra = self.finish_extra()?;
        let mut roles = HashMap::new();
        for (role, claim) in std::mem::take(&mut self.roles) {
            let token = match claim {
                Claim::Value(_, Value::Null) => None,
                Claim::Token(token) => Some(token),
                Claim::Value(file, value) => {
                    Some(Token::parse(&value).ok_or_else(|| self.not_a_token(file, role, &value))?)
                }
            };
            // An added token of the same spelling has the flags that count.
            let token = token.map(|token| match self.by_content.get(token.content()) {
                Some(added) => Token::Flagged(added.clone()),
                None => token,
            });
            roles.insert(role, token);
        }
        let [mut own_roles, last] = self.own_roles;
        last.into_iter().for_each(|(name, token)| upsert(&mut own_roles, name, token));
        Ok(Claims { roles, own_roles, extra, added: self.added })
    }

    fn finish_extra(&mut self) -> Result<Option<Vec<Token>>> {
        let (name, extra) = match self.extra.take() {
            // The name that counts today is known to the class, whatever its value.
            Some((file, Value::Null)) => (EXTRA, Some((file, Value::Array(Vec::new())))),
            Some(extra) => (EXTRA, Some(extra)),
            None => (ADDITIONAL, self.additional.take()),
        };
        match extra {
            None | Some((_, Value::Null)) => Ok(None),
            Some((file, Value::Array(extra))) => {
                let tokens =
                    extra.iter().map(|value| Token::parse(value).ok_or_else(|| self.not_a_token(file, name, value)));
                tokens.collect::<Result<_>>().map(Some)
            }
            Some((file, other)) => Err(Error::field(&self.files.path(file), name, "a list of tokens", other)),
        }
    }

    fn not_a_token(&self, file: &str, field: &str, found: &Value) -> Error {
        let expected = r#"a string, or an object of "__type": "AddedToken""#;
        let expected =
            if file == SPECIAL_TOKENS { "a token (other settings there are not supported)" } else { expected };
        Error::field(&self.files.path(file), field, expected, found)
    }
}

fn common_role(name: &str) -> Option<&'static str> {
    ROLES.into_iter().find(|role| *role == name)
}

/// Replaces the token of a role where it is, or adds one at the end.
fn upsert(roles: &mut Vec<(String, Token)>, name: String, token: Token) {
    match roles.iter_mut().find(|(role, _)| *role == name) {
        Some((_, old)) => *old = token,
        None => roles.push((name, token)),
    }
}

/// Whether Python takes a value for false.
fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

#[cfg(test)]
#[path = "tests/token_files.rs"]
mod tests;
