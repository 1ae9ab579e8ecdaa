//! A layer, and the encoder followed by pooling, compared with a naive f64 oracle: forward values
//! directly, the gradient of every parameter with central differences of the oracle.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array2;
use proptest::prelude::*;
use simcse_tensor::rng::Philox;
use simcse_tensor::{Activation, BufferPool, DenseActivation, Grads, Named, Params, Pooling, Rows};

use self::oracle::{Kinks, Oracle};
use super::*;
use crate::architecture::{Architecture, Positions};
use crate::directory::alternating::AlternatingAttention;
use crate::directory::layer_mix::PooledLayers;

#[path = "oracle.rs"]
mod oracle;

const VOCABULARY: usize = 20;
const PAD: u32 = 1;
const WINDOW: usize = 2;

fn config(architecture: Architecture, hidden_act: Activation) -> ModelConfig {
    ModelConfig {
        hidden_act,
        vocab_size: VOCABULARY,
        hidden_size: 8,
        embedding_size: (architecture == Architecture::Electra).then_some(6),
        // ModernBERT's second layer sees windows.
        num_hidden_layers: if architecture == Architecture::ModernBert { 2 } else { 1 },
        num_attention_heads: 2,
        intermediate_size: 12,
        alternating_attention: ModelConfig::defaults(architecture)
            .alternating_attention
            .map(|attention| AlternatingAttention { global_every: 2, local_attention: 2 * WINDOW, ..attention }),
        max_position_embeddings: 12,
        layer_norm_eps: 1e-3, // large enough that an epsilon in the wrong place shows
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        pad_token_id: PAD as usize,
        initializer_range: 1.0,
        ..ModelConfig::defaults(architecture)
    }
}

/// One sentence; one that has special tokens only; a few; or more than a block of gradients holds.
/// Some tokens are padding.
fn sentences() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let token = || prop_oneof![1 => Just(PAD), 4 => 0..VOCABULARY as u32];
    let some = |count, length| prop::collection::vec(prop::collection::vec(token(), length), count);
    let blocks = some(Rows::BLOCK / 9 + 1..70, 9..10);
    prop_oneof![2 => some(1..2, 1..10), 2 => Just(vec![vec![2, 3]]), 3 => some(2..6, 1..8), 1 => blocks]
}

fn activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(Activation::ALL)
}

fn architecture() -> impl Strategy<Value = Architecture> {
    prop::sample::select(Architecture::ALL)
}

fn plan() -> impl Strategy<Value = Option<DropoutPlan>> {
    let plan = |(seed, step)| DropoutPlan { hidden: 0.2, attention: 0.3, seed, step };
    prop::option::of(any::<(u64, u32)>().prop_map(plan))
}

/// Compares `build`, which runs a model on a tape, with `oracle`, which runs it in f64, given the
/// values of all parameters. `input`, if there is one, is the place in the layout of what is not a
/// parameter: `build` gets it as a node. The `untrained` values have no gradient.
fn check(
    layout: Layout,
    input: Option<Slot>,
    untrained: &[Range<usize>],
    rows: &Arc<Rows>,
    seed: u64,
    build: impl Fn(&mut Tape, Option<Var>) -> Var,
    oracle: impl Fn(&[f64]) -> Array2<f64>,
) {
    const H: f64 = 1e-5;
    let philox = Philox::new(seed);
    let random = |i: usize, stream| philox.block([i as u32, stream, 0, 0])[0] as f32 / (1u64 << 31) as f32 - 1.0;
    let layout = Arc::new(layout);
    let mut params = Params::zeros(layout.clone());
    params.values_mut().iter_mut().enumerate().for_each(|(i, value)| *value = random(i, 0));
    let mut values: Vec<f64> = params.values().iter().map(|&value| value.into()).collect();

    let mut pool = BufferPool::new();
    let mut tape = Tape::new(&params, &mut pool, rows.clone(), true);
    let input = input.map(|slot| (slot, tape.input(params.matrix(slot).to_owned())));
    let y = build(&mut tape, input.map(|(_, var)| var));
    let expected = oracle(&values);
    let value = tape.value(y).as_slice().unwrap();
    let expected_values = expected.as_slice().unwrap();
    assert_close("forward", value, expected_values, largest(expected_values));

    let dy = Array2::from_shape_fn(expected.dim(), |(i, c)| random(i * expected.ncols() + c, 1));
    let mut grads = Grads::zeros(layout);
    let mut gradients = tape.backward(&[(y, dy.view())], &mut grads);
    if let Some((slot, var)) = input {
        grads.slice_mut(slot).copy_from_slice(gradients.take(var).as_slice().unwrap());
    }
    let dy = dy.mapv(f64::from);
    let mut loss_at = |i: usize, x: f64| {
        let before = std::mem::replace(&mut values[i], x);
        let loss = (oracle(&values) * &dy).sum();
        values[i] = before;
        loss
    };
    let slope = |(i, &x): (usize, &f32)| (loss_at(i, f64::from(x) + H) - loss_at(i, f64::from(x) - H)) / (2.0 * H);
    let mut numeric: Vec<f64> = params.values().iter().enumerate().map(slope).collect();
    untrained.iter().for_each(|range| numeric[range.clone()].fill(0.0));
    let scale = largest(&numeric);
    for tensor in grads.layout().parameters() {
        assert_close(&tensor.name, &grads.values()[tensor.range()], &numeric[tensor.range()], scale);
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(1.0, |largest, x| largest.max(x.abs()))
}

fn assert_close(what: &str, got: &[f32], expected: &[f64], scale: f64) {
    const TOLERANCE: f64 = 2e-5;
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(error <= TOLERANCE * scale, "{what}[{i}]: {got}, expected {expected} on a scale of {scale}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_layer_agrees_with_f64(
        architecture in architecture(),
        hidden_act in activation(),
        lengths in sentences().prop_map(|sentences| sentences.iter().map(Vec::len).collect::<Vec<_>>()),
        plan in plan(),
        seed: u64,
    ) {
        let config = config(architecture, hidden_act);
        let kinks = Kinks::default();
        let mut layout = Layout::default();
        let number = 3; // as in a deeper model: the number is part of names and masks
        let layer = Layer::push(&mut layout, &config, number);
        let streams = (0..lengths.len() as u32).map(|s| s ^ 1).collect();
        let rows = Arc::new(Rows::new(lengths, streams));
        let input = layout.push("input", &[rows.tokens(), config.hidden_size], false, true);
        let bias = (architecture == Architecture::Mpnet)
            .then(|| layout.push("encoder.relative_attention_bias.weight", &[32, 2], true, true));
        let table = layout.clone();
        check(
            layout,
            Some(input),
            &[],
            &rows,
            seed,
            |tape, x| {
                let distances = Distances::new(&config, tape, bias, &rows);
                layer.forward(&config, tape, x.unwrap(), &distances, plan.as_ref())
            },
            |values| {
                let oracle = Oracle { config: &config, layout: &table, values, rows: &rows, plan: plan.as_ref(), kinks: &kinks };
                oracle.layer(number, &oracle.parameter("input").to_owned())
            },
        );
    }

    #[test]
    fn the_encoder_agrees_with_f64(
        architecture in architecture(),
        hidden_act in activation(),
        sentences in sentences(),
        pooling in prop::sample::select(Pooling::ALL),
        layers in prop::sample::select(PooledLayers::ALL),
        has_dense: bool,
        plan in plan(),
        seed: u64,
    ) {
        let config = config(architecture, hidden_act);
        let kinks = Kinks::default();
        let (encoder, mut layout) = Encoder::new(config.clone(), false);
        // A dense layer after pooling.
        let dense = has_dense.then(|| {
            let weight = layout.push("dense.weight", &[5, config.hidden_size], true, true);
            (weight, layout.push("dense.bias", &[5], false, true))
        });
        let mix = layers.mix(config.num_hidden_layers);
        let streams = (0..sentences.len() as u32).map(|s| s ^ 1).collect();
        let batch = TokenBatch::new(&config, &sentences, streams);
        let rows = batch.rows();
        let table = layout.clone();
        // PyTorch's padding_idx, in the word embeddings and, for positions that count from it, in theirs.
        let padding_row = |table: usize| (table + PAD as usize) * config.embedding_width();
        let padding = [0, VOCABULARY].map(|table| padding_row(table)..padding_row(table + 1));
        check(
            layout,
            None,
            &padding[..if architecture.family().positions == Positions::AfterPadding { 2 } else { 1 }],
            rows,
            seed,
            |tape, _| {
                let hidden = encoder.forward_mixed(mix.as_ref(), tape, &batch, plan.as_ref());
                let pooled = tape.pooling(hidden, pooling);
                let tanh = DenseActivation::Tanh;
                dense.map_or(pooled, |(weight, bias)| tape.dense(pooled, weight, Some(bias), tanh))
            },
            |values| {
                let oracle = Oracle { config: &config, layout: &table, values, rows, plan: plan.as_ref(), kinks: &kinks };
                let embedded = oracle.embeddings(&sentences);
                let first = oracle.layer(0, &embedded);
                let hidden = match (oracle.is_modern(), layers) {
                    (false, PooledLayers::AvgTop2) => (embedded + first) / 2.0,
                    (false, _) => first,
                    (true, _) => {
                        let last = oracle.norm(oracle.layer(1, &first), "final_norm");
                        if layers == PooledLayers::Last { last } else { (first + last) / 2.0 }
                    }
                };
                let pooled = oracle.pool(&hidden, pooling);
                let [weight, bias] = ["dense.weight", "dense.bias"];
                match has_dense {
                    true => (pooled.dot(&oracle.parameter(weight).t()) + oracle.parameter(bias)).mapv(f64::tanh),
                    false => pooled,
                }
            },
        );
    }
}
