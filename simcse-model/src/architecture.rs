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
    /// `modernbert`: rotary positions, windows of attention, gated feed-forward layers, LayerNorm
    /// first, and no biases.
    ModernBert,
}

impl Named for Architecture {
    const ALL: &'static [Self] = &[
        Self::Bert,
        Self::Roberta,
        Self::XlmRoberta,
        Self::Camembert,
        Self::DistilBert,
        Self::Electra,
        Self::Mpnet,
        Self::ModernBert,
    ];

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
    pub(crate) positions: Positions,
    /// There is a table of token types, and a width in the fields.
    pub(crate) has_token_types: bool,
    /// The embeddings may have a width of their own, `embedding_size`.
    pub(crate) has_embedding_size: bool,
    /// A model may come with a pooler.
    pub(crate) has_pooler: bool,
    /// Attention adds a bias that depends on the distance of two tokens.
    pub(crate) has_relative_attention: bool,
    /// Dense layers and LayerNorms have biases.
    pub(crate) has_biases: bool,
    /// The feed-forward layers are gated, and what the gate lets pass goes through dropout. Without
    /// a gate, their output does.
    pub(crate) has_gate: bool,
    /// LayerNorm comes before attention and before the feed-forward layers, and once at the end,
    /// rather than after each residual connection. The first layer's input is normalized already.
    pub(crate) norm_first: bool,
    /// At what rate the attention output goes through dropout before it is added to the residual.
    pub(crate) attention_output_dropout: Option<Rate>,
}

/// Where a token's position comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Positions {
    /// In a table of embeddings, from 0.
    FromZero,
    /// In a table of embeddings, from the padding token's id + 1, skipping padding tokens
    /// (transformers' `create_position_ids_from_input_ids`).
    AfterPadding,
    /// In the rotation of queries and keys.
    Rotary,
}

/// Which of a model's two dropout rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// `hidden_dropout_prob` of [`ModelConfig`](crate::ModelConfig).
    Hidden,
    /// `attention_probs_dropout_prob`.
    Attention,
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
    /// The ε of LayerNorm; it is 1e-12 if there is no such field.
    pub(crate) layer_norm_eps: Option<&'static str>,
}

/// Names of parameters, as in the bare model's `state_dict`.
#[derive(Debug)]
pub(crate) struct ParameterNames {
    pub(crate) word_embeddings: &'static str,
    pub(crate) embeddings_norm: &'static str,
    /// The LayerNorm at the end, in families with LayerNorm first.
    pub(crate) final_norm: &'static str,
    /// The prefix of layer `i` is `{layers}.{i}`. The other names are below it.
    pub(crate) layers: &'static str,
    /// Of three dense layers, or of one with their outputs side by side.
    pub(crate) query_key_value: &'static [&'static str],
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
    /// Fields that a model with such a head must not have otherwise, and their JSON.
    pub(crate) required: &'static [(&'static str, &'static str)],
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
            Self::ModernBert => &MODERN_BERT,
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
    layer_norm_eps: Some("layer_norm_eps"),
};

const BERT_PARAMETERS: ParameterNames = ParameterNames {
    word_embeddings: "embeddings.word_embeddings",
    embeddings_norm: "embeddings.LayerNorm",
    final_norm: "",
    layers: "encoder.layer",
    query_key_value: &["attention.self.query", "attention.self.key", "attention.self.value"],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    output_norm: "output.LayerNorm",
};

const ROBERTA_HEAD: HeadNames = HeadNames {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    bias: "lm_head.bias",
    always_gelu: true,
    required: &[],
};

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
        required: &[],
    },
    positions: Positions::FromZero,
    has_token_types: true,
    has_embedding_size: false,
    has_pooler: true,
    has_relative_attention: false,
    has_biases: true,
    has_gate: false,
    norm_first: false,
    attention_output_dropout: Some(Rate::Hidden),
};

/// transformers: `RobertaModel`.
const ROBERTA: Family = Family {
    model_type: "roberta",
    class: "RobertaModel",
    head: ROBERTA_HEAD,
    positions: Positions::AfterPadding,
    ..BERT
};

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
        layer_norm_eps: None,
    },
    parameters: ParameterNames {
        layers: "transformer.layer",
        query_key_value: &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
        attention_output: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        intermediate: "ffn.lin1",
        output: "ffn.lin2",
        output_norm: "output_layer_norm",
        ..BERT_PARAMETERS
    },
    head: HeadNames {
        dense: "vocab_transform",
        norm: "vocab_layer_norm",
        bias: "vocab_projector.bias",
        always_gelu: false,
        required: &[],
    },
    has_token_types: false,
    has_pooler: false,
    attention_output_dropout: None,
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
        required: &[],
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
        query_key_value: &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
        attention_output: "attention.attn.o",
        attention_norm: "attention.LayerNorm",
        ..BERT_PARAMETERS
    },
    has_token_types: false,
    has_relative_attention: true,
    ..ROBERTA
};

/// transformers: `ModernBertModel`.
const MODERN_BERT: Family = Family {
    model_type: "modernbert",
    class: "ModernBertModel",
    fields: FieldNames {
        hidden_dropout_prob: "mlp_dropout",
        attention_probs_dropout_prob: "attention_dropout",
        hidden_act: "hidden_activation",
        layer_norm_eps: Some("norm_eps"),
        ..BERT_FIELDS
    },
    parameters: ParameterNames {
        word_embeddings: "embeddings.tok_embeddings",
        embeddings_norm: "embeddings.norm",
        final_norm: "final_norm",
        layers: "layers",
        query_key_value: &["attn.Wqkv"],
        attention_output: "attn.Wo",
        attention_norm: "attn_norm",
        intermediate: "mlp.Wi",
        output: "mlp.Wo",
        output_norm: "mlp_norm",
    },
    head: HeadNames {
        dense: "head.dense",
        norm: "head.norm",
        bias: "decoder.bias",
        always_gelu: true,
        required: &[("classifier_activation", r#""gelu""#), ("classifier_bias", "false"), ("decoder_bias", "true")],
    },
    positions: Positions::Rotary,
    has_token_types: false,
    has_pooler: false,
    has_biases: false,
    has_gate: true,
    norm_first: true,
    attention_output_dropout: Some(Rate::Attention),
    ..BERT
};
