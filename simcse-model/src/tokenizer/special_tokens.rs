//! The special tokens of a tokenizer, including those that its class adds to the files', and the
//! order in which they enter the vocabulary.
//!
//! Source: transformers' `TokenizersBackend.__init__` and `PreTrainedTokenizerBase.__init__`
//! (version 5).

use tokenizers::AddedToken;

use crate::error::{Error, Result};
use crate::io::json::JsonObject;
use crate::tokenizer::class::Class;
use crate::tokenizer::files::{CONFIG, Files};
use crate::tokenizer::token::Token;
use crate::tokenizer::token_files::{Claims, ROLES};

/// The special tokens by role, and the added tokens.
#[derive(Debug)]
pub(crate) struct SpecialTokens {
    claims: Claims,
    /// The special tokens without a role.
    extra: Vec<Token>,
}

impl SpecialTokens {
    /// Collects the tokens of `files`, whose `tokenizer_config.json` is `config`.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Field`] for what transformers refuses.
    pub(crate) fn read(files: &Files, config: &JsonObject, class: Class) -> Result<Self> {
        let mut claims = Claims::read(files, config)?;
        let of_class = || class.extra_special_tokens().iter().map(|&content| Token::Bare(content.to_owned())).collect();
        let extra = claims.extra.take().unwrap_or_else(of_class);
        let mut tokens = Self { claims, extra };
        for &(role, content) in class.special_tokens() {
            tokens.set_default(role, content);
        }
        if class.mask_takes_spaces()
            && let Some(Some(mask @ Token::Bare(_))) = tokens.claims.roles.get_mut("mask_token")
        {
            *mask = Token::Flagged(AddedToken::from(mask.content(), true).lstrip(true).into());
        }
        for &role in class.required() {
            if tokens.role(role).is_none_or(|content| content.is_empty()) {
                return Err(Error::field(
                    &files.path(CONFIG),
                    role,
                    "a token (a tokenizer of this class without it is not supported)",
                    "none",
                ));
            }
        }
        Ok(tokens)
    }

    /// The spelling of a role's token, if it has one.
    pub(crate) fn role(&self, role: &str) -> Option<&str> {
        self.claims.roles.get(role)?.as_ref().map(Token::content)
    }

    /// Gives a role a token unless the files say something about it.
    pub(crate) fn set_default(&mut self, role: &'static str, content: &str) {
        self.claims.roles.entry(role).or_insert_with(|| Some(Token::Bare(content.to_owned())));
    }

    /// The tokens that have a role, in the order in which they are added.
    fn named(&self) -> impl Iterator<Item = (&str, &Token)> {
        let common = ROLES.iter().filter_map(|role| Some((*role, self.claims.roles.get(role)?.as_ref()?)));
        common.chain(self.claims.own_roles.iter().map(|(role, token)| (role.as_str(), token)))
    }

    /// The spellings of all special tokens.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.named().map(|(_, token)| token).chain(&self.extra).map(Token::content)
    }

    /// Role and spelling of all special tokens that have a role.
    pub(crate) fn spellings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named().map(|(role, token)| (role, token.content()))
    }

    /// The spellings of the special tokens without a role.
    pub(crate) fn extra(&self) -> impl Iterator<Item = &str> {
        self.extra.iter().map(Token::content)
    }

    /// What is to be added to a tokenizer that already has the added tokens `present`, in order.
    pub(crate) fn to_add(&self, present: &[String]) -> Vec<AddedToken> {
        let mut tokens: Vec<_> = self.claims.added.values().cloned().map(Token::Flagged).collect();
        let known: Vec<String> =
            present.iter().cloned().chain(self.claims.added.values().map(|token| token.content.clone())).collect();
        for token in self.named().map(|(_, token)| token).chain(&self.extra) {
            if !known.iter().any(|content| content == token.content()) && !tokens.contains(token) {
                tokens.push(token.clone());
            }
        }
        let is_named = |content: &str| self.named().any(|(_, token)| token.content() == content);
        let flagged = tokens.into_iter().map(|token| match token {
            Token::Bare(content) => AddedToken::from(content, true),
            Token::Flagged(token) => {
                let special = token.special || is_named(&token.content);
                token.special(special)
            }
        });
        flagged.collect()
    }
}

#[cfg(test)]
#[path = "tests/special_tokens.rs"]
mod tests;
