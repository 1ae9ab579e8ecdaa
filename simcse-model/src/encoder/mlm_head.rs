//! The head of masked language modeling: hidden states to predictions of tokens (Devlin et al.
//! 2019).
//!
//! transformers: `BertLMPredictionHead`, `RobertaLMHead`, and the `vocab_…` layers of
//! `DistilBertForMaskedLM`. Their last product is with the word embeddings (tied weights), so the
//! head itself ends with the states to multiply, and has a bias for each token.

use simcse_tensor::{Activation, Layout, Slot, Tape, Var};

use crate::directory::config::{Architecture, ModelConfig};
use crate::encoder::layer::{Dense, push_norm};

/// Names of the head's parameters, as in the reference model's `state_dict`.
struct HeadNames {
    dense: &'static str,
    norm: &'static str,
    bias: &'static str,
}

impl HeadNames {
    fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Bert => Self {
                dense: "cls.predictions.transform.dense",
                norm: "cls.predictions.transform.LayerNorm",
                bias: "cls.predictions.bias",
            },
            Architecture::Roberta => Self { dense: "lm_head.dense", norm: "lm_head.layer_norm", bias: "lm_head.bias" },
            Architecture::DistilBert => {
                Self { dense: "vocab_transform", norm: "vocab_layer_norm", bias: "vocab_projector.bias" }
            }
        }
    }
}

/// Where the head's parameters are in the flat buffers.
#[derive(Clone, Debug)]
pub(crate) struct MlmHead {
    dense: Dense,
    activation: Activation,
    norm: [Slot; 2],
    /// A value for each token of the vocabulary.
    pub(crate) bias: Slot,
}

impl MlmHead {
    /// Adds the head's parameters to the layout.
    pub(crate) fn push(layout: &mut Layout, config: &ModelConfig) -> Self {
        let names = HeadNames::of(config.architecture);
        let c = config.hidden_size;
        Self {
            dense: Dense::push(layout, &[names.dense.to_owned()], c, c),
            activation: match config.architecture {
                Architecture::Bert | Architecture::DistilBert => config.hidden_act,
                Architecture::Roberta => Activation::Gelu, // whatever the configuration says
            },
            norm: push_norm(layout, names.norm, c),
            bias: layout.push(names.bias, &[config.vocab_size], false, true),
        }
    }

    /// Hidden states (M, C) to the states that are multiplied with the vocabulary (M, C):
    /// `LayerNorm(act(x·Wᵀ + b))`.
    pub(crate) fn forward(&self, config: &ModelConfig, tape: &mut Tape, x: Var) -> Var {
        let h = tape.linear(x, self.dense.weight, self.dense.bias);
        let activated = tape.activation(h, self.activation);
        tape.layer_norm(activated, None, None, self.norm, config.layer_norm_eps)
    }
}
