//! One Transformer layer: normalized after each residual connection (Vaswani et al. 2017), or
//! before attention and before the feed-forward layers (Xiong et al. 2020).
//!
//! transformers: `BertLayer` and its copies in other families, DistilBERT's `TransformerBlock`,
//! `ModernBertEncoderLayer`.

use simcse_tensor::{Layout, Norm, Slot, Tape, Var};

use crate::directory::config::ModelConfig;
use crate::encoder::distances::Distances;
use crate::encoder::dropout::{DropoutPlan, Site};

/// Weight (out, in) and bias (out), if there is one, of a dense layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense {
    pub(crate) weight: Slot,
    pub(crate) bias: Option<Slot>,
}

impl Dense {
    /// Dense layers of equal shape as one layer, whose output is their outputs side by side.
    ///
    /// Each keeps its own name in the table, but one large matrix product is faster than several
    /// small ones. Adding all weights before all biases makes the weights adjacent in the flat
    /// buffer.
    pub(crate) fn push(layout: &mut Layout, config: &ModelConfig, names: &[String], out: usize, input: usize) -> Self {
        let mut side_by_side = |suffix: &str, shape: &[usize], decay| {
            let slots: Vec<Slot> =
                names.iter().map(|name| layout.push(format!("{name}.{suffix}"), shape, decay, true)).collect();
            slots.into_iter().reduce(Slot::join).expect("at least one dense layer")
        };
        let weight = side_by_side("weight", &[out, input], true);
        let bias = config.architecture.family().has_biases.then(|| side_by_side("bias", &[out], false));
        Self { weight, bias }
    }

    /// (N, in) to (N, out).
    pub(crate) fn forward(self, tape: &mut Tape, x: Var) -> Var {
        tape.linear(x, self.weight, self.bias)
    }
}

/// γ and β, if there is one, of a LayerNorm.
pub(crate) fn push_norm(layout: &mut Layout, config: &ModelConfig, name: &str, size: usize) -> Norm {
    let gamma = layout.push(format!("{name}.weight"), &[size], false, true);
    let has_beta = config.architecture.family().has_biases;
    let beta = has_beta.then(|| layout.push(format!("{name}.bias"), &[size], false, true));
    Norm { gamma, beta, eps: config.layer_norm_eps }
}

/// The parameters of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) number: usize,
    pub(crate) query_key_value: Dense,
    pub(crate) attention_output: Dense,
    /// `None` in a first layer with LayerNorm first.
    pub(crate) attention_norm: Option<Norm>,
    pub(crate) intermediate: Dense,
    pub(crate) output: Dense,
    pub(crate) output_norm: Norm,
}

impl Layer {
    /// Adds the parameters of layer `number` to the layout.
    pub(crate) fn push(layout: &mut Layout, config: &ModelConfig, number: usize) -> Self {
        let family = config.architecture.family();
        let names = &family.parameters;
        let c = config.hidden_size;
        let f = config.intermediate_size;
        let name = |name: &str| format!("{}.{number}.{name}", names.layers);
        let query_key_value: Vec<String> = names.query_key_value.iter().copied().map(name).collect();
        let has_attention_norm = !(family.norm_first && number == 0);
        Self {
            number,
            query_key_value: Dense::push(layout, config, &query_key_value, 3 * c / query_key_value.len(), c),
            attention_output: Dense::push(layout, config, &[name(names.attention_output)], c, c),
            attention_norm: has_attention_norm.then(|| push_norm(layout, config, &name(names.attention_norm), c)),
            intermediate: Dense::push(layout, config, &[name(names.intermediate)], config.feed_forward_width(), c),
            output: Dense::push(layout, config, &[name(names.output)], c, f),
            output_norm: push_norm(layout, config, &name(names.output_norm), c),
        }
    }

    /// `x` (N, C) to `y` (N, C):
    ///
    /// ```text
    /// a = LayerNorm(x + dropout(attend(x)))
    /// y = LayerNorm(a + feed(a))
    /// ```
    ///
    /// and with LayerNorm first:
    ///
    /// ```text
    /// a = x + dropout(attend(LayerNorm(x)))
    /// y = a + feed(LayerNorm(a))
    /// ```
    pub(crate) fn forward(
        &self,
        config: &ModelConfig,
        tape: &mut Tape,
        x: Var,
        distances: &Distances,
        dropout: Option<&DropoutPlan>,
    ) -> Var {
        let family = config.architecture.family();
        let mask = |site, rate| dropout.map(|plan| plan.at_rate(site, rate));
        let attended_mask =
            family.attention_output_dropout.and_then(|rate| mask(Site::AttentionOutput(self.number), rate));
        let fed_mask = dropout.map(|plan| plan.at(Site::Output(self.number)));
        let (gated_mask, fed_mask) = if family.has_gate { (fed_mask, None) } else { (None, fed_mask) };

        let attend = |tape: &mut Tape, x: Var| {
            let mut attention = distances.attention(config, self.number);
            attention.dropout = dropout.map(|plan| plan.at(Site::AttentionProbabilities(self.number)));
            let qkv = self.query_key_value.forward(tape, x);
            let context = tape.attention(qkv, distances.bias(), attention);
            self.attention_output.forward(tape, context)
        };
        let feed = |tape: &mut Tape, x: Var| {
            let h = self.intermediate.forward(tape, x);
            let Dense { weight, bias } = self.output;
            match family.has_gate {
                true => tape.gated_linear(h, config.hidden_act, gated_mask, weight, bias),
                false => tape.activation_linear(h, config.hidden_act, weight, bias),
            }
        };

        if family.norm_first {
            let normed = self.attention_norm.map_or(x, |norm| tape.layer_norm(x, None, None, norm));
            let attended = attend(tape, normed);
            let a = tape.residual(attended, x, attended_mask);
            let normed = tape.layer_norm(a, None, None, self.output_norm);
            let fed = feed(tape, normed);
            tape.residual(fed, a, fed_mask)
        } else {
            let norm = self.attention_norm.expect("LayerNorm after attention");
            let attended = attend(tape, x);
            let a = tape.layer_norm(attended, Some(x), attended_mask, norm);
            let fed = feed(tape, a);
            tape.layer_norm(fed, Some(a), fed_mask, self.output_norm)
        }
    }
}
