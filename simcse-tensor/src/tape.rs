//! The tape: operations in the order in which they were done, and their gradients in reverse.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use crate::gemm::Init;
use crate::ops::attention::{self, Attention};
use crate::ops::embedding;
use crate::ops::layer_norm::{self, LayerNorm};
use crate::ops::{add, contrastive, dropout, flat, flat_mut, gelu_linear, linear, normalize, pooling};
use crate::params::{Grads, Params, Slot};
use crate::pool::Pool;
use crate::profile::{Part, time};
use crate::rows::Rows;
use crate::words::Precision;

pub use crate::ops::dropout::Dropout;
pub use crate::ops::embedding::Lookup;
pub use crate::ops::pooling::Pooling;

/// A matrix on a [`Tape`]: the number of the node that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Var(usize);

/// One operation: its inputs, its parameters, and what its backward will need. `saved` buffers are inputs that it took over.
#[derive(Debug)]
enum Op {
    Input,
    Embedding { lookups: Vec<Lookup> },
    Linear { x: Var, weight: Slot, bias: Slot },
    GeluLinear { h: Var, saved: Array2<f32>, weight: Slot, bias: Slot },
    LayerNorm { x: Var, residual: Option<Var>, op: LayerNorm, saved: Array2<f32>, moments: Array2<f32> },
    Dropout { x: Var, dropout: Dropout },
    Attention { qkv: Var, op: Attention, saved: Array2<f32>, moments: Array2<f32> },
    Pool { x: Var, pooling: Pooling, excluded: usize },
    Normalize { x: Var, lengths: Vec<f32> },
    Contrastive { z: Var, dz: Array2<f32> },
}

#[derive(Debug)]
struct Node {
    op: Op,
    /// The output; empty once a later operation has taken the buffer over.
    value: Array2<f32>,
}

/// The operations done on one piece of a batch.
///
/// Nodes are pushed in topological order. An operation takes its input's buffer over where no other reads it; which ones
/// do is said at each method. A tape that does not record keeps nothing for a backward, and drops what lies behind a
/// [`checkpoint`](Self::checkpoint).
#[derive(Debug)]
pub struct Tape<'a> {
    nodes: Vec<Node>,
    params: &'a Params,
    pool: &'a mut Pool,
    rows: Arc<Rows>,
    recording: bool,
    precision: Precision,
}

impl<'a> Tape<'a> {
    /// The most rows of similarities that [`contrastive`](Self::contrastive) holds at a time.
    pub const SIMILARITY_ROWS: usize = contrastive::ROWS;

    /// An empty tape over sentences that lie as `rows` says.
    pub fn new(params: &'a Params, pool: &'a mut Pool, rows: Arc<Rows>, recording: bool) -> Self {
        pool.begin(rows.tokens());
        Self { nodes: Vec::new(), params, pool, rows, recording, precision: Precision::F32 }
    }

    /// The same tape, with the operands of the products with weights rounded so, forward and backward.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Where the sentences lie.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The value of a node.
    ///
    /// # Panics
    /// If a later operation has taken it over.
    pub fn value(&self, var: Var) -> &Array2<f32> {
        let value = &self.nodes[var.0].value;
        assert!(!value.is_empty() || self.rows.tokens() == 0, "the value of node {} has been taken over", var.0);
        value
    }

    /// A matrix from outside, whose gradient [`backward`](Self::backward) returns.
    pub fn input(&mut self, value: Array2<f32>) -> Var {
        self.push(Op::Input, value)
    }

    /// `Σ_t table_t[index_t[i]]`, (N, C). PyTorch: the sum of the model's `nn.Embedding`s.
    ///
    /// # Panics
    /// If an index lies outside its table.
    pub fn embedding(&mut self, lookups: Vec<Lookup>) -> Var {
        for Lookup { table, index, .. } in &lookups {
            let outside = index.iter().find(|&&i| i as usize >= table.rows());
            assert!(outside.is_none(), "embedding: row {outside:?} of a table of {} rows", table.rows());
        }
        let mut y = self.pool.take(self.rows.tokens(), lookups[0].table.cols());
        time(Part::Embedding, || embedding::forward(&lookups, self.params, &mut y));
        self.push(Op::Embedding { lookups }, y)
    }

    /// `x·Wᵀ + b`. PyTorch: `nn.functional.linear(x, W, b)`.
    pub fn linear(&mut self, x: Var, weight: Slot, bias: Slot) -> Var {
        let mut y = self.pool.take(self.value(x).nrows(), weight.rows());
        let value = self.value(x);
        time(Part::Forward, || linear::forward(self.precision, value, weight, bias, self.params, &mut y));
        self.push(Op::Linear { x, weight, bias }, y)
    }

    /// `gelu(h)·Wᵀ + b` with the exact GELU. Takes `h` over. PyTorch: `linear(nn.functional.gelu(h), W, b)`.
    pub fn gelu_linear(&mut self, h: Var, weight: Slot, bias: Slot) -> Var {
        let saved = self.take_over(h);
        let mut g = self.pool.take(saved.nrows(), saved.ncols());
        let mut y = self.pool.take(saved.nrows(), weight.rows());
        gelu_linear::forward(self.precision, &saved, weight, bias, self.params, &mut g, &mut y); // times its parts
        self.pool.give(g);
        let saved = self.keep(saved);
        self.push(Op::GeluLinear { h, saved, weight, bias }, y)
    }

    /// `LayerNorm(residual + dropout(x))`. Takes `x` over. PyTorch: `nn.functional.layer_norm(r + dropout(x), …)`.
    pub fn layer_norm(
        &mut self,
        x: Var,
        residual: Option<Var>,
        dropout: Option<Dropout>,
        [gamma, beta]: [Slot; 2],
        eps: f32,
    ) -> Var {
        let op = LayerNorm { gamma, beta, eps, dropout: active(dropout) };
        let mut saved = self.take_over(x);
        let mut moments = self.pool.take(saved.nrows(), 2);
        let mut y = self.pool.take(saved.nrows(), saved.ncols());
        let r = residual.map(|r| self.value(r));
        time(Part::LayerNorm, || {
            layer_norm::forward(&op, &mut saved, r, self.params, &self.rows, pairs_mut(&mut moments), &mut y);
        });
        let (saved, moments) = (self.keep(saved), self.keep(moments));
        self.push(Op::LayerNorm { x, residual, op, saved, moments }, y)
    }

    /// `dropout(x)`. Takes `x` over. PyTorch: `nn.functional.dropout(x, p=rate)`.
    pub fn dropout(&mut self, x: Var, dropout: Dropout) -> Var {
        let Some(dropout) = active(Some(dropout)) else { return x };
        let mut y = self.take_over(x);
        time(Part::Dropout, || dropout::forward(&mut y, &dropout, &self.rows));
        self.push(Op::Dropout { x, dropout }, y)
    }

    /// Self-attention of each sentence; `qkv` (N, 3C) to contexts (N, C). Takes `qkv` over.
    /// PyTorch: `scaled_dot_product_attention`.
    ///
    /// # Panics
    /// If the heads do not divide C.
    pub fn attention(&mut self, qkv: Var, heads: usize, dropout: Option<Dropout>) -> Var {
        let op = Attention { heads, dropout: active(dropout) };
        let saved = self.take_over(qkv);
        let (tokens, width) = (saved.nrows(), saved.ncols() / 3);
        assert!(width % heads == 0, "attention: {heads} heads do not divide {width} columns");
        let mut moments = self.pool.take(tokens, 2 * heads);
        let mut o = self.pool.take(tokens, width);
        time(Part::Attention, || attention::forward(&op, &saved, &self.rows, pairs_mut(&mut moments), &mut o));
        let (saved, moments) = (self.keep(saved), self.keep(moments));
        self.push(Op::Attention { qkv, op, saved, moments }, o)
    }

    /// One row a sentence, (S, C). sentence-transformers: `Pooling`.
    pub fn pool(&mut self, x: Var, pooling: Pooling) -> Var {
        self.pool_after(0, x, pooling)
    }

    /// [`Tape::pool`] without the first `excluded` rows of each sentence.
    pub fn pool_after(&mut self, excluded: usize, x: Var, pooling: Pooling) -> Var {
        let mut y = self.pool.take(self.rows.sentences(), self.value(x).ncols());
        time(Part::Pooling, || pooling::forward(pooling, excluded, self.value(x), &self.rows, &mut y));
        self.push(Op::Pool { x, pooling, excluded }, y)
    }

    /// Rows of unit length. Takes `x` over. PyTorch: `nn.functional.normalize(x, dim=1)`.
    pub fn normalize(&mut self, x: Var) -> Var {
        let mut y = self.take_over(x);
        let lengths = time(Part::Loss, || normalize::forward(&mut y));
        self.push(Op::Normalize { x, lengths }, y)
    }

    /// The contrastive loss of the two halves of `z` (2B, C), each row's positive being its counterpart, (1, 1).
    /// sentence-transformers: `MultipleNegativesRankingLoss(scale=scale)` of normalised embeddings.
    pub fn contrastive(&mut self, z: Var, scale: f32) -> Var {
        let (rows, width) = self.value(z).dim();
        let mut similarities = self.pool.take(contrastive::ROWS.min(rows / 2), rows / 2);
        let mut dz = self.pool.take(rows, width);
        let loss =
            time(Part::Loss, || contrastive::forward(self.precision, self.value(z), scale, &mut similarities, &mut dz));
        self.pool.give(similarities);
        let dz = self.keep(dz);
        self.push(Op::Contrastive { z, dz }, Array2::from_elem((1, 1), loss))
    }

    /// Says that of all that was done so far only `var` will be read again; a tape that does not record lets go of the rest.
    pub fn checkpoint(&mut self, var: Var) {
        if !self.recording {
            for i in (0..self.nodes.len()).filter(|&i| i != var.0) {
                self.release(Var(i));
            }
        }
    }

    /// Goes back over the tape from the given nodes and their gradients, adds to the parameters' gradients, and returns
    /// those of the inputs. The tape is empty afterwards and its buffers are back in the pool.
    ///
    /// # Panics
    /// If the tape does not record, or a gradient does not have its node's shape.
    pub fn backward(mut self, from: &[(Var, ArrayView2<f32>)], grads: &mut Grads) -> Gradients {
        assert!(self.recording, "backward over a tape that did not record");
        let mut gradients = Gradients((0..self.nodes.len()).map(|_| None).collect());
        for (var, gradient) in from {
            assert_eq!(gradient.dim(), self.value(*var).dim(), "the gradient of node {}", var.0);
            let mut copy = self.pool.take(gradient.nrows(), gradient.ncols());
            copy.assign(gradient);
            gradients.add(*var, copy, self.pool);
        }
        while let Some(Node { op, value }) = self.nodes.pop() {
            let i = self.nodes.len();
            if matches!(op, Op::Input) {
                self.pool.give(value);
                continue;
            }
            if let Some(dy) = gradients.0[i].take() {
                self.backward_op(op, &value, dy, &mut gradients, grads);
            }
            self.pool.give(value);
        }
        gradients
    }

    /// Wiring only: which function, which buffers, whose gradient.
    fn backward_op(&mut self, op: Op, y: &Array2<f32>, mut dy: Array2<f32>, d: &mut Gradients, grads: &mut Grads) {
        let (params, rows, precision) = (self.params, &self.rows, self.precision);
        match op {
            Op::Input => unreachable!("an input has no backward"),
            Op::Embedding { lookups } => {
                time(Part::Embedding, || embedding::backward(&lookups, &dy, grads));
                self.pool.give(dy);
            }
            Op::Linear { x, weight, bias } => {
                let value = &self.nodes[x.0].value;
                time(Part::Dw, || linear::backward_parameters(precision, value, weight, bias, rows, &dy, grads));
                let (mut dx, init) = match d.0[x.0].take() {
                    Some(dx) => (dx, Init::Keep),
                    None => (self.pool.take(value.nrows(), value.ncols()), Init::Zero),
                };
                time(Part::Dx, || linear::backward_input(precision, weight, params, &dy, init, &mut dx));
                d.0[x.0] = Some(dx);
                self.pool.give(dy);
            }
            Op::GeluLinear { h, mut saved, weight, bias } => {
                let mut dh = self.pool.take(saved.nrows(), saved.ncols());
                gelu_linear::backward(precision, &mut saved, weight, bias, params, rows, &dy, &mut dh, grads);
                self.pool.give(saved);
                self.pool.give(dy);
                d.add(h, dh, self.pool);
            }
            Op::LayerNorm { x, residual, op, saved, moments } => {
                let apart = residual.is_some() || op.dropout.is_some(); // dx is not ds
                let mut dx = apart.then(|| self.pool.take(saved.nrows(), saved.ncols()));
                time(Part::LayerNorm, || {
                    layer_norm::backward(&op, &saved, params, rows, pairs(&moments), &mut dy, dx.as_mut(), grads);
                });
                self.pool.give(saved);
                self.pool.give(moments);
                match (dx, residual) {
                    (None, _) => d.add(x, dy, self.pool),
                    (Some(dx), None) => {
                        d.add(x, dx, self.pool);
                        self.pool.give(dy);
                    }
                    (Some(dx), Some(residual)) => {
                        d.add(x, dx, self.pool);
                        d.add(residual, dy, self.pool);
                    }
                }
            }
            Op::Dropout { x, dropout } => {
                time(Part::Dropout, || dropout::backward(&mut dy, &dropout, rows));
                d.add(x, dy, self.pool);
            }
            Op::Attention { qkv, op, mut saved, moments } => {
                time(Part::AttentionBackward, || attention::backward(&op, &mut saved, rows, pairs(&moments), &dy));
                self.pool.give(moments);
                self.pool.give(dy);
                d.add(qkv, saved, self.pool);
            }
            Op::Pool { x, pooling, excluded } => {
                let mut dx = self.pool.take(rows.tokens(), dy.ncols());
                let value = &self.nodes[x.0].value;
                time(Part::Pooling, || pooling::backward(pooling, excluded, value, rows, &dy, &mut dx));
                self.pool.give(dy);
                d.add(x, dx, self.pool);
            }
            Op::Normalize { x, lengths } => {
                time(Part::Loss, || normalize::backward(y, &lengths, &mut dy));
                d.add(x, dy, self.pool);
            }
            Op::Contrastive { z, mut dz } => {
                time(Part::Loss, || contrastive::backward(&mut dz, dy[[0, 0]]));
                d.add(z, dz, self.pool);
            }
        }
    }

    fn push(&mut self, op: Op, value: Array2<f32>) -> Var {
        self.nodes.push(Node { op, value });
        Var(self.nodes.len() - 1)
    }

    fn take_over(&mut self, var: Var) -> Array2<f32> {
        self.value(var); // must be there
        std::mem::take(&mut self.nodes[var.0].value)
    }

    /// Keeps a buffer for the backward, if there will be one.
    fn keep(&mut self, buffer: Array2<f32>) -> Array2<f32> {
        if self.recording {
            return buffer;
        }
        self.pool.give(buffer);
        Array2::default((0, 0))
    }

    fn release(&mut self, var: Var) {
        let value = std::mem::take(&mut self.nodes[var.0].value);
        self.pool.give(value);
    }
}

impl Drop for Tape<'_> {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|i| self.release(Var(i)));
    }
}

/// A matrix of pairs, such as moments, as a slice of them.
fn pairs(matrix: &Array2<f32>) -> &[[f32; 2]] {
    flat(matrix).as_chunks().0
}

/// The same, to change.
fn pairs_mut(matrix: &mut Array2<f32>) -> &mut [[f32; 2]] {
    flat_mut(matrix).as_chunks_mut().0
}

/// No dropout where nothing would be dropped.
fn active(dropout: Option<Dropout>) -> Option<Dropout> {
    dropout.filter(|d| d.rate > 0.0)
}

/// The loss's gradients with respect to a tape's nodes.
#[derive(Debug)]
pub struct Gradients(Vec<Option<Array2<f32>>>);

impl Gradients {
    /// The gradient of an input; zero-sized if the loss does not depend on it.
    pub fn take(&mut self, var: Var) -> Array2<f32> {
        self.0[var.0].take().unwrap_or_default()
    }

    /// The first gradient is written, later ones are added.
    fn add(&mut self, var: Var, gradient: Array2<f32>, pool: &mut Pool) {
        match &mut self.0[var.0] {
            Some(sum) => {
                add(flat(&gradient), flat_mut(sum));
                pool.give(gradient);
            }
            empty => *empty = Some(gradient),
        }
    }
}
