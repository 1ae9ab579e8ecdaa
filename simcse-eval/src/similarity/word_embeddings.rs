//! The mean of a model's input word embeddings: what it knows about words before any layer.

use std::collections::HashSet;

use ndarray::{Array2, ArrayView1};
use simcse_model::SentenceEncoder;

use crate::error::Error;
use crate::similarity::cosine::Embedder;
use crate::similarity::judge::Role;

/// The parameter with a row for each token, in every architecture.
const TABLE: &str = "embeddings.word_embeddings.weight";

/// Embeds a text as the mean of its tokens' input embeddings, without special tokens and prompts; a
/// text without other tokens is embedded as zeros. As in the "average embeddings" baselines of
/// Reimers & Gurevych 2019.
#[derive(Debug)]
pub struct WordEmbeddings<'a> {
    encoder: &'a SentenceEncoder,
    table: &'a [f32],
    special: HashSet<u32>,
}

impl<'a> WordEmbeddings<'a> {
    /// The word embeddings of `encoder`.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn of(encoder: &'a SentenceEncoder) -> Result<Self, Error> {
        let parameters = encoder.params.layout().parameters();
        let table = parameters.iter().find(|parameter| parameter.name == TABLE);
        let range = table.expect("every encoder has word embeddings").range();
        // What an empty text is encoded as.
        let special = encoder.tokenize(&[""])?.ids.concat().into_iter().collect();
        Ok(Self { encoder, table: &encoder.params.values()[range], special })
    }
}

impl Embedder for WordEmbeddings<'_> {
    fn width(&self) -> usize {
        self.encoder.dimension()
    }

    fn has_roles(&self) -> bool {
        false
    }

    fn embed(&mut self, _: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error> {
        let width = self.width();
        let mut means = Array2::zeros((texts.len(), width));
        let tokens = self.encoder.tokenize(texts)?;
        for (mut mean, ids) in means.rows_mut().into_iter().zip(&tokens.ids) {
            let mut count = 0.0;
            for &id in ids.iter().filter(|id| !self.special.contains(id)) {
                mean += &ArrayView1::from(&self.table[id as usize * width..][..width]);
                count += 1.0;
            }
            mean /= f32::max(count, 1.0);
        }
        Ok(Some(means))
    }
}
