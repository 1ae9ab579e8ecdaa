//! The encoder families, and everything in which they differ.
//!
//! All of them are one encoder (`encoder/`). A family is a [`Family`]: names of fields and
//! parameters, how positions count, which embeddings there are, and where dropout applies. Names
//! and rules are those of transformers.

use simcse_tensor::Named;

/// The encoder families, by `model_type`.
///
/// ```
/// use simcse_model::{Architecture, Named};
///
/// assert_eq!(Architecture::from_name("roberta").unwrap(), Architecture::Roberta);
/// assert_eq!(Architecture::DistilBert.name(), "distilbert");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `bert`
    Bert,
    /// `roberta`: BERT whose positions count from the padding index.
    Roberta,
    /// `xlm-roberta`: RoBERTa for a hundred languages.
    XlmRoberta,
    /// `camembert`: RoBERTa for French.
    Camembert,
    /// `distilbert`: BERT without token types and without a pooler, with names of its own.
    DistilBert,
    /// `electra`: BERT whose embeddings may be narrower than its layers, without a pooler.
    Electra,
    /// `mpnet`: RoBERTa without token types, whose attention knows the distance of two tokens.
    Mpnet,
}

impl Named for Architecture {
    const ALL: &'static [Self] =
        &[Self::Bert, Self::Roberta, Self::XlmRoberta, Self::Camembert, Self::DistilBert, Self::Electra, Self::Mpnet];

    /// The `model_type` of `config.json`.
    fn name(self) -> &'static str {
        self.family().model_type
    }
}

/// What a family is called, and in what it differs from the others.
#[derive(Debug)]
pub(crate) struct Family {
    /// The `model_type` of `config.json`.
    model_type: &'static str,
    /// The class of the bare model.
    pub(crate) class: &'static str,
    pub(crate) fields: FieldNames,
    pub(crate) parameters: ParameterNames,
    pub(crate) head: HeadNames,
    /// Positions count from the padding token's id + 1 and skip padding tokens, rather than from 0
    /// (transformers' `create_position_ids_from_input_ids`).
    pub(crate) positions_after_padding: bool,
    /// There is a table of token types, and a width in the fields.
    pub(crate) has_token_types: bool,
    /// The fields have the ε of LayerNorm; it is 1e-12 without them.
    pub(crate) has_layer_norm_eps: bool,
    /// The embeddings may have a width of their own, `embedding_size`.
    pub(crate) has_embedding_size: bool,
    /// A model may come with a pooler.
    pub(crate) has_pooler: bool,
    /// Attention adds a bias that depends on the distance of two tokens.
    pub(crate) has_relative_attention: bool,
    /// The attention output goes through dropout before it is added to the residual.
    pub(crate) has_attention_output_dropout: bool,
}

/// The names that a family gives to the same fields.
#[derive(Debug)]
pub(crate) struct FieldNames {
    pub(crate) hidden_size: &'static str,
    pub(crate) num_hidden_layers: &'static str,
    pub(crate) num_attention_heads: &'static str,
    pub(crate) intermediate_size: &'static str,
    pub(crate) hidden_dropout_prob: &'static str,
    pub(crate) attention_probs_dropout_prob: &'static str,
    pub(crate) hidden_act: &'static str,
}

/// Names below a layer's prefix, as in the bare model's `state_dict`.
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
}

/// Names of the head of masked language modeling, as in the `state_dict` of the model with it.
#[derive(Debug)]
pub(crate) struct HeadNames {
    pub(crate) dense: &'static str,
    pub(crate) norm: &'static str,
    pub(crate) bias: &'static str,
    /// The head's activation is the exact GELU, whatever `hidden_act` says.
    pub(crate) always_gelu: bool,
}

impl Architecture {
    /// The row of the table.
    pub(crate) fn family(self) -> &'static Family {
        match self {
            Self::Bert => &BERT,
            Self::Roberta => &ROBERTA,
            Self::XlmRoberta => &XLM_ROBERTA,
            Self::Camembert => &CAMEMBERT,
            Self::DistilBert => &DISTILBERT,
            Self::Electra => &ELECTRA,
            Self::Mpnet => &MPNET,
        }
    }
}

const BERT_FIELDS: FieldNames = FieldNames {
    hidden_size: "hidden_size",
    num_hidden_layers: "num_hidden_layers",
    num_attention_heads: "num_attention_heads",
    intermediate_size: "intermediate_size",
    hidden_dropout_prob: "hidden_dropout_prob",
    attention_probs_dropout_prob: "attention_probs_dropout_prob",
    hidden_act: "hidden_act",
};

const BERT_PARAMETERS: ParameterNames = ParameterNames {
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    output_norm: "output.LayerNorm",
};

const ROBERTA_HEAD: HeadNames =
    HeadNames { dense: "lm_head.dense", norm: "lm_head.layer_norm", bias: "lm_head.bias", always_gelu: true };

/// transformers: `BertModel`.
const BERT: Family = Family {
    model_type: "bert",
    class: "BertModel",
    fields: BERT_FIELDS,
    parameters: BERT_PARAMETERS,
    head: HeadNames {
        dense: "cls.predictions.transform.dense",
        norm: "cls.predictions.transform.LayerNorm",
        bias: "cls.predictions.bias",
        always_gelu: false,
    },
    positions_after_padding: false,
    has_token_types: true,
    has_layer_norm_eps: true,
    has_embedding_size: false,
    has_pooler: true,
    has_relative_attention: false,
    has_attention_output_dropout: true,
};

/// transformers: `RobertaModel`.
const ROBERTA: Family =
    Family { model_type: "roberta", class: "RobertaModel", head: ROBERTA_HEAD, positions_after_padding: true, ..BERT };

/// transformers: `XLMRobertaModel`, whose code is RoBERTa's.
const XLM_ROBERTA: Family = Family { model_type: "xlm-roberta", class: "XLMRobertaModel", ..ROBERTA };

/// transformers: `CamembertModel`, whose code is RoBERTa's.
const CAMEMBERT: Family = Family { model_type: "camembert", class: "CamembertModel", ..ROBERTA };

/// transformers: `DistilBertModel`.
const DISTILBERT: Family = Family {
    model_type: "distilbert",
    class: "DistilBertModel",
    fields: FieldNames {
        hidden_size: "dim",
        num_hidden_layers: "n_layers",
        num_attention_heads: "n_heads",
        intermediate_size: "hidden_dim",
        hidden_dropout_prob: "dropout",
        attention_probs_dropout_prob: "attention_dropout",
        hidden_act: "activation",
    },
    parameters: ParameterNames {
        layers: "transformer.layer",
        query: "attention.q_lin",
        key: "attention.k_lin",
        value: "attention.v_lin",
        attention_output: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        intermediate: "ffn.lin1",
        output: "ffn.lin2",
        output_norm: "output_layer_norm",
    },
    head: HeadNames {
        dense: "vocab_transform",
        norm: "vocab_layer_norm",
        bias: "vocab_projector.bias",
        always_gelu: false,
    },
    has_token_types: false,
    has_layer_norm_eps: false,
    has_pooler: false,
    has_attention_output_dropout: false,
    ..BERT
};

/// transformers: `ElectraModel`, the discriminator or the generator.
const ELECTRA: Family = Family {
    model_type: "electra",
    class: "ElectraModel",
    head: HeadNames {
        dense: "generator_predictions.dense",
        norm: "generator_predictions.LayerNorm",
        bias: "generator_lm_head.bias",
        always_gelu: true,
    },
    has_embedding_size: true,
    has_pooler: false,
    ..BERT
};

/// transformers: `MPNetModel`.
const MPNET: Family = Family {
    model_type: "mpnet",
    class: "MPNetModel",
    parameters: ParameterNames {
        query: "attention.attn.q",
        key: "attention.attn.k",
        value: "attention.attn.v",
        attention_output: "attention.attn.o",
        attention_norm: "attention.LayerNorm",
        ..BERT_PARAMETERS
    },
    has_token_types: false,
    has_relative_attention: true,
    ..ROBERTA
};
