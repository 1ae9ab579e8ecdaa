//! The mean of a model's input word embeddings: what it knows about words before any layer.

use std::collections::HashSet;

use ndarray::{Array2, ArrayView2};
use simcse_model::SentenceEncoder;

use crate::error::Error;
use crate::similarity::cosine::Embedder;
use crate::similarity::judge::Role;

/// Embeds a text as the mean of its tokens' input embeddings, without special tokens and prompts; a
/// text without other tokens is embedded as zeros. As in the "average embeddings" baselines of
/// Reimers & Gurevych 2019.
#[derive(Debug)]
pub struct WordEmbeddings<'a> {
    encoder: &'a SentenceEncoder,
    /// Its width may be another than that of the encoder's embeddings.
    table: ArrayView2<'a, f32>,
    special: HashSet<u32>,
}

impl<'a> WordEmbeddings<'a> {
    /// The word embeddings of `encoder`.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn of(encoder: &'a SentenceEncoder) -> Result<Self, Error> {
        // What an empty text is encoded as.
        let special = encoder.tokenize(&[""])?.ids.concat().into_iter().collect();
        Ok(Self { encoder, table: encoder.word_embeddings(), special })
    }
}

impl Embedder for WordEmbeddings<'_> {
    fn width(&self) -> usize {
        self.table.ncols()
    }

    fn has_roles(&self) -> bool {
        false
    }

    fn embed(&mut self, _: Role, texts: &[&str]) -> Result<Option<Array2<f32>>, Error> {
        let mut means = Array2::zeros((texts.len(), self.width()));
        let tokens = self.encoder.tokenize(texts)?;
        for (mut mean, ids) in means.rows_mut().into_iter().zip(&tokens.ids) {
            let mut count = 0.0;
            for &id in ids.iter().filter(|id| !self.special.contains(id)) {
                mean += &self.table.row(id as usize);
                count += 1.0;
            }
            mean /= f32::max(count, 1.0);
        }
        Ok(Some(means))
    }
}

#[cfg(test)]
mod tests {
    use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};

    use super::*;

    /// ELECTRA's word embeddings are narrower than its sentence embeddings.
    #[test]
    fn the_table_may_have_a_width_of_its_own() {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "slow", "boot"];
        let config = ModelConfig {
            vocab_size: words.len(),
            hidden_size: 16,
            embedding_size: Some(6),
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size: 32,
            ..ModelConfig::defaults(Architecture::Electra)
        };
        let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
        let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16).unwrap();
        let encoder = SentenceEncoder::random(directory, 42);
        let means = WordEmbeddings::of(&encoder).unwrap().embed(Role::Text, &["slow boot", ""]).unwrap().unwrap();
        let row = |id: usize| encoder.word_embeddings().row(id).to_owned();
        assert_eq!(means.row(0), (row(5) + row(6)) / 2.0);
        assert_eq!(means.row(1), Array2::<f32>::zeros((1, 6)).row(0));
    }
}
