//! One Transformer layer, normalized after each residual connection (Vaswani et al. 2017).
//!
//! transformers: `BertLayer` and its copies in other families, DistilBERT's `TransformerBlock`.

use simcse_tensor::{Layout, Slot, Tape, Var};

use crate::directory::config::ModelConfig;
use crate::encoder::dropout::{DropoutPlan, Site};

/// Weight (out, in) and bias (out) of a dense layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense {
    pub(crate) weight: Slot,
    pub(crate) bias: Slot,
}

impl Dense {
    /// Dense layers of equal shape as one layer, whose output is their outputs side by side.
    ///
    /// Each keeps its own name in the table, but one large matrix product is faster than several
    /// small ones. Adding all weights before all biases makes the weights adjacent in the flat
    /// buffer.
    pub(crate) fn push(layout: &mut Layout, names: &[String], out: usize, input: usize) -> Self {
        let mut side_by_side = |suffix: &str, shape: &[usize], decay| {
            let slots: Vec<Slot> =
                names.iter().map(|name| layout.push(format!("{name}.{suffix}"), shape, decay, true)).collect();
            slots.into_iter().reduce(Slot::join).expect("at least one dense layer")
        };
        let weight = side_by_side("weight", &[out, input], true);
        Self { weight, bias: side_by_side("bias", &[out], false) }
    }
}

/// γ and β of a LayerNorm.
pub(crate) fn push_norm(layout: &mut Layout, name: &str, size: usize) -> [Slot; 2] {
    ["weight", "bias"].map(|part| layout.push(format!("{name}.{part}"), &[size], false, true))
}

/// The parameters of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    number: usize,
    query_key_value: Dense,
    attention_output: Dense,
    attention_norm: [Slot; 2],
    intermediate: Dense,
    output: Dense,
    output_norm: [Slot; 2],
}

impl Layer {
    /// Adds the parameters of layer `number` to the layout.
    pub(crate) fn push(layout: &mut Layout, config: &ModelConfig, number: usize) -> Self {
        let names = &config.architecture.family().parameters;
        let c = config.hidden_size;
        let f = config.intermediate_size;
        let name = |name: &str| format!("{}.{number}.{name}", names.layers);
        Self {
            number,
            query_key_value: Dense::push(layout, &[names.query, names.key, names.value].map(name), c, c),
            attention_output: Dense::push(layout, &[name(names.attention_output)], c, c),
            attention_norm: push_norm(layout, &name(names.attention_norm), c),
            intermediate: Dense::push(layout, &[name(names.intermediate)], f, c),
            output: Dense::push(layout, &[name(names.output)], c, f),
            output_norm: push_norm(layout, &name(names.output_norm), c),
        }
    }

    /// `x` (N, C) to `y` (N, C):
    ///
    /// ```text
    /// a = LayerNorm(x + dropout(attention(x·W_qkvᵀ + b_qkv)·W_oᵀ + b_o))
    /// y = LayerNorm(a + dropout(act(a·W_1ᵀ + b_1)·W_2ᵀ + b_2))
    /// ```
    ///
    /// MPNet's attention adds `bias` to its scores.
    pub(crate) fn forward(
        &self,
        config: &ModelConfig,
        tape: &mut Tape,
        x: Var,
        bias: Option<Var>,
        dropout: Option<&DropoutPlan>,
    ) -> Var {
        let mask = |site| dropout.map(|plan| plan.at(site));
        let probabilities_mask = mask(Site::AttentionProbabilities(self.number));
        let attended_mask = mask(Site::AttentionOutput(self.number))
            .filter(|_| config.architecture.family().has_attention_output_dropout);
        let fed_mask = mask(Site::Output(self.number));
        let eps = config.layer_norm_eps;

        let qkv = tape.linear(x, self.query_key_value.weight, self.query_key_value.bias);
        let context = tape.attention(qkv, config.num_attention_heads, bias, probabilities_mask);
        let attended = tape.linear(context, self.attention_output.weight, self.attention_output.bias);
        let a = tape.layer_norm(attended, Some(x), attended_mask, self.attention_norm, eps);

        let h = tape.linear(a, self.intermediate.weight, self.intermediate.bias);
        let fed = tape.activation_linear(h, config.hidden_act, self.output.weight, self.output.bias);
        tape.layer_norm(fed, Some(a), fed_mask, self.output_norm, eps)
    }
}
