//! What attention knows of the distance of two tokens: MPNet's bias by distance, ModernBERT's
//! rotations and windows. For other families, positions are in the embeddings alone.

use std::sync::Arc;

use simcse_tensor::{Attention, Rotary, Rows, Slot, Tape, Var};

use crate::directory::alternating::AlternatingAttention;
use crate::directory::config::ModelConfig;

/// What the layers of one pass share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Distances {
    /// Each sentence's copy of the table of biases.
    bias: Option<Var>,
    /// Of layers that see whole sentences, and of layers that see windows.
    rotary: Option<[Arc<Rotary>; 2]>,
}

impl Distances {
    /// For the sentences of `rows`; `bias` is the table of biases, if there is one.
    pub(crate) fn new(config: &ModelConfig, tape: &mut Tape, bias: Option<Slot>, rows: &Rows) -> Self {
        let longest = rows.iter().map(|sentence| sentence.len()).max().unwrap_or(0);
        let size = config.hidden_size / config.num_attention_heads;
        let rotary = config.alternating_attention.map(|AlternatingAttention { global_theta, local_theta, .. }| {
            [global_theta, local_theta].map(|theta| Arc::new(Rotary::new(theta, size, longest)))
        });
        Self { bias: bias.map(|table| tape.relative_bias(table)), rotary }
    }

    /// Of attention's scores.
    pub(crate) fn bias(&self) -> Option<Var> {
        self.bias
    }

    /// The attention of a layer, without dropout.
    pub(crate) fn attention(&self, config: &ModelConfig, number: usize) -> Attention {
        let window = config.window(number);
        let rotary = self.rotary.as_ref().map(|[global, local]| if window.is_some() { local } else { global });
        Attention { heads: config.num_attention_heads, window, rotary: rotary.cloned(), dropout: None }
    }
}
