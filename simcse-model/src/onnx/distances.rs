//! What attention knows of padding and of the distance of two tokens, as part of a graph: the
//! counterpart of `encoder/distances.rs`.

use simcse_tensor::{RelativeBias, Rotary, Slot};

use crate::directory::alternating::AlternatingAttention;
use crate::directory::config::ModelConfig;
use crate::encoder::Encoder;
use crate::onnx::graph::{Graph, Value};
use crate::onnx::messages::ElementType;

/// A score of a key that a query does not see. It is finite, as in transformers: a row of padding
/// sees nothing at all, and a softmax of infinities would not be a number.
const UNSEEN: f32 = f32::MIN;

/// What the layers of a graph share.
pub(super) struct Distances {
    /// Added to the scores of layers that see whole texts: (batch_size, 1, 1, T), or (batch_size,
    /// H, T, T) with a bias by distance.
    global: Value,
    /// Added to the scores of layers that see windows, (batch_size, 1, T, T).
    local: Option<Value>,
    /// Cosines and sines of the angles, (T, 1, D/2), in layers that see whole texts, and in those
    /// that see windows.
    rotary: Option<[[Value; 2]; 2]>,
}

impl Distances {
    pub(super) fn new(encoder: &Encoder, graph: &mut Graph, ids: Value, mask: Value) -> Self {
        let config = encoder.config();
        let [unseen, zero] = [UNSEEN, 0.0].map(|value| graph.float(value));
        let axes = graph.ints(&[1, 2]);
        let is_token = graph.cast(mask, ElementType::Bool);
        let is_token = graph.op("Unsqueeze", [is_token, axes]); // (batch_size, 1, 1, T)
        let mut global = graph.op("Where", [is_token, zero, unseen]);
        if let Some(table) = encoder.relative_attention_bias {
            let bias = relative_bias(graph, table, ids);
            global = graph.op("Add", [bias, global]);
        }
        let window = (0..config.num_hidden_layers).find_map(|layer| config.window(layer));
        let local = window.map(|window| {
            let offsets = offsets(graph, ids);
            let distances = graph.op("Abs", [offsets]);
            let window = graph.int(window as i64);
            let is_near = graph.op("LessOrEqual", [distances, window]);
            let is_seen = graph.op("And", [is_token, is_near]);
            graph.op("Where", [is_seen, zero, unseen])
        });
        let size = config.hidden_size / config.num_attention_heads;
        let rotary = config.alternating_attention.map(|AlternatingAttention { global_theta, local_theta, .. }| {
            [global_theta, local_theta].map(|theta| angles(graph, &Rotary::frequencies(theta, size), ids))
        });
        Self { global, local, rotary }
    }

    /// What is added to the scores of a layer.
    pub(super) fn bias(&self, config: &ModelConfig, layer: usize) -> Value {
        match config.window(layer) {
            Some(_) => self.local.expect("a layer that sees windows"),
            None => self.global,
        }
    }

    /// The queries or keys of a layer, (batch_size, T, H, D), rotated by their positions.
    pub(super) fn rotated(&self, graph: &mut Graph, config: &ModelConfig, layer: usize, x: Value) -> Value {
        let Some([global, local]) = self.rotary else { return x };
        let [cosines, sines] = if config.window(layer).is_some() { local } else { global };
        let [a, b] = graph.split(x);
        let [a_cosines, b_sines] = [[a, cosines], [b, sines]].map(|factors| graph.op("Mul", factors));
        let [b_cosines, a_sines] = [[b, cosines], [a, sines]].map(|factors| graph.op("Mul", factors));
        let first = graph.op("Sub", [a_cosines, b_sines]);
        let second = graph.op("Add", [b_cosines, a_sines]);
        graph.concat([first, second])
    }
}

/// The positions 0, 1, …, (T).
fn positions(graph: &mut Graph, ids: Value) -> Value {
    let length = graph.length(ids);
    let length = graph.op("Squeeze", [length]);
    let [zero, one] = [0, 1].map(|value| graph.int(value));
    graph.op("Range", [zero, length, one])
}

/// How many tokens a key comes after a query, (T, T): a row for each query.
fn offsets(graph: &mut Graph, ids: Value) -> Value {
    let positions = positions(graph, ids);
    let axis = graph.ints(&[1]);
    let queries = graph.op("Unsqueeze", [positions, axis]);
    graph.op("Sub", [positions, queries])
}

/// The bias by distance, (1, H, T, T).
fn relative_bias(graph: &mut Graph, table: Slot, ids: Value) -> Value {
    let last = RelativeBias::LAST_DISTANCE;
    let buckets: Vec<_> = (-last..=last).map(|offset| RelativeBias::bucket(offset) as i64).collect();
    let buckets = graph.ints(&buckets);
    let offsets = offsets(graph, ids);
    let [lowest, highest] = [-last, last].map(|offset| graph.int(offset as i64));
    let offsets = graph.op("Clip", [offsets, lowest, highest]);
    let places = graph.op("Add", [offsets, highest]);
    let buckets = graph.op("Gather", [buckets, places]);
    let table = graph.weights(table);
    let bias = graph.op("Gather", [table, buckets]); // (T, T, H)
    let bias = graph.transpose(bias, &[2, 0, 1]);
    let axis = graph.ints(&[0]);
    graph.op("Unsqueeze", [bias, axis])
}

/// Cosines and sines of the angles of every position, (T, 1, D/2) each.
fn angles(graph: &mut Graph, frequencies: &[f32], ids: Value) -> [Value; 2] {
    let positions = positions(graph, ids);
    let positions = graph.cast(positions, ElementType::Float);
    let axes = graph.ints(&[1, 2]);
    let positions = graph.op("Unsqueeze", [positions, axes]);
    let frequencies = graph.floats(frequencies);
    let angles = graph.op("Mul", [positions, frequencies]);
    ["Cos", "Sin"].map(|function| graph.op(function, [angles]))
}
