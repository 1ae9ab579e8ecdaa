//! The backward pass over the tape: which function runs, on which buffers, and whose gradient it
//! adds to.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use crate::gemm::Addend;
use crate::ops::attention::relative_bias;
use crate::ops::context::Context;
use crate::ops::elementwise::flat;
use crate::ops::layer_norm::{self, LayerNorm};
use crate::ops::linear::{self, Linear};
use crate::ops::{
    activation, activation_linear, attention, contrastive, dense, dropout, embedding, gated_linear, normalize, pooling,
    residual, select, weighted_pooling, weighted_sum,
};
use crate::params::{Grads, Parameter};
use crate::profile::{Part, time};
use crate::tape::forward::Tape;
use crate::tape::gradients::NodeGradients;
use crate::tape::node::{Node, Op, Var};

/// Whether one of `sections` has places in common with `other`.
fn overlaps_any(sections: &[Range<usize>], other: &Range<usize>) -> bool {
    sections.iter().any(|section| section.start < other.end && other.start < section.end)
}

impl Tape<'_> {
    /// Runs backward over the tape, starting from the given nodes and the loss's gradients with
    /// respect to them. Adds to the parameters' gradients and returns those of the inputs.
    /// Afterwards, all of the tape's buffers are back in the pool.
    ///
    /// # Panics
    /// If the tape does not record, or a gradient does not have the shape of its node.
    pub fn backward(self, from: &[(Var, ArrayView2<f32>)], grads: &mut Grads) -> NodeGradients {
        self.backward_watched(from, grads, &mut |_, _| {})
    }

    /// The same. As soon as no operation is left that could add to the gradient of a parameter, or
    /// of several adjacent ones, `finished` is called with their section of the flat buffers: right
    /// away with those that no operation uses, later with the others, once each.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ndarray::array;
    /// use simcse_tensor::{BufferPool, Grads, Layout, Params, Rows, Tape};
    ///
    /// let mut layout = Layout::default();
    /// let first = layout.push("first", &[1, 1], true, true);
    /// let second = layout.push("second", &[1, 1], true, true);
    /// layout.push("unused", &[1, 1], true, true);
    /// let params = Params::zeros(Arc::new(layout));
    /// let mut buffers = BufferPool::new();
    /// let mut tape = Tape::new(&params, &mut buffers, Arc::new(Rows::new([1], vec![0])), true);
    /// let x = tape.input(array![[3.0]]);
    /// let h = tape.linear(x, first, None);
    /// let h = tape.linear(h, second, None);
    /// let y = tape.linear(h, first, None);
    ///
    /// let mut grads = Grads::zeros(params.layout().clone());
    /// let mut order = Vec::new();
    /// let dy = array![[1.0]];
    /// tape.backward_watched(&[(y, dy.view())], &mut grads, &mut |_, section| order.push(section));
    /// assert_eq!(order, [2..3, 1..2, 0..1]); // the first one is used twice
    /// ```
    ///
    /// # Panics
    /// As [`backward`](Self::backward) does.
    pub fn backward_watched(
        mut self,
        from: &[(Var, ArrayView2<f32>)],
        grads: &mut Grads,
        finished: &mut dyn FnMut(&mut Grads, Range<usize>),
    ) -> NodeGradients {
        assert!(self.recording, "backward on a tape that does not record");
        let mut first_uses = self.first_uses();
        let used = first_uses.concat();
        let layout = Arc::clone(grads.layout());
        let sections = layout.parameters().iter().map(Parameter::range);
        sections.filter(|section| !overlaps_any(&used, section)).for_each(|section| finished(grads, section));
        let mut gradients = NodeGradients::new(self.nodes.len());
        for (var, gradient) in from {
            assert_eq!(gradient.dim(), self.value(*var).dim(), "the gradient of node {}", var.0);
            let mut copy = self.buffers.take(gradient.nrows(), gradient.ncols());
            copy.assign(gradient);
            gradients.add(*var, copy, self.buffers);
        }
        while let Some(node) = self.nodes.pop() {
            let var = Var(self.nodes.len());
            // An input's gradient is the caller's.
            let dy = if matches!(node.op, Op::Input) { None } else { gradients.take_existing(var) };
            let y = match dy {
                Some(dy) => self.backward_node(node, dy, &mut gradients, grads),
                None => node.value,
            };
            self.buffers.give(y);
            let no_longer_used = first_uses.pop().expect("sections of each node");
            no_longer_used.into_iter().for_each(|section| finished(grads, section));
        }
        gradients
    }

    /// For each node, the sections of the flat buffers that it uses and no node before it does.
    fn first_uses(&self) -> Vec<Vec<Range<usize>>> {
        let mut used = Vec::new();
        let of_node = |node: &Node| {
            let mut sections = node.op.parameters();
            sections.retain(|section| {
                let is_first = !overlaps_any(&used, section);
                used.extend(is_first.then(|| section.clone()));
                is_first
            });
            sections
        };
        self.nodes.iter().map(of_node).collect()
    }

    /// One operation, given the gradient `dy` of its output; `d` has the gradients of its inputs.
    /// Returns the output.
    fn backward_node(
        &mut self,
        node: Node,
        mut dy: Array2<f32>,
        d: &mut NodeGradients,
        grads: &mut Grads,
    ) -> Array2<f32> {
        let Node { op, value: y, rows } = node;
        let rows = &*rows;
        let context = Context { params: self.params, rows, precision: self.precision };
        match op {
            Op::Input => unreachable!("an input has no backward"),
            Op::Embedding { lookups } => {
                time(Part::EMBEDDING, || embedding::backward(&lookups, &dy, grads));
                self.buffers.give(dy);
            }
            Op::Linear { x, linear } => self.backward_linear(context, x, linear, dy, d, grads),
            Op::Activation { h, activation, mut saved } => {
                time(Part::ACTIVATION, || activation::backward(activation, &mut saved, &mut dy));
                self.buffers.give(saved);
                d.add(h, dy, self.buffers);
            }
            Op::ActivationLinear { h, activation, mut saved, linear } => {
                let mut dh = self.buffers.take(saved.nrows(), saved.ncols());
                activation_linear::backward(context, activation, &mut saved, linear, &dy, &mut dh, grads);
                self.buffers.give(saved);
                self.buffers.give(dy);
                d.add(h, dh, self.buffers);
            }
            Op::GatedLinear { h, op, mut saved, linear } => {
                let mut fh = self.buffers.take(saved.nrows(), saved.ncols() / 2);
                gated_linear::backward(context, op, &mut saved, linear, &dy, &mut fh, grads);
                self.buffers.give(fh);
                self.buffers.give(dy);
                d.add(h, saved, self.buffers);
            }
            Op::LayerNorm { x, residual, op, saved, statistics } => {
                let [dx, dr] = self.backward_layer_norm(context, &op, (x, residual), (saved, statistics), dy, grads);
                d.add(x, dx, self.buffers);
                match residual {
                    Some(residual) => d.add(residual, dr, self.buffers),
                    None => self.buffers.give(dr),
                }
            }
            Op::Dropout { x, dropout } => {
                time(Part::DROPOUT, || dropout::backward(&mut dy, &dropout, rows));
                d.add(x, dy, self.buffers);
            }
            Op::Residual { x, residual, dropout } => {
                let mut dx = self.buffers.take(dy.nrows(), dy.ncols());
                time(Part::LAYER_NORM, || residual::backward(dropout.as_ref(), &dy, &mut dx, rows));
                d.add(x, dx, self.buffers);
                d.add(residual, dy, self.buffers);
            }
            Op::RelativeBias { table } => {
                time(Part::ATTENTION_BACKWARD, || relative_bias::backward(context, table, &dy, grads));
                self.buffers.give(dy);
            }
            Op::Attention { qkv, bias, op, mut saved, statistics } => {
                let mut dbias = bias.map(|Var(bias)| {
                    let table = &self.nodes[bias].value;
                    (table, self.buffers.take(table.nrows(), table.ncols()))
                });
                let bias_and_gradient = dbias.as_mut().map(|(table, dbias)| (*table, dbias));
                time(Part::ATTENTION_BACKWARD, || {
                    attention::backward(&op, &mut saved, bias_and_gradient, rows, pairs(&statistics), &dy);
                });
                let dbias = dbias.map(|(_, dbias)| dbias);
                self.buffers.give(statistics);
                self.buffers.give(dy);
                d.add(qkv, saved, self.buffers);
                if let Some((bias, dbias)) = bias.zip(dbias) {
                    d.add(bias, dbias, self.buffers);
                }
            }
            Op::Select { x, index } => {
                let mut dx = self.buffers.take(self.nodes[x.0].rows.tokens(), dy.ncols());
                time(Part::LOSS, || select::backward(&index, &dy, &mut dx));
                self.buffers.give(dy);
                d.add(x, dx, self.buffers);
            }
            Op::WeightedSum { terms } => {
                for (x, weight) in terms {
                    let mut dx = self.buffers.take(dy.nrows(), dy.ncols());
                    weighted_sum::backward(weight, &dy, &mut dx);
                    d.add(x, dx, self.buffers);
                }
                self.buffers.give(dy);
            }
            Op::Pooling { x, mode, excluded } => {
                let Node { value, rows, .. } = &self.nodes[x.0];
                let mut dx = self.buffers.take(rows.tokens(), dy.ncols());
                time(Part::POOLING, || pooling::backward(mode, excluded, value, rows, &dy, &mut dx));
                self.buffers.give(dy);
                d.add(x, dx, self.buffers);
            }
            Op::WeightedPooling { x, shares } => {
                let rows = &self.nodes[x.0].rows;
                let mut dx = self.buffers.take(rows.tokens(), dy.ncols());
                time(Part::POOLING, || weighted_pooling::backward(&shares, rows, &dy, &mut dx));
                self.buffers.give(dy);
                d.add(x, dx, self.buffers);
            }
            Op::Dense { x, dense, h } => {
                let value = &self.nodes[x.0].value;
                let mut dx = self.buffers.take(value.nrows(), value.ncols());
                dense::backward(context, dense, value, &h, &mut dy, &mut dx, grads);
                self.buffers.give(h);
                self.buffers.give(dy);
                d.add(x, dx, self.buffers);
            }
            Op::Normalize { x, lengths } => {
                time(Part::LOSS, || normalize::backward(&y, &lengths, &mut dy));
                d.add(x, dy, self.buffers);
            }
            Op::Contrastive { z, mut dz } => {
                time(Part::LOSS, || contrastive::backward(&mut dz, dy[[0, 0]]));
                d.add(z, dz, self.buffers);
            }
        }
        y
    }

    fn backward_linear(
        &mut self,
        context: Context,
        x: Var,
        linear: Linear,
        dy: Array2<f32>,
        d: &mut NodeGradients,
        grads: &mut Grads,
    ) {
        let value = &self.nodes[x.0].value;
        time(Part::DW, || linear::backward_parameters(context, value, linear, &dy, grads));
        // Where x already has a gradient, the product adds to it: no second buffer, no second pass.
        let (mut dx, addend) = match d.take_existing(x) {
            Some(dx) => (dx, Addend::Existing),
            None => (self.buffers.take(value.nrows(), value.ncols()), Addend::Zero),
        };
        time(Part::DX, || linear::backward_input(context, linear, &dy, addend, &mut dx));
        d.add(x, dx, self.buffers);
        self.buffers.give(dy);
    }

    /// The gradients of `x` and of the residual; the latter is empty if there is no residual.
    fn backward_layer_norm(
        &mut self,
        context: Context,
        op: &LayerNorm,
        (x, residual): (Var, Option<Var>),
        (saved, statistics): (Array2<f32>, Array2<f32>),
        mut dy: Array2<f32>,
        grads: &mut Grads,
    ) -> [Array2<f32>; 2] {
        // The kernel turns dy into ds, which is the residual's gradient. That of x needs a matrix
        // of its own if there is a residual, or if dropout makes it differ from ds.
        let took_over = residual.is_some() || op.dropout.is_some();
        let mut dx = took_over.then(|| self.buffers.take(saved.nrows(), saved.ncols()));
        let sum = if took_over { &saved } else { &self.nodes[x.0].value };
        time(Part::LAYER_NORM, || {
            layer_norm::backward(context, op, sum, pairs(&statistics), &mut dy, dx.as_mut(), grads);
        });
        self.buffers.give(saved);
        self.buffers.give(statistics);
        match dx {
            Some(dx) => [dx, dy],
            None => [dy, Array2::default((0, 0))],
        }
    }
}

/// A matrix of pairs, such as statistics, as a slice of them.
fn pairs(matrix: &Array2<f32>) -> &[[f32; 2]] {
    flat(matrix).as_chunks().0
}
