//! Which tokens of an encoded text are its own.

use simcse_model::Tokenizer;

use crate::error::Result;

/// Tells a text's own tokens from special ones and from those of a prompt and a template.
#[derive(Clone, Debug)]
pub(crate) struct OwnTokens {
    /// For each token id, whether it is special.
    pub(crate) special: Vec<bool>,
    /// How many tokens in front of a text, and behind it, are not its own.
    pub(crate) around: (usize, usize),
}

impl OwnTokens {
    /// For texts with `prompt` in front of them.
    ///
    /// # Errors
    /// What the tokenizer reports of the prompt.
    pub(crate) fn of(tokenizer: &Tokenizer, prompt: &str, max_seq_length: usize) -> Result<Self> {
        let around = tokenizer.tokens_around(prompt, max_seq_length)?;
        Ok(Self { special: tokenizer.are_special(), around })
    }

    /// The positions of a text's own tokens.
    pub(crate) fn positions(&self, ids: &[u32]) -> impl Iterator<Item = usize> {
        let own = self.around.0..ids.len().saturating_sub(self.around.1);
        own.filter(|&position| !self.special[ids[position] as usize])
    }
}
