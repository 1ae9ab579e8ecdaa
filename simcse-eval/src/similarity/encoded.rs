//! Embeddings of a model.

use std::fmt;

use ndarray::Array2;
use simcse_model::SentenceEncoder;

use crate::error::Error;
use crate::similarity::cosine::Embedder;
use crate::similarity::judge::Role;

/// Encodes texts with a model, with its prompts for queries and documents as
/// sentence-transformers' evaluators use them.
pub struct Encoded<'a> {
    encoder: &'a SentenceEncoder,
    prompt: Option<&'a str>,
    go_on: Box<dyn FnMut(usize) -> bool + 'a>,
    done: usize,
}

impl<'a> Encoded<'a> {
    /// Embeddings of `encoder`.
    #[must_use]
    pub fn new(encoder: &'a SentenceEncoder) -> Self {
        Self { encoder, prompt: None, go_on: Box::new(|_| true), done: 0 }
    }

    /// Puts `prompt`, if it is given, in front of all texts instead of the model's prompts.
    #[must_use]
    pub fn with_prompt(self, prompt: Option<&'a str>) -> Self {
        Self { prompt, ..self }
    }

    /// Can be stopped: now and then `go_on` gets the number of texts encoded so far, and encoding
    /// ends if it returns `false`.
    #[must_use]
    pub fn going_on_while(self, go_on: impl FnMut(usize) -> bool + 'a) -> Self {
        Self { go_on: Box::new(go_on), ..self }
    }

    fn prompt_of(&self, role: Role) -> &'a str {
        let prompts = &self.encoder.directory.prompts;
        self.prompt.unwrap_or(match role {
            Role::Text => prompts.default_prompt(),
            Role::Query => prompts.query(),
            Role::Document => prompts.document(),
        })
    }
}

impl Embedder for Encoded<'_> {
    fn width(&self) -> usize {
        self.encoder.dimension()
    }

    fn has_roles(&self) -> bool {
        let text = self.prompt_of(Role::Text);
        [Role::Query, Role::Document].iter().any(|&role| self.prompt_of(role) != text)
    }

    fn embed(&mut self, role: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error> {
        let prompt = self.prompt_of(role);
        let Self { encoder, go_on, done, .. } = self;
        let embeddings = encoder.encode_with_prompt_while(prompt, texts, |part| go_on(*done + part))?;
        self.done += texts.len();
        Ok(embeddings)
    }
}

impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded").field("prompt", &self.prompt).field("done", &self.done).finish_non_exhaustive()
    }
}
