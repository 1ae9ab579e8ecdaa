//! The encoder as a graph: the counterpart of `Encoder::forward_mixed`, with the same parameters
//! and the same table of families, on a batch that is padded.
//!
//! transformers: what `torch.onnx` makes of `BertModel` and others, and calls by the same names.

use simcse_tensor::{Activation, Norm, Params};

use crate::architecture::Positions;
use crate::directory::config::ModelConfig;
use crate::directory::layer_mix::LayerMix;
use crate::encoder::Encoder;
use crate::encoder::layer::{Dense, Layer};
use crate::onnx::distances::Distances;
use crate::onnx::graph::{Attribute, Graph, Value};
use crate::onnx::messages::ElementType;

/// The inputs. `attention_mask` is 1 for tokens and 0 for padding.
const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const TYPES: &str = "token_type_ids";

/// A graph whose values are those of an encoder.
pub(super) struct EncoderGraph<'e, 'a> {
    encoder: &'e Encoder,
    config: &'e ModelConfig,
    graph: Graph<'a>,
}

impl<'e, 'a> EncoderGraph<'e, 'a> {
    /// The graph, and the value of it that is a mix of the hidden states, or for `None` the last
    /// ones: (batch_size, sequence_length, C).
    pub(super) fn build(encoder: &'e Encoder, mix: Option<&LayerMix>, params: &'a Params) -> (Graph<'a>, Value) {
        let mut build = Self { encoder, config: encoder.config(), graph: Graph::new(params) };
        let hidden = build.forward(mix);
        (build.graph, hidden)
    }

    fn forward(&mut self, mix: Option<&LayerMix>) -> Value {
        let [ids, mask] = [IDS, MASK].map(|name| self.graph.input(name));
        self.graph.enter("embeddings");
        let mut x = self.embeddings(ids);
        self.graph.enter("attention");
        let distances = Distances::new(self.encoder, &mut self.graph, ids, mask);
        let mut states = vec![x];
        for (number, layer) in (1..).zip(&self.encoder.layers) {
            x = self.layer(layer, x, &distances);
            if let Some(norm) = self.encoder.final_norm.filter(|_| number == self.encoder.layers.len()) {
                x = self.norm(norm, x);
            }
            states.push(x);
        }
        mix.map_or(x, |mix| self.mix(mix, &states))
    }

    /// `Σ_l w_l·h_l`.
    fn mix(&mut self, mix: &LayerMix, states: &[Value]) -> Value {
        self.graph.enter("mix");
        let terms: Vec<_> = mix
            .terms()
            .map(|(state, share)| {
                let share = self.graph.float(share);
                self.graph.op("Mul", [states[state], share])
            })
            .collect();
        terms.into_iter().reduce(|sum, term| self.graph.op("Add", [sum, term])).expect("a mix of something")
    }

    /// What the first layer gets.
    fn embeddings(&mut self, ids: Value) -> Value {
        let encoder = self.encoder;
        let graph = &mut self.graph;
        let words = graph.weights(encoder.word_embeddings);
        let mut x = graph.op("Gather", [words, ids]);
        if let Some(table) = encoder.token_type_embeddings {
            // Where there is one type only, tokenizers and other exporters know nothing of types.
            let types = if table.rows() > 1 { graph.input(TYPES) } else { graph.int(0) };
            let table = graph.weights(table);
            let types = graph.op("Gather", [table, types]);
            x = graph.op("Add", [x, types]);
        }
        if let Some(table) = encoder.position_embeddings {
            let table = graph.weights(table);
            let positions = self.positions(table, ids);
            x = self.graph.op("Add", [x, positions]);
        }
        x = self.norm(encoder.embeddings_norm, x);
        match encoder.embeddings_project {
            Some(project) => self.dense(project, x),
            None => x,
        }
    }

    /// The embeddings of the tokens' positions.
    fn positions(&mut self, table: Value, ids: Value) -> Value {
        let graph = &mut self.graph;
        match self.config.architecture.family().positions {
            Positions::AfterPadding => {
                // transformers' create_position_ids_from_input_ids: it looks at the ids, not at the
                // mask, so a padding token in a text counts as padding.
                let [padding, one] = [self.config.pad_token_id as i64, 1].map(|value| graph.int(value));
                let is_padding = graph.op("Equal", [ids, padding]);
                let is_token = graph.op("Not", [is_padding]);
                let is_token = graph.cast(is_token, ElementType::Int64);
                let count = graph.op("CumSum", [is_token, one]);
                let count = graph.op("Mul", [count, is_token]);
                let positions = graph.op("Add", [count, padding]);
                graph.op("Gather", [table, positions])
            }
            Positions::FromZero | Positions::Rotary => {
                let [zero, length] = [graph.ints(&[0]), graph.length(ids)];
                graph.op("Slice", [table, zero, length, zero])
            }
        }
    }

    /// [`Layer::forward`].
    fn layer(&mut self, layer: &Layer, x: Value, distances: &Distances) -> Value {
        let names = &self.config.architecture.family().parameters;
        let scope = |part: &str| format!("{}.{}.{part}", names.layers, layer.number);
        self.graph.enter(scope("attention"));
        if self.config.architecture.family().norm_first {
            let normed = layer.attention_norm.map_or(x, |norm| self.norm(norm, x));
            let attended = self.attend(layer, normed, distances);
            let a = self.graph.op("Add", [attended, x]);
            self.graph.enter(scope("feed_forward"));
            let normed = self.norm(layer.output_norm, a);
            let fed = self.feed(layer, normed);
            self.graph.op("Add", [fed, a])
        } else {
            let norm = layer.attention_norm.expect("LayerNorm after attention");
            let attended = self.attend(layer, x, distances);
            let sum = self.graph.op("Add", [attended, x]);
            let a = self.norm(norm, sum);
            self.graph.enter(scope("feed_forward"));
            let fed = self.feed(layer, a);
            let sum = self.graph.op("Add", [fed, a]);
            self.norm(layer.output_norm, sum)
        }
    }

    /// `softmax(Q·Kᵀ/√D + b)·V`, and the dense layer after it. `b` is far below any score for
    /// padding and for keys outside of a window.
    fn attend(&mut self, layer: &Layer, x: Value, distances: &Distances) -> Value {
        let (width, heads) = (self.config.hidden_size, self.config.num_attention_heads);
        let size = width / heads;
        let projected = self.products(layer.query_key_value, x);
        let graph = &mut self.graph;
        let [q, k, v] = match projected[..] {
            [one] => graph.split(one),
            _ => projected.try_into().expect("queries, keys and values"),
        };
        let by_head = graph.ints(&[0, 0, heads as i64, size as i64]);
        let [q, k, v] = [q, k, v].map(|x| graph.op("Reshape", [x, by_head]));
        let [q, k] = [q, k].map(|x| distances.rotated(graph, self.config, layer.number, x));
        let [q, v] = [q, v].map(|x| graph.transpose(x, &[0, 2, 1, 3]));
        let k = graph.transpose(k, &[0, 2, 3, 1]);
        let scores = graph.op("MatMul", [q, k]);
        let root = graph.float((size as f32).sqrt());
        let scores = graph.op("Div", [scores, root]);
        let scores = graph.op("Add", [scores, distances.bias(self.config, layer.number)]);
        let p = graph.op_with("Softmax", &[scores], &[Attribute::Int("axis", -1)]);
        let context = graph.op("MatMul", [p, v]);
        let context = graph.transpose(context, &[0, 2, 1, 3]);
        let side_by_side = graph.ints(&[0, 0, width as i64]);
        let context = graph.op("Reshape", [context, side_by_side]);
        self.dense(layer.attention_output, context)
    }

    fn feed(&mut self, layer: &Layer, x: Value) -> Value {
        let mut h = self.dense(layer.intermediate, x);
        let activation = self.config.hidden_act;
        if self.config.architecture.family().has_gate {
            let [a, gate] = self.graph.split(h);
            let activated = self.activation(activation, a);
            h = self.graph.op("Mul", [activated, gate]);
        } else {
            h = self.activation(activation, h);
        }
        self.dense(layer.output, h)
    }

    /// `f(h)`, as PyTorch's equations have it: tools that merge nodes know them in this form.
    fn activation(&mut self, activation: Activation, h: Value) -> Value {
        let graph = &mut self.graph;
        match activation {
            Activation::Gelu | Activation::GeluPython => {
                let [root, one, half] = [std::f32::consts::SQRT_2, 1.0, 0.5].map(|value| graph.float(value));
                let scaled = graph.op("Div", [h, root]);
                let erf = graph.op("Erf", [scaled]);
                let twice = graph.op("Add", [erf, one]);
                let product = graph.op("Mul", [h, twice]);
                graph.op("Mul", [product, half])
            }
            Activation::GeluNew | Activation::GeluPytorchTanh | Activation::GeluFast => {
                const SCALE: f32 = 0.797_884_6; // √(2/π)
                let [scale, cubic, one, half] = [SCALE, 0.044_715, 1.0, 0.5].map(|value| graph.float(value));
                let square = graph.op("Mul", [h, h]);
                let cube = graph.op("Mul", [square, h]);
                let cube = graph.op("Mul", [cube, cubic]);
                let sum = graph.op("Add", [h, cube]);
                let scaled = graph.op("Mul", [sum, scale]);
                let tanh = graph.op("Tanh", [scaled]);
                let twice = graph.op("Add", [tanh, one]);
                let product = graph.op("Mul", [h, twice]);
                graph.op("Mul", [product, half])
            }
            Activation::QuickGelu => {
                let scale = graph.float(1.702);
                let scaled = graph.op("Mul", [h, scale]);
                let gate = graph.op("Sigmoid", [scaled]);
                graph.op("Mul", [h, gate])
            }
            Activation::Silu => {
                let gate = graph.op("Sigmoid", [h]);
                graph.op("Mul", [h, gate])
            }
            Activation::Relu => graph.op("Relu", [h]),
        }
    }

    /// `x·Wᵀ + b` of one dense layer.
    fn dense(&mut self, dense: Dense, x: Value) -> Value {
        self.products(dense, x)[0]
    }

    /// `x·Wᵀ + b` of each of the dense layers that are one in the flat buffers. They stay apart
    /// here, under the names that they have in a weights file.
    fn products(&mut self, Dense { weight, bias }: Dense, x: Value) -> Vec<Value> {
        let layout = self.graph.layout();
        let mut biases = bias.into_iter().flat_map(|bias| layout.within(bias));
        let mut product = |weight| {
            let weight = self.graph.transposed(weight);
            let product = self.graph.op("MatMul", [x, weight]);
            biases.next().map_or(product, |bias| {
                let bias = self.graph.parameter(bias);
                self.graph.op("Add", [product, bias])
            })
        };
        layout.within(weight).map(&mut product).collect()
    }

    fn norm(&mut self, norm: Norm, x: Value) -> Value {
        let inputs: Vec<_> = [norm.gamma].into_iter().chain(norm.beta).map(|slot| self.graph.weights(slot)).collect();
        let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", norm.eps)];
        self.graph.op_with("LayerNormalization", &[&[x], &inputs[..]].concat(), &attributes)
    }
}
