//! A layer, and the encoder followed by pooling, compared with a naive f64 oracle: forward values
//! directly, the gradient of every parameter with central differences of the oracle.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, s};
use proptest::prelude::*;
use simcse_tensor::rng::Philox;
use simcse_tensor::{Activation, BufferPool, DenseActivation, Dropout, Grads, Named, Params, Pooling, Rows};

use super::*;
use crate::architecture::{Architecture, Positions};
use crate::directory::alternating::AlternatingAttention;
use crate::directory::layer_mix::PooledLayers;

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

/// `Φ(x)` by the series `½ + φ(x)·(x + x³/3 + x⁵/15 + …)` (Marsaglia 2004).
fn cdf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    let mut k = 1.0;
    while term.abs() > 1e-18 {
        k += 2.0;
        term *= x * x / k;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Activation functions, as in transformers' `activations.py`. Whether ReLU lets `h` pass is up to
/// `positive`.
fn activated(activation: Activation, h: f64, positive: bool) -> f64 {
    let tanh = |inner: f64| 0.5 * h * (1.0 + inner.tanh());
    match activation {
        Activation::Gelu | Activation::GeluPython => h * cdf(h),
        Activation::GeluNew | Activation::GeluPytorchTanh => {
            tanh((2.0 / std::f64::consts::PI).sqrt() * (h + 0.044715 * h.powi(3)))
        }
        Activation::GeluFast => tanh(h * 0.7978845608 * (1.0 + 0.044715 * h * h)),
        Activation::QuickGelu => h / (1.0 + (-1.702 * h).exp()),
        Activation::Silu => h / (1.0 + (-h).exp()),
        Activation::Relu => h * f64::from(u8::from(positive)),
    }
}

/// The side of each kink that the oracle was on in its first call, on which it stays: otherwise a
/// difference quotient could compare the one side with the other.
#[derive(Default)]
struct Kinks {
    /// The token with the maximum, for each sentence and column.
    highest: OnceCell<Array2<usize>>,
    /// Whether the input of an activation function is positive.
    positive: OnceCell<Array2<bool>>,
}

/// The reference models, as their papers and transformers' modules define them, with the names in
/// their `state_dict`s.
struct Oracle<'a> {
    config: &'a ModelConfig,
    layout: &'a Layout,
    values: &'a [f64],
    rows: &'a Rows,
    plan: Option<&'a DropoutPlan>,
    kinks: &'a Kinks,
}

impl Oracle<'_> {
    /// A parameter; a vector is one row.
    fn parameter(&self, name: &str) -> ArrayView2<'_, f64> {
        let tensor = self.layout.parameters().iter().find(|tensor| tensor.name == name).expect(name);
        let columns = tensor.shape[tensor.shape.len() - 1];
        let shape = (tensor.len() / columns, columns);
        ArrayView2::from_shape(shape, &self.values[tensor.range()]).unwrap()
    }

    fn mask(&self, site: Site, sentence: usize, position: usize, width: usize) -> Array2<f64> {
        let mut mask = vec![1.0; width];
        let rate = |plan: &DropoutPlan| match site {
            Site::AttentionOutput(_) if self.is_modern() => plan.attention,
            _ => plan.at(site).rate,
        };
        self.plan.inspect(|plan| {
            Dropout { rate: rate(plan), ..plan.at(site) }.mask(self.rows.stream(sentence), position, &mut mask)
        });
        Array2::from_shape_fn((1, width), |(_, c)| f64::from(mask[c]))
    }

    fn dropout(&self, mut x: Array2<f64>, site: Site) -> Array2<f64> {
        for (sentence, range) in self.rows.iter().enumerate() {
            for (position, row) in range.enumerate() {
                let mut x = x.slice_mut(s![row..=row, ..]);
                x *= &self.mask(site, sentence, position, x.ncols());
            }
        }
        x
    }

    fn linear(&self, x: &Array2<f64>, name: &str) -> Array2<f64> {
        self.with_bias(x.dot(&self.parameter(&format!("{name}.weight")).t()), name)
    }

    fn with_bias(&self, x: Array2<f64>, name: &str) -> Array2<f64> {
        if self.is_modern() { x } else { x + self.parameter(&format!("{name}.bias")) }
    }

    fn is_modern(&self) -> bool {
        self.config.architecture == Architecture::ModernBert
    }

    fn norm(&self, mut x: Array2<f64>, name: &str) -> Array2<f64> {
        for mut row in x.outer_iter_mut() {
            let mean = row.mean().unwrap();
            let variance = row.mapv(|x| (x - mean).powi(2)).mean().unwrap();
            row.mapv_inplace(|x| (x - mean) / (variance + f64::from(self.config.layer_norm_eps)).sqrt());
        }
        self.with_bias(x * self.parameter(&format!("{name}.weight")), name)
    }

    /// Value `d` and value `d + D/2` of a head, rotated by `position·θ^(−2d/D)`.
    fn rotated(&self, x: Array2<f64>, number: usize) -> Array2<f64> {
        let theta: f64 = if number % 2 == 0 { 160_000.0 } else { 10_000.0 };
        let size = x.ncols();
        Array2::from_shape_fn(x.dim(), |(t, c)| {
            let d = c % (size / 2);
            let (sine, cosine) = (t as f64 * theta.powf(-((2 * d) as f64) / size as f64)).sin_cos();
            let [a, b] = [x[[t, d]], x[[t, d + size / 2]]];
            if c < size / 2 { a * cosine - b * sine } else { a * sine + b * cosine }
        })
    }

    /// The parts of `x` (N, 3C) side by side.
    fn thirds(x: &Array2<f64>) -> [Array2<f64>; 3] {
        let c = x.ncols() / 3;
        [0, c, 2 * c].map(|first| x.slice(s![.., first..first + c]).to_owned())
    }

    fn attention(&self, [q, k, v]: [Array2<f64>; 3], number: usize) -> Array2<f64> {
        let mut contexts = Array2::zeros(q.dim());
        let size = q.ncols() / self.config.num_attention_heads;
        for (sentence, range) in self.rows.iter().enumerate() {
            let tokens = range.len();
            for head in 0..self.config.num_attention_heads {
                let part = s![range.clone(), head * size..(head + 1) * size];
                let [q, k] = [&q, &k].map(|x| x.slice(part).to_owned());
                let [q, k] = if self.is_modern() { [q, k].map(|x| self.rotated(x, number)) } else { [q, k] };
                let mut p = q.dot(&k.t()) / (size as f64).sqrt();
                if self.config.architecture == Architecture::Mpnet {
                    p += &self.bias(head, tokens);
                }
                p.mapv_inplace(f64::exp);
                let window = if self.is_modern() && number % 2 == 1 { WINDOW } else { tokens };
                p.indexed_iter_mut().filter(|((i, j), _)| i.abs_diff(*j) > window).for_each(|(_, p)| *p = 0.0);
                p.outer_iter_mut().for_each(|mut row| row /= row.sum());
                // A query's columns in the mask are all keys, or the places of its window.
                let columns = tokens.min(2 * window + 1);
                let mask = self.mask(Site::AttentionProbabilities(number), sentence, head, tokens * columns);
                for ((i, j), p) in p.indexed_iter_mut().filter(|((i, j), _)| i.abs_diff(*j) <= window) {
                    *p *= mask[[0, i * columns + if columns == tokens { j } else { j + window - i }]];
                }
                contexts.slice_mut(part).assign(&p.dot(&v.slice(part)));
            }
        }
        contexts
    }

    /// The bias of a head's scores, (T, T). Sentences are so short that each distance has a bucket.
    fn bias(&self, head: usize, tokens: usize) -> Array2<f64> {
        let table = self.parameter("encoder.relative_attention_bias.weight");
        Array2::from_shape_fn((tokens, tokens), |(i, j)| {
            let bucket = if j > i { 16 + (j - i).min(8) } else { (i - j).min(8) };
            table[[bucket, head]]
        })
    }

    fn layer(&self, number: usize, x: &Array2<f64>) -> Array2<f64> {
        let family = self.config.architecture.family();
        let names = &family.parameters;
        let name = |name: &str| format!("{}.{number}.{name}", names.layers);
        if self.is_modern() {
            let normed = if number == 0 { x.clone() } else { self.norm(x.clone(), &name("attn_norm")) };
            let qkv = Self::thirds(&self.linear(&normed, &name("attn.Wqkv")));
            let attended = self.linear(&self.attention(qkv, number), &name("attn.Wo"));
            let a = x + self.dropout(attended, Site::AttentionOutput(number));
            let h = self.linear(&self.norm(a.clone(), &name("mlp_norm")), &name("mlp.Wi"));
            let f = h.ncols() / 2;
            let gated = self.activated(h.slice(s![.., ..f]).to_owned()) * h.slice(s![.., f..]);
            return self.linear(&self.dropout(gated, Site::Output(number)), &name("mlp.Wo")) + a;
        }
        let qkv = [0, 1, 2].map(|part| self.linear(x, &name(names.query_key_value[part])));
        let mut attended = self.linear(&self.attention(qkv, number), &name(names.attention_output));
        if self.config.architecture != Architecture::DistilBert {
            attended = self.dropout(attended, Site::AttentionOutput(number));
        }
        let a = self.norm(attended + x, &name(names.attention_norm));
        let h = self.activated(self.linear(&a, &name(names.intermediate)));
        let fed = self.dropout(self.linear(&h, &name(names.output)), Site::Output(number));
        self.norm(fed + a, &name(names.output_norm))
    }

    fn activated(&self, mut h: Array2<f64>) -> Array2<f64> {
        let positive = self.kinks.positive.get_or_init(|| h.mapv(|h| h > 0.0));
        h.zip_mut_with(positive, |h, &positive| *h = activated(self.config.hidden_act, *h, positive));
        h
    }

    fn embeddings(&self, sentences: &[Vec<u32>]) -> Array2<f64> {
        if self.is_modern() {
            let table = self.parameter("embeddings.tok_embeddings.weight");
            let ids = sentences.concat();
            let words = Array2::from_shape_fn((ids.len(), table.ncols()), |(i, c)| table[[ids[i] as usize, c]]);
            return self.dropout(self.norm(words, "embeddings.norm"), Site::Embeddings);
        }
        let table = |name| self.parameter(&format!("embeddings.{name}_embeddings.weight")).to_owned();
        let words = table("word");
        let positions = table("position");
        let mut sum = Array2::zeros((0, words.ncols()));
        for ids in sentences {
            for (i, &id) in ids.iter().enumerate() {
                let position = match self.config.architecture.family().positions == Positions::AfterPadding {
                    false => i,
                    true if id == PAD => PAD as usize,
                    true => PAD as usize + ids[..=i].iter().filter(|&&id| id != PAD).count(),
                };
                sum.push_row((&words.row(id as usize) + &positions.row(position)).view()).unwrap();
            }
        }
        if self.config.architecture.family().has_token_types {
            sum += &table("token_type").row(0);
        }
        let x = self.dropout(self.norm(sum, "embeddings.LayerNorm"), Site::Embeddings);
        if self.config.architecture == Architecture::Electra { self.linear(&x, "embeddings_project") } else { x }
    }

    fn pool(&self, x: &Array2<f64>, pooling: Pooling) -> Array2<f64> {
        let sentence = |i| self.rows.sentence(i);
        let top = |i, c| sentence(i).max_by(|&a, &b| x[[a, c]].total_cmp(&x[[b, c]])).unwrap();
        let shape = (self.rows.sentences(), x.ncols());
        let highest = self.kinks.highest.get_or_init(|| Array2::from_shape_fn(shape, |(i, c)| top(i, c)));
        Array2::from_shape_fn(shape, |(i, c)| match pooling {
            Pooling::Mean => x.slice(s![sentence(i), c]).mean().unwrap(),
            Pooling::MeanSqrtLen => x.slice(s![sentence(i), c]).sum() / (sentence(i).len() as f64).sqrt(),
            Pooling::WeightedMean => {
                let weights = (1..=sentence(i).len()).map(|weight| weight as f64);
                let sum: f64 = weights.clone().zip(sentence(i)).map(|(weight, token)| weight * x[[token, c]]).sum();
                sum / weights.sum::<f64>()
            }
            Pooling::LastToken => x[[sentence(i).end - 1, c]],
            Pooling::Cls => x[[sentence(i).start, c]],
            Pooling::Max => x[[highest[[i, c]], c]],
        })
    }
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
