//! A template around every text, such as PromptBERT's (Jiang et al. 2022, section 4.1).
//!
//! It becomes part of the `tokenizer.json`, as the special tokens around a text are: whoever loads
//! the directory encodes texts with it.

use std::iter;

use tokenizers::processors::template::{SpecialToken, TemplateProcessing};

use crate::error::{Error, Result};
use crate::tokenizer::build::build;
use crate::tokenizer::encode::Tokenizer;
use crate::tokenizer::files::{ALL, CONFIG, TOKENIZER};
use crate::tokenizer::made;

/// What stands for the text in a template.
pub const TEMPLATE_TEXT: &str = "[X]";
/// What stands for the tokenizer's own mask token at the end of a template.
pub const TEMPLATE_MASK: &str = "[MASK]";

impl Tokenizer {
    /// From now on, encodes every text in place of `[X]` in `template`. What is in front of `[X]`
    /// and what is behind it are tokenized by themselves. The tokenizer's own special tokens go
    /// around the whole, but nothing follows `[MASK]` at the end, so that pooling of the last token
    /// takes its hidden state. All of these tokens count toward a text's length and, like special
    /// tokens, are never truncated.
    ///
    /// # Errors
    /// [`Error::Field`] if the template has no `[X]`, or a token that the model has no embedding
    /// for, or if the tokenizer has a template already; [`Error::Format`] if the tokenizers library
    /// refuses.
    pub fn set_template(&mut self, template: &str) -> Result<()> {
        let invalid = |expected, found: &str| Error::field(&self.built.path, "template", expected, found);
        let (before, after) = template.split_once(TEMPLATE_TEXT).ok_or_else(|| invalid("one with [X]", template))?;
        if self.built.template.iter().any(|id| !self.built.special_ids.contains(id)) {
            return Err(invalid("a tokenizer that has none yet", "one"));
        }
        let own = self.built.template.split_at(self.built.tokens_in_front);
        let before = [own.0, &self.words(before)?].concat();
        let after = match after.strip_suffix(TEMPLATE_MASK) {
            Some(after) => {
                let mask = self.mask_id().ok_or_else(|| invalid("a tokenizer with a mask token", "none"))?;
                [&self.words(after)?[..], &[mask]].concat()
            }
            None => [&self.words(after)?[..], own.1].concat(),
        };
        let unfit = |error: tokenizers::Error| Error::format(&self.built.path, "a template", error);
        let processor = self.processor(before, after).map_err(unfit)?;
        let mut inner = self.built.inner.clone();
        inner.with_post_processor(Some(processor));
        let json = inner.to_string(false).map_err(unfit)?;

        // The class that the files name would put its own template in place of this one.
        let config = made::config(&self.built);
        let files = self.files.clone().without(&ALL).with(TOKENIZER, json.into_bytes());
        self.built = build(&files.clone().with(CONFIG, made::with_inputs(&config, false)))?;
        self.files = files;
        self.made_config = Some(config);
        self.fit(self.embeddings)
    }

    /// The ids of a part of a template.
    fn words(&self, part: &str) -> Result<Vec<u32>> {
        let failed = |error: tokenizers::Error| Error::Encode {
            file: self.built.path.clone(),
            text: part.to_owned(),
            reason: error.to_string(),
        };
        Ok(self.built.inner.encode_fast(part.trim(), false).map_err(failed)?.get_ids().to_vec())
    }

    fn processor(&self, before: Vec<u32>, after: Vec<u32>) -> tokenizers::Result<TemplateProcessing> {
        let named = |name: &str, ids: Vec<u32>| {
            let tokens = ids.iter().map(|&id| self.built.inner.id_to_token(id).unwrap_or_default()).collect();
            SpecialToken::new(name.to_owned(), ids, tokens)
        };
        const NAMES: [&str; 2] = ["[BEFORE]", "[AFTER]"];
        let mut builder = TemplateProcessing::builder();
        builder.try_single(vec![NAMES[0], "$A", NAMES[1]])?;
        let tokens: tokenizers::Result<Vec<_>> =
            iter::zip(NAMES, [before, after]).map(|(name, ids)| named(name, ids)).collect();
        Ok(builder.special_tokens(tokens?).build()?)
    }
}

#[cfg(test)]
#[path = "tests/template.rs"]
mod tests;
