//! The encoder: embeddings and a stack of layers.
//!
//! transformers: `BertModel`, `RobertaModel`, `DistilBertModel`, without their pooler, which no sentence embedding uses.

pub(crate) mod batch;
pub(crate) mod dropout;
mod layer;
mod names;
pub(crate) mod work;

use simcse_tensor::{Layout, Lookup, Slot, Tape, Var};

use crate::directory::config::{Architecture, ModelConfig};
use crate::encoder::batch::TokenBatch;
use crate::encoder::dropout::{DropoutPlan, Site};
use crate::encoder::layer::{Layer, push_norm};

/// The places of the encoder's parameters in the flat buffers.
#[derive(Clone, Debug)]
pub struct Encoder {
    config: ModelConfig,
    word_embeddings: Slot,
    position_embeddings: Slot,
    /// BERT's and RoBERTa's; every token has type 0. DistilBERT has none.
    token_type_embeddings: Option<Slot>,
    embeddings_norm: [Slot; 2],
    layers: Vec<Layer>,
}

impl Encoder {
    /// The encoder and the table of its parameters, named as in the bare model's `state_dict`. A pooler, if the checkpoint
    /// has one, is in the table to be written back, and is not trained.
    pub fn new(config: ModelConfig, with_pooler: bool) -> (Self, Layout) {
        let mut layout = Layout::default();
        let c = config.hidden_size;
        let mut table = |name: &str, rows| layout.push(format!("embeddings.{name}.weight"), &[rows, c], true, true);
        let word_embeddings = table("word_embeddings", config.vocab_size);
        let position_embeddings = table("position_embeddings", config.max_position_embeddings);
        let token_type_embeddings =
            (config.type_vocab_size > 0).then(|| table("token_type_embeddings", config.type_vocab_size));
        let embeddings_norm = push_norm(&mut layout, "embeddings.LayerNorm", c);
        let layers = (0..config.num_hidden_layers).map(|number| Layer::push(&mut layout, &config, number)).collect();
        if with_pooler {
            layout.push("pooler.dense.weight", &[c, c], true, false);
            layout.push("pooler.dense.bias", &[c], false, false);
        }
        let encoder =
            Self { config, word_embeddings, position_embeddings, token_type_embeddings, embeddings_norm, layers };
        (encoder, layout)
    }

    /// The shape of the encoder.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The last hidden states, (N, C).
    ///
    /// # Panics
    /// If a token id lies outside the vocabulary, or a sentence is longer than the model has positions for.
    pub fn forward(&self, tape: &mut Tape, batch: &TokenBatch, dropout: Option<&DropoutPlan>) -> Var {
        // As PyTorch's `padding_idx`: a padding token written out in a text does not train its embedding.
        let padding = Some(self.config.pad_token_id as u32);
        let position_padding = padding.filter(|_| self.config.architecture == Architecture::Roberta);
        let mut lookups = vec![Lookup { table: self.word_embeddings, index: batch.ids.clone(), padding }];
        if let Some(table) = self.token_type_embeddings {
            lookups.push(Lookup { table, index: vec![0; batch.ids.len()].into(), padding: None });
        }
        let index = batch.positions.clone();
        lookups.push(Lookup { table: self.position_embeddings, index, padding: position_padding });
        let embedded = tape.embedding(lookups);
        let mut x = tape.layer_norm(embedded, None, None, self.embeddings_norm, self.config.layer_norm_eps);
        if let Some(plan) = dropout {
            x = tape.dropout(x, plan.at(Site::Embeddings));
        }
        for layer in &self.layers {
            x = layer.forward(&self.config, tape, x, dropout);
            tape.keep_only(x);
        }
        x
    }
}

#[cfg(test)]
#[path = "tests/encoder.rs"]
mod tests;
