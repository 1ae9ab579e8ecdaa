//! Texts as a model encodes them: with or without dropout.

use ndarray::{Array2, s};
use simcse_model::{DropoutPlan, Prompt, SentenceEncoder};
use simcse_tensor::BufferPool;

use crate::error::Error;
use crate::metrics::unit_rows::unit_rows;

/// Texts, and the dropout under which they are encoded.
pub(super) struct View<'a> {
    pub(super) texts: &'a [String],
    /// A plan, and the number of the view: sentence `s` of view `v` has masks of its own.
    pub(super) dropout: Option<(DropoutPlan, usize)>,
}

impl View<'_> {
    /// Unit embeddings of the texts, (S, C); `None` if it was stopped.
    pub(super) fn encode(
        &self,
        encoder: &SentenceEncoder,
        prompt: Prompt,
        pool: &mut BufferPool,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<Array2<f32>>, Error> {
        const PART: usize = SentenceEncoder::ENCODED_SENTENCES;
        let mut rows = Array2::zeros((self.texts.len(), encoder.dimension()));
        for (part, chunk) in self.texts.chunks(PART).enumerate() {
            let first = part * PART;
            if !go_on(first) {
                return Ok(None);
            }
            let tokens = encoder.tokenize_with_prompt(prompt, chunk)?;
            let masks = self.dropout.map(|(plan, view)| (plan, (view * self.texts.len() + first) as u32));
            let embeddings = encoder.encode_tokens_under(masks, prompt.excluded, &tokens.ids, pool);
            rows.slice_mut(s![first..first + chunk.len(), ..]).assign(&embeddings);
        }
        Ok(Some(unit_rows(rows.view())))
    }
}
