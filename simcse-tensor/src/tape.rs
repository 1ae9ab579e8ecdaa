//! The tape: operations in the order in which they were done, and their gradients in reverse.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use crate::buffers::pool::BufferPool;
use crate::gemm::Addend;
use crate::ops::attention::{self, Attention};
use crate::ops::dropout::Dropout;
use crate::ops::elementwise::{add, flat, flat_mut};
use crate::ops::embedding;
use crate::ops::embedding::Lookup;
use crate::ops::layer_norm::{self, LayerNorm};
use crate::ops::pooling::Pooling;
use crate::ops::{contrastive, dropout, gelu_linear, linear, normalize, pooling};
use crate::params::{Grads, Params, Slot};
use crate::precision::Precision;
use crate::profile::{Part, time};
use crate::rows::Rows;

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
    Pooling { x: Var, mode: Pooling, excluded: usize },
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
/// [`keep_only`](Self::keep_only).
#[derive(Debug)]
pub struct Tape<'a> {
    nodes: Vec<Node>,
    params: &'a Params,
    buffers: &'a mut BufferPool,
    rows: Arc<Rows>,
    recording: bool,
    precision: Precision,
}

impl<'a> Tape<'a> {
    /// An empty tape over sentences that lie as `rows` says.
    pub fn new(params: &'a Params, buffers: &'a mut BufferPool, rows: Arc<Rows>, recording: bool) -> Self {
        buffers.begin(rows.tokens());
        Self { nodes: Vec::new(), params, buffers, rows, recording, precision: Precision::F32 }
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
        let mut y = self.buffers.take(self.rows.tokens(), lookups[0].table.cols());
        time(Part::EMBEDDING, || embedding::forward(&lookups, self.params, &mut y));
        self.push(Op::Embedding { lookups }, y)
    }

    /// `x·Wᵀ + b`. PyTorch: `nn.functional.linear(x, W, b)`.
    pub fn linear(&mut self, x: Var, weight: Slot, bias: Slot) -> Var {
        let mut y = self.buffers.take(self.value(x).nrows(), weight.rows());
        let value = self.value(x);
        time(Part::FORWARD, || linear::forward(self.precision, value, weight, bias, self.params, &mut y));
        self.push(Op::Linear { x, weight, bias }, y)
    }

    /// `gelu(h)·Wᵀ + b` with the exact GELU. Takes `h` over. PyTorch: `linear(nn.functional.gelu(h), W, b)`.
    pub fn gelu_linear(&mut self, h: Var, weight: Slot, bias: Slot) -> Var {
        let saved = self.take_over(h);
        let mut g = self.buffers.take(saved.nrows(), saved.ncols());
        let mut y = self.buffers.take(saved.nrows(), weight.rows());
        gelu_linear::forward(self.precision, &saved, weight, bias, self.params, &mut g, &mut y); // times its parts
        self.buffers.give(g);
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
        let mut moments = self.buffers.take(saved.nrows(), 2);
        let mut y = self.buffers.take(saved.nrows(), saved.ncols());
        let r = residual.map(|r| self.value(r));
        time(Part::LAYER_NORM, || {
            layer_norm::forward(&op, &mut saved, r, self.params, &self.rows, pairs_mut(&mut moments), &mut y);
        });
        let (saved, moments) = (self.keep(saved), self.keep(moments));
        self.push(Op::LayerNorm { x, residual, op, saved, moments }, y)
    }

    /// `dropout(x)`. Takes `x` over. PyTorch: `nn.functional.dropout(x, p=rate)`.
    pub fn dropout(&mut self, x: Var, dropout: Dropout) -> Var {
        let Some(dropout) = active(Some(dropout)) else { return x };
        let mut y = self.take_over(x);
        time(Part::DROPOUT, || dropout::forward(&mut y, &dropout, &self.rows));
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
        let mut moments = self.buffers.take(tokens, 2 * heads);
        let mut o = self.buffers.take(tokens, width);
        time(Part::ATTENTION, || attention::forward(&op, &saved, &self.rows, pairs_mut(&mut moments), &mut o));
        let (saved, moments) = (self.keep(saved), self.keep(moments));
        self.push(Op::Attention { qkv, op, saved, moments }, o)
    }

    /// One row a sentence, (S, C). sentence-transformers: `Pooling`.
    pub fn pooling(&mut self, x: Var, mode: Pooling) -> Var {
        self.pooling_after(0, x, mode)
    }

    /// [`Tape::pooling`] without the first `excluded` rows of each sentence.
    pub fn pooling_after(&mut self, excluded: usize, x: Var, mode: Pooling) -> Var {
        let mut y = self.buffers.take(self.rows.sentences(), self.value(x).ncols());
        time(Part::POOLING, || pooling::forward(mode, excluded, self.value(x), &self.rows, &mut y));
        self.push(Op::Pooling { x, mode, excluded }, y)
    }

    /// Rows of unit length. Takes `x` over. PyTorch: `nn.functional.normalize(x, dim=1)`.
    pub fn normalize(&mut self, x: Var) -> Var {
        let mut y = self.take_over(x);
        let lengths = time(Part::LOSS, || normalize::forward(&mut y));
        self.push(Op::Normalize { x, lengths }, y)
    }

    /// The contrastive loss of the two halves of `z` (2B, C), each row's positive being its counterpart, (1, 1).
    /// sentence-transformers: `MultipleNegativesRankingLoss(scale=scale)` of normalized embeddings.
    pub fn contrastive(&mut self, z: Var, scale: f32) -> Var {
        let (rows, width) = self.value(z).dim();
        let (height, size) = contrastive::similarities_shape(rows / 2);
        let mut similarities = self.buffers.take(height, size);
        let mut dz = self.buffers.take(rows, width);
        let loss =
            time(Part::LOSS, || contrastive::forward(self.precision, self.value(z), scale, &mut similarities, &mut dz));
        self.buffers.give(similarities);
        let dz = self.keep(dz);
        self.push(Op::Contrastive { z, dz }, Array2::from_elem((1, 1), loss))
    }

    /// Says that of all that was done so far only `var` will be read again; a tape that does not record lets go of the rest.
    pub fn keep_only(&mut self, var: Var) {
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
    pub fn backward(mut self, from: &[(Var, ArrayView2<f32>)], grads: &mut Grads) -> NodeGradients {
        assert!(self.recording, "backward over a tape that did not record");
        let mut gradients = NodeGradients((0..self.nodes.len()).map(|_| None).collect());
        for (var, gradient) in from {
            assert_eq!(gradient.dim(), self.value(*var).dim(), "the gradient of node {}", var.0);
            let mut copy = self.buffers.take(gradient.nrows(), gradient.ncols());
            copy.assign(gradient);
            gradients.add(*var, copy, self.buffers);
        }
        while let Some(Node { op, value }) = self.nodes.pop() {
            let i = self.nodes.len();
            if matches!(op, Op::Input) {
                self.buffers.give(value);
                continue;
            }
            if let Some(dy) = gradients.0[i].take() {
                self.backward_op(op, &value, dy, &mut gradients, grads);
            }
            self.buffers.give(value);
        }
        gradients
    }

    /// Wiring only: which function, which buffers, whose gradient.
    fn backward_op(&mut self, op: Op, y: &Array2<f32>, mut dy: Array2<f32>, d: &mut NodeGradients, grads: &mut Grads) {
        let (params, rows, precision) = (self.params, &self.rows, self.precision);
        match op {
            Op::Input => unreachable!("an input has no backward"),
            Op::Embedding { lookups } => {
                time(Part::EMBEDDING, || embedding::backward(&lookups, &dy, grads));
                self.buffers.give(dy);
            }
            Op::Linear { x, weight, bias } => {
                let value = &self.nodes[x.0].value;
                time(Part::DW, || linear::backward_parameters(precision, value, weight, bias, rows, &dy, grads));
                let (mut dx, addend) = match d.0[x.0].take() {
                    Some(dx) => (dx, Addend::Existing),
                    None => (self.buffers.take(value.nrows(), value.ncols()), Addend::Zero),
                };
                time(Part::DX, || linear::backward_input(precision, weight, params, &dy, addend, &mut dx));
                d.0[x.0] = Some(dx);
                self.buffers.give(dy);
            }
            Op::GeluLinear { h, mut saved, weight, bias } => {
                let mut dh = self.buffers.take(saved.nrows(), saved.ncols());
                gelu_linear::backward(precision, &mut saved, weight, bias, params, rows, &dy, &mut dh, grads);
                self.buffers.give(saved);
                self.buffers.give(dy);
                d.add(h, dh, self.buffers);
            }
            Op::LayerNorm { x, residual, op, saved, moments } => {
                let apart = residual.is_some() || op.dropout.is_some(); // dx is not ds
                let mut dx = apart.then(|| self.buffers.take(saved.nrows(), saved.ncols()));
                time(Part::LAYER_NORM, || {
                    layer_norm::backward(&op, &saved, params, rows, pairs(&moments), &mut dy, dx.as_mut(), grads);
                });
                self.buffers.give(saved);
                self.buffers.give(moments);
                match (dx, residual) {
                    (None, _) => d.add(x, dy, self.buffers),
                    (Some(dx), None) => {
                        d.add(x, dx, self.buffers);
                        self.buffers.give(dy);
                    }
                    (Some(dx), Some(residual)) => {
                        d.add(x, dx, self.buffers);
                        d.add(residual, dy, self.buffers);
                    }
                }
            }
            Op::Dropout { x, dropout } => {
                time(Part::DROPOUT, || dropout::backward(&mut dy, &dropout, rows));
                d.add(x, dy, self.buffers);
            }
            Op::Attention { qkv, op, mut saved, moments } => {
                time(Part::ATTENTION_BACKWARD, || attention::backward(&op, &mut saved, rows, pairs(&moments), &dy));
                self.buffers.give(moments);
                self.buffers.give(dy);
                d.add(qkv, saved, self.buffers);
            }
            Op::Pooling { x, mode, excluded } => {
                let mut dx = self.buffers.take(rows.tokens(), dy.ncols());
                let value = &self.nodes[x.0].value;
                time(Part::POOLING, || pooling::backward(mode, excluded, value, rows, &dy, &mut dx));
                self.buffers.give(dy);
                d.add(x, dx, self.buffers);
            }
            Op::Normalize { x, lengths } => {
                time(Part::LOSS, || normalize::backward(y, &lengths, &mut dy));
                d.add(x, dy, self.buffers);
            }
            Op::Contrastive { z, mut dz } => {
                time(Part::LOSS, || contrastive::backward(&mut dz, dy[[0, 0]]));
                d.add(z, dz, self.buffers);
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
        self.buffers.give(buffer);
        Array2::default((0, 0))
    }

    fn release(&mut self, var: Var) {
        let value = std::mem::take(&mut self.nodes[var.0].value);
        self.buffers.give(value);
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
pub struct NodeGradients(Vec<Option<Array2<f32>>>);

impl NodeGradients {
    /// The gradient of an input; zero-sized if the loss does not depend on it.
    pub fn take(&mut self, var: Var) -> Array2<f32> {
        self.0[var.0].take().unwrap_or_default()
    }

    /// The first gradient is written, later ones are added.
    fn add(&mut self, var: Var, gradient: Array2<f32>, buffers: &mut BufferPool) {
        match &mut self.0[var.0] {
            Some(sum) => {
                add(flat(&gradient), flat_mut(sum));
                buffers.give(gradient);
            }
            empty => *empty = Some(gradient),
        }
    }
}
