//! The token ids of several sentences laid end to end, with their positions.

use std::sync::Arc;

use simcse_tensor::Rows;

use crate::architecture::Positions;
use crate::directory::config::ModelConfig;

/// The encoder's input: one row per token, without padding.
///
/// ```
/// use simcse_model::{Architecture, ModelConfig, TokenBatch};
///
/// let config = ModelConfig::defaults(Architecture::Bert);
/// let cat = vec![101, 4937, 102];
/// let dog_barks = vec![101, 3899, 21007, 102];
/// let batch = TokenBatch::new(&config, &[cat, dog_barks], vec![0, 1]);
/// assert_eq!(batch.rows().sentences(), 2);
/// assert_eq!(batch.rows().tokens(), 7);
/// ```
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// Each token's row in the word embeddings, (N).
    pub(crate) ids: Arc<[u32]>,
    /// Each token's row in the position embeddings, if there are any, (N).
    pub(crate) positions: Arc<[u32]>,
    /// Where each sentence begins.
    pub(crate) rows: Arc<Rows>,
}

impl TokenBatch {
    /// Lays out sentences given as token ids, special tokens included. `streams[s]` is the
    /// coordinate of sentence `s` in dropout masks.
    ///
    /// Positions count from 0. Those of RoBERTa and its relatives count from `pad_token_id + 1` and
    /// skip padding tokens: one that a text contains has position `pad_token_id` (transformers'
    /// `create_position_ids_from_input_ids`).
    ///
    /// # Panics
    /// If the number of streams is not the number of sentences.
    pub fn new<I: AsRef<[u32]>>(config: &ModelConfig, sentences: &[I], streams: Vec<u32>) -> Self {
        let pad = config.pad_token_id as u32;
        let after_padding = config.architecture.family().positions == Positions::AfterPadding;
        let positions = sentences.iter().flat_map(|ids| {
            let mut next = 0;
            ids.as_ref().iter().map(move |&id| match after_padding {
                true if id == pad => pad,
                true => {
                    next += 1;
                    pad + next
                }
                false => {
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

    /// Where each sentence begins.
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }
}
