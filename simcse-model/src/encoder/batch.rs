//! Token ids of several sentences laid end to end, with their positions.

use std::sync::Arc;

use simcse_tensor::Rows;

use crate::directory::config::{Architecture, ModelConfig};

/// What the encoder reads: one row a token, no padding.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// Rows of the word embeddings, (N).
    pub(crate) ids: Arc<[u32]>,
    /// Rows of the position embeddings, (N).
    pub(crate) positions: Arc<[u32]>,
    /// Where the sentences begin.
    pub(crate) rows: Arc<Rows>,
}

impl TokenBatch {
    /// Lays out sentences given as token ids, special tokens included. `streams[s]` is sentence `s`'s coordinate in dropout
    /// masks.
    ///
    /// Positions count from 0; RoBERTa's count the tokens that are not padding from `pad_token_id + 1`, and a padding token
    /// in a text stays at `pad_token_id` (`create_position_ids_from_input_ids` of transformers).
    ///
    /// # Panics
    /// If there are not as many streams as sentences.
    pub fn new<I: AsRef<[u32]>>(config: &ModelConfig, sentences: &[I], streams: Vec<u32>) -> Self {
        let pad = config.pad_token_id as u32;
        let positions = sentences.iter().flat_map(|ids| {
            let mut next = 0;
            ids.as_ref().iter().map(move |&id| match config.architecture {
                Architecture::Roberta if id == pad => pad,
                Architecture::Roberta => {
                    next += 1;
                    pad + next
                }
                Architecture::Bert | Architecture::DistilBert => {
                    next += 1;
                    next - 1
                }
            })
        });
        Self {
            positions: positions.collect(),
            ids: sentences.iter().flat_map(|ids| ids.as_ref()).copied().collect(),
            rows: Arc::new(Rows::new(sentences.iter().map(|ids| ids.as_ref().len()), streams)),
        }
    }

    /// Where the sentences begin.
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }
}
