//! The reference models in f64.

use std::cell::OnceCell;

use ndarray::{Array2, ArrayView2, s};
use simcse_tensor::{Activation, Dropout, Layout, Pooling, Rows};

use super::{PAD, WINDOW};
use crate::architecture::{Architecture, Positions};
use crate::directory::config::ModelConfig;
use crate::encoder::dropout::{DropoutPlan, Site};

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
pub(super) struct Kinks {
    /// The token with the maximum, for each sentence and column.
    highest: OnceCell<Array2<usize>>,
    /// Whether the input of a layer's activation function is positive; by the layer's number.
    positive: [OnceCell<Array2<bool>>; 4],
}

/// The reference models, as their papers and transformers' modules define them, with the names in
/// their `state_dict`s.
pub(super) struct Oracle<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) layout: &'a Layout,
    pub(super) values: &'a [f64],
    pub(super) rows: &'a Rows,
    pub(super) plan: Option<&'a DropoutPlan>,
    pub(super) kinks: &'a Kinks,
}

impl Oracle<'_> {
    /// A parameter; a vector is one row.
    pub(super) fn parameter(&self, name: &str) -> ArrayView2<'_, f64> {
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

    pub(super) fn is_modern(&self) -> bool {
        self.config.architecture == Architecture::ModernBert
    }

    pub(super) fn norm(&self, mut x: Array2<f64>, name: &str) -> Array2<f64> {
        for mut row in x.outer_iter_mut() {
            let mean = row.mean().unwrap();
            let variance = row.mapv(|x| (x - mean).powi(2)).mean().unwrap();
            row.mapv_inplace(|x| (x - mean) / (variance + f64::from(self.config.layer_norm_eps)).sqrt());
        }
        self.with_bias(x * self.parameter(&format!("{name}.weight")), name)
    }

    /// Value `d` and value `d + D/2` of a head, rotated by `position·θ^(−2d/D)`.
    fn rotated(&self, x: Array2<f64>, number: usize) -> Array2<f64> {
        let theta: f64 = if number.is_multiple_of(2) { 160_000.0 } else { 10_000.0 };
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

    pub(super) fn layer(&self, number: usize, x: &Array2<f64>) -> Array2<f64> {
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
            let gated = self.activated(h.slice(s![.., ..f]).to_owned(), number) * h.slice(s![.., f..]);
            return self.linear(&self.dropout(gated, Site::Output(number)), &name("mlp.Wo")) + a;
        }
        let qkv = [0, 1, 2].map(|part| self.linear(x, &name(names.query_key_value[part])));
        let mut attended = self.linear(&self.attention(qkv, number), &name(names.attention_output));
        if self.config.architecture != Architecture::DistilBert {
            attended = self.dropout(attended, Site::AttentionOutput(number));
        }
        let a = self.norm(attended + x, &name(names.attention_norm));
        let h = self.activated(self.linear(&a, &name(names.intermediate)), number);
        let fed = self.dropout(self.linear(&h, &name(names.output)), Site::Output(number));
        self.norm(fed + a, &name(names.output_norm))
    }

    fn activated(&self, mut h: Array2<f64>, number: usize) -> Array2<f64> {
        let positive = self.kinks.positive[number].get_or_init(|| h.mapv(|h| h > 0.0));
        h.zip_mut_with(positive, |h, &positive| *h = activated(self.config.hidden_act, *h, positive));
        h
    }

    pub(super) fn embeddings(&self, sentences: &[Vec<u32>]) -> Array2<f64> {
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

    pub(super) fn pool(&self, x: &Array2<f64>, pooling: Pooling) -> Array2<f64> {
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
