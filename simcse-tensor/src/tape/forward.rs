//! The tape itself, and a method for each operation on tokens.

use std::sync::Arc;

use ndarray::Array2;

use crate::buffers::pool::BufferPool;
use crate::ops::activation::{self, Activation};
use crate::ops::activation_linear;
use crate::ops::attention;
use crate::ops::attention::op::Attention;
use crate::ops::attention::relative_bias::{self, RelativeBias};
use crate::ops::attention::rotary::Rotary;
use crate::ops::context::Context;
use crate::ops::dropout::Dropout;
use crate::ops::elementwise::flat_mut;
use crate::ops::embedding::{self, Lookup};
use crate::ops::gated_linear::{self, Gated};
use crate::ops::layer_norm::{self, LayerNorm, Norm};
use crate::ops::linear::{self, Linear};
use crate::ops::{dropout, residual, select, weighted_sum};
use crate::params::{Params, Slot};
use crate::precision::Precision;
use crate::profile::{Part, time};
use crate::rows::Rows;
use crate::tape::node::{Node, Op, Var};

/// The operations that ran on one piece of a batch.
///
/// Nodes are pushed in topological order. Some operations take over an input's buffer, because no
/// other operation of an encoder reads that input; their methods say so. A tape that does not
/// record keeps nothing for a backward pass, and frees all other buffers at a
/// [`keep_only`](Self::keep_only).
///
/// ```
/// use std::sync::Arc;
/// use ndarray::array;
/// use simcse_tensor::{BufferPool, Grads, Layout, Params, Rows, Tape};
///
/// let mut layout = Layout::default();
/// let weight = layout.push("weight", &[1, 2], true, true);
/// let bias = layout.push("bias", &[1], false, true);
/// let mut params = Params::zeros(Arc::new(layout));
/// params.slice_mut(weight).copy_from_slice(&[3.0, 4.0]);
///
/// let mut buffers = BufferPool::new();
/// let rows = Arc::new(Rows::new([2], vec![0]));
/// let mut tape = Tape::new(&params, &mut buffers, rows, true);
/// let x = tape.input(array![[1.0, 0.0], [0.0, 2.0]]);
/// let y = tape.linear(x, weight, bias);
/// assert_eq!(tape.value(y), array![[3.0], [8.0]]);
///
/// let mut grads = Grads::zeros(params.layout().clone());
/// let dy = array![[1.0], [10.0]];
/// let mut gradients = tape.backward(&[(y, dy.view())], &mut grads);
/// assert_eq!(grads.slice(weight), [1.0, 20.0]);
/// assert_eq!(gradients.take(x), array![[3.0, 4.0], [30.0, 40.0]]);
/// ```
#[derive(Debug)]
pub struct Tape<'a> {
    pub(super) nodes: Vec<Node>,
    pub(super) params: &'a Params,
    pub(super) buffers: &'a mut BufferPool,
    pub(super) rows: Arc<Rows>,
    pub(super) recording: bool,
    pub(super) precision: Precision,
}

impl<'a> Tape<'a> {
    /// An empty tape over the sentences of `rows`. Without `recording` there is no backward, and
    /// less memory is needed.
    pub fn new(params: &'a Params, buffers: &'a mut BufferPool, rows: Arc<Rows>, recording: bool) -> Self {
        buffers.begin(rows.tokens());
        Self { nodes: Vec::new(), params, buffers, rows, recording, precision: Precision::F32 }
    }

    /// The same tape, with the operands of large matrix products rounded to `precision`, forward
    /// and backward.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Where the sentences are in the rows of a node.
    pub fn rows(&self, var: Var) -> &Rows {
        &self.nodes[var.0].rows
    }

    /// The value of a node.
    ///
    /// # Panics
    /// If a later operation has taken over its buffer.
    pub fn value(&self, var: Var) -> &Array2<f32> {
        let Node { value, rows, .. } = &self.nodes[var.0];
        let there = !value.is_empty() || rows.tokens() == 0;
        assert!(there, "a later operation has taken over the value of node {}", var.0);
        value
    }

    /// A matrix from outside the tape, whose gradient [`backward`](Self::backward) returns.
    pub fn input(&mut self, value: Array2<f32>) -> Var {
        self.push(Op::Input, value, Arc::clone(&self.rows))
    }

    /// `Σ_t table_t[index_t[i]]`, (N, C). PyTorch: the sum of the model's `nn.Embedding`s.
    ///
    /// # Panics
    /// If an index is outside of its table.
    pub fn embedding(&mut self, lookups: Vec<Lookup>) -> Var {
        for Lookup { table, index, .. } in &lookups {
            let outside = index.iter().find(|&&i| i as usize >= table.rows());
            assert!(outside.is_none(), "embedding: index {outside:?} into a table of {} rows", table.rows());
        }
        let mut y = self.buffers.take(self.rows.tokens(), lookups[0].table.cols());
        time(Part::EMBEDDING, || embedding::forward(&lookups, self.params, &mut y));
        self.push(Op::Embedding { lookups }, y, Arc::clone(&self.rows))
    }

    /// `x·Wᵀ + b`, (N, out), or without `b`. PyTorch: `nn.functional.linear(x, W, b)`.
    pub fn linear(&mut self, x: Var, weight: Slot, bias: impl Into<Option<Slot>>) -> Var {
        let linear = Linear { weight, bias: bias.into() };
        let mut y = self.buffers.take(self.value(x).nrows(), weight.rows());
        time(Part::FORWARD, || linear::forward(self.context(x), self.value(x), linear, &mut y));
        self.push(Op::Linear { x, linear }, y, self.rows_of(x))
    }

    /// `f(h)·Wᵀ + b` with an activation function `f`, (N, out), or without `b`. Takes over `h`.
    /// PyTorch: `linear(f(h), W, b)`.
    pub fn activation_linear(
        &mut self,
        h: Var,
        activation: Activation,
        weight: Slot,
        bias: impl Into<Option<Slot>>,
    ) -> Var {
        let linear = Linear { weight, bias: bias.into() };
        let saved = self.take_over(h);
        let mut fh = self.buffers.take(saved.nrows(), saved.ncols());
        let mut y = self.buffers.take(saved.nrows(), weight.rows());
        activation_linear::forward(self.context(h), activation, &saved, linear, &mut fh, &mut y);
        self.buffers.give(fh);
        let saved = self.keep(saved);
        self.push(Op::ActivationLinear { h, activation, saved, linear }, y, self.rows_of(h))
    }

    /// `dropout(f(a) ⊙ g)·Wᵀ + b` for `h = [a, g]` (N, 2F) with an activation function `f`, (N,
    /// out), or without `b`. Takes over `h`. transformers: `ModernBertMLP`.
    pub fn gated_linear(
        &mut self,
        h: Var,
        activation: Activation,
        dropout: Option<Dropout>,
        weight: Slot,
        bias: impl Into<Option<Slot>>,
    ) -> Var {
        let op = Gated { activation, dropout: active(dropout) };
        let linear = Linear { weight, bias: bias.into() };
        let saved = self.take_over(h);
        assert_eq!(saved.ncols(), 2 * weight.cols(), "gated_linear: columns");
        let mut fh = self.buffers.take(saved.nrows(), weight.cols());
        let mut y = self.buffers.take(saved.nrows(), weight.rows());
        gated_linear::forward(self.context(h), op, &saved, linear, &mut fh, &mut y);
        self.buffers.give(fh);
        let saved = self.keep(saved);
        self.push(Op::GatedLinear { h, op, saved, linear }, y, self.rows_of(h))
    }

    /// `f(h)` with an activation function `f`, (N, F). Takes over `h`. transformers:
    /// `ACT2FN[name](h)`.
    pub fn activation(&mut self, h: Var, activation: Activation) -> Var {
        let saved = self.take_over(h);
        let mut y = self.buffers.take(saved.nrows(), saved.ncols());
        time(Part::ACTIVATION, || activation::forward(activation, &saved, &mut y));
        let saved = self.keep(saved);
        self.push(Op::Activation { h, activation, saved }, y, self.rows_of(h))
    }

    /// `LayerNorm(residual + dropout(x))`, (N, C). Takes over `x` if there is a residual or
    /// dropout. PyTorch: `nn.functional.layer_norm(r + dropout(x), …)`.
    pub fn layer_norm(&mut self, x: Var, residual: Option<Var>, dropout: Option<Dropout>, norm: Norm) -> Var {
        let op = LayerNorm { norm, dropout: active(dropout) };
        let mut sum = self.take_over(x);
        let mut statistics = self.buffers.take(sum.nrows(), 2);
        let mut y = self.buffers.take(sum.nrows(), sum.ncols());
        let r = residual.map(|r| self.value(r));
        time(Part::LAYER_NORM, || {
            layer_norm::forward(self.context(x), &op, &mut sum, r, pairs_mut(&mut statistics), &mut y);
        });
        let saved = match op.dropout.is_none() && residual.is_none() {
            true => {
                self.nodes[x.0].value = sum; // as it was
                Array2::default((0, 0))
            }
            false => self.keep(sum),
        };
        let statistics = self.keep(statistics);
        self.push(Op::LayerNorm { x, residual, op, saved, statistics }, y, self.rows_of(x))
    }

    /// `residual + dropout(x)`, (N, C). Takes over `x`. PyTorch: `r + nn.functional.dropout(x)`.
    pub fn residual(&mut self, x: Var, residual: Var, dropout: Option<Dropout>) -> Var {
        let dropout = active(dropout);
        let mut y = self.take_over(x);
        time(Part::LAYER_NORM, || {
            residual::forward(dropout.as_ref(), &mut y, self.value(residual), self.context(x).rows);
        });
        self.push(Op::Residual { x, residual, dropout }, y, self.rows_of(x))
    }

    /// `dropout(x)`, (N, C). Takes over `x`. PyTorch: `nn.functional.dropout(x, p=rate)`.
    pub fn dropout(&mut self, x: Var, dropout: Dropout) -> Var {
        let Some(dropout) = active(Some(dropout)) else { return x };
        let mut y = self.take_over(x);
        time(Part::DROPOUT, || dropout::forward(&mut y, &dropout, self.context(x).rows));
        self.push(Op::Dropout { x, dropout }, y, self.rows_of(x))
    }

    /// Each sentence's copy of a table of biases by distance, (B, H), for
    /// [`attention`](Self::attention): (S, B·H). transformers:
    /// `MPNetEncoder.compute_position_bias`.
    ///
    /// # Panics
    /// If the table does not have a row per bucket.
    pub fn relative_bias(&mut self, table: Slot) -> Var {
        assert_eq!(table.rows(), RelativeBias::BUCKETS, "relative_bias: buckets");
        let rows = Arc::new(self.rows.with_lengths(std::iter::repeat_n(1, self.rows.sentences())));
        let mut y = self.buffers.take(rows.sentences(), table.rows() * table.cols());
        let context = Context { params: self.params, rows: &rows, precision: self.precision };
        time(Part::ATTENTION, || relative_bias::forward(context, table, &mut y));
        self.push(Op::RelativeBias { table }, y, rows)
    }

    /// Self-attention within each sentence: `qkv` (N, 3C) to contexts (N, C), with a
    /// [`relative_bias`](Self::relative_bias) or without. Takes over `qkv`. PyTorch:
    /// `scaled_dot_product_attention`.
    ///
    /// # Panics
    /// If C is not a multiple of the number of heads; the bias is for another number of them, or
    /// there is a window as well; or a sentence is longer than there are rotary positions.
    pub fn attention(&mut self, qkv: Var, bias: Option<Var>, op: Attention) -> Var {
        let op = Attention { dropout: active(op.dropout), ..op };
        let heads = op.heads;
        let saved = self.take_over(qkv);
        let tokens = saved.nrows();
        let width = saved.ncols() / 3;
        assert!(width.is_multiple_of(heads), "attention: {heads} heads do not divide {width} columns");
        let mut statistics = self.buffers.take(tokens, 2 * heads);
        let mut o = self.buffers.take(tokens, width);
        let table = bias.map(|bias| self.value(bias));
        let fits = |table: &Array2<f32>| table.ncols() == RelativeBias::BUCKETS * heads && op.window.is_none();
        assert!(table.is_none_or(fits), "attention: bias");
        let rows = self.context(qkv).rows;
        let longest = rows.iter().map(|sentence| sentence.len()).max().unwrap_or(0);
        let rotates = |rotary: &Arc<Rotary>| rotary.size() == width / heads && rotary.positions() >= longest;
        assert!(op.rotary.as_ref().is_none_or(rotates), "attention: rotary positions of {longest} tokens");
        time(Part::ATTENTION, || {
            attention::forward(&op, &saved, table, rows, pairs_mut(&mut statistics), &mut o);
        });
        let saved = self.keep(saved);
        let statistics = self.keep(statistics);
        self.push(Op::Attention { qkv, bias, op, saved, statistics }, o, self.rows_of(qkv))
    }

    /// Some rows of `x`, (M, C), where `index` (M) is ascending. Each still belongs to its
    /// sentence. PyTorch: `x[index]`.
    ///
    /// # Panics
    /// If `index` is not strictly ascending, or not below the number of rows.
    pub fn select(&mut self, x: Var, index: Arc<[u32]>) -> Var {
        let rows = self.rows_of(x);
        assert!(index.is_sorted_by(|a, b| a < b), "select: the rows are not in ascending order");
        assert!(index.last().is_none_or(|&last| (last as usize) < rows.tokens()), "select: no row {:?}", index.last());
        let below = |row: usize| index.partition_point(|&i| (i as usize) < row);
        let lengths = rows.iter().map(|sentence| below(sentence.end) - below(sentence.start));
        let selected = Arc::new(rows.with_lengths(lengths));
        let mut y = self.buffers.take(index.len(), self.value(x).ncols());
        time(Part::LOSS, || select::forward(&index, self.value(x), &mut y));
        self.push(Op::Select { x, index }, y, selected)
    }

    /// The sum of matrices, each times its weight, (N, C). sentence-transformers:
    /// `WeightedLayerPooling`.
    ///
    /// # Panics
    /// If there are no terms, or their shapes differ.
    pub fn weighted_sum(&mut self, terms: Vec<(Var, f32)>) -> Var {
        let values: Vec<_> = terms.iter().map(|&(x, weight)| (&self.nodes[x.0].value, weight)).collect();
        let (first, _) = values.first().expect("weighted_sum: no terms");
        let shape = first.dim();
        assert!(values.iter().all(|(x, _)| x.dim() == shape), "weighted_sum: shapes differ");
        let mut y = self.buffers.take(shape.0, shape.1);
        weighted_sum::forward(&values, &mut y);
        let rows = self.rows_of(terms[0].0);
        self.push(Op::WeightedSum { terms }, y, rows)
    }

    /// Promises that of all nodes so far only `vars` will be read again. A tape that does not
    /// record frees the buffers of the others.
    pub fn keep_only(&mut self, vars: &[Var]) {
        if !self.recording {
            for var in (0..self.nodes.len()).map(Var).filter(|var| !vars.contains(var)) {
                self.release(var);
            }
        }
    }

    pub(super) fn push(&mut self, op: Op, value: Array2<f32>, rows: Arc<Rows>) -> Var {
        self.nodes.push(Node { op, value, rows });
        Var(self.nodes.len() - 1)
    }

    /// What an operation on this input may use.
    pub(super) fn context(&self, input: Var) -> Context<'_> {
        Context { params: self.params, rows: &self.nodes[input.0].rows, precision: self.precision }
    }

    pub(super) fn rows_of(&self, var: Var) -> Arc<Rows> {
        Arc::clone(&self.nodes[var.0].rows)
    }

    pub(super) fn take_over(&mut self, var: Var) -> Array2<f32> {
        self.value(var); // panics if it is no longer there
        std::mem::take(&mut self.nodes[var.0].value)
    }

    /// Keeps a buffer for the backward pass; gives it back if there will be none.
    pub(super) fn keep(&mut self, buffer: Array2<f32>) -> Array2<f32> {
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

/// A matrix of pairs, such as statistics, as a mutable slice of them.
fn pairs_mut(matrix: &mut Array2<f32>) -> &mut [[f32; 2]] {
    flat_mut(matrix).as_chunks_mut().0
}

/// `None` also for dropout that drops nothing.
fn active(dropout: Option<Dropout>) -> Option<Dropout> {
    dropout.filter(|d| d.rate > 0.0)
}
