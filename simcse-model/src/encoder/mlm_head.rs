//! The head of masked language modeling: hidden states to predictions of tokens (Devlin et al.
//! 2019).
//!
//! transformers: `BertLMPredictionHead`, `RobertaLMHead`, `MPNetLMHead`,
//! `ElectraGeneratorPredictions`, `ModernBertPredictionHead`, and the `vocab_…` layers of
//! `DistilBertForMaskedLM`. Their last product is with the word embeddings (tied weights), so the
//! head itself ends with the states to multiply, and has a bias for each token.

use simcse_tensor::{Activation, Layout, Norm, Slot, Tape, Var};

use crate::directory::config::ModelConfig;
use crate::encoder::layer::{Dense, push_norm};

/// Where the head's parameters are in the flat buffers.
#[derive(Clone, Debug)]
pub(crate) struct MlmHead {
    dense: Dense,
    activation: Activation,
    norm: Norm,
    /// A value for each token of the vocabulary.
    pub(crate) bias: Slot,
}

impl MlmHead {
    /// Adds the head's parameters to the layout.
    pub(crate) fn push(layout: &mut Layout, config: &ModelConfig) -> Self {
        let names = &config.architecture.family().head;
        let e = config.embedding_width();
        Self {
            dense: Dense::push(layout, config, &[names.dense.to_owned()], e, config.hidden_size),
            activation: if names.always_gelu { Activation::Gelu } else { config.hidden_act },
            norm: push_norm(layout, config, names.norm, e),
            bias: layout.push(names.bias, &[config.vocab_size], false, true),
        }
    }

    /// Hidden states (M, C) to the states that are multiplied with the vocabulary (M, E):
    /// `LayerNorm(act(x·Wᵀ + b))`.
    pub(crate) fn forward(&self, tape: &mut Tape, x: Var) -> Var {
        let h = self.dense.forward(tape, x);
        let activated = tape.activation(h, self.activation);
        tape.layer_norm(activated, None, None, self.norm)
    }
}
