//! How the architectures differ: in the names of their parameters, and in where they apply dropout.

use crate::directory::config::Architecture;

/// Names below a layer's prefix, as in the reference model's `state_dict`.
#[derive(Debug)]
pub(crate) struct ParameterNames {
    /// The prefix of layer `i` is `{layers}.{i}`.
    pub(crate) layers: &'static str,
    pub(crate) query: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    pub(crate) attention_output: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) intermediate: &'static str,
    pub(crate) output: &'static str,
    pub(crate) output_norm: &'static str,
    /// Whether the attention output goes through dropout before it is added to the residual.
    pub(crate) attention_output_dropout: bool,
}

/// transformers: `BertLayer` and the identical `RobertaLayer`.
const BERT: ParameterNames = ParameterNames {
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    output_norm: "output.LayerNorm",
    attention_output_dropout: true,
};

/// transformers: DistilBERT's `TransformerBlock`.
const DISTILBERT: ParameterNames = ParameterNames {
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    intermediate: "ffn.lin1",
    output: "ffn.lin2",
    output_norm: "output_layer_norm",
    attention_output_dropout: false,
};

impl ParameterNames {
    pub(crate) fn of(architecture: Architecture) -> &'static Self {
        match architecture {
            Architecture::Bert | Architecture::Roberta => &BERT,
            Architecture::DistilBert => &DISTILBERT,
        }
    }
}
