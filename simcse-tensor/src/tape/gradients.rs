//! The gradients that flow back over a tape.

use ndarray::Array2;

use crate::buffers::pool::BufferPool;
use crate::ops::elementwise::{add, flat, flat_mut};
use crate::tape::node::Var;

/// The loss's gradients with respect to a tape's nodes.
#[derive(Debug)]
pub struct NodeGradients(Vec<Option<Array2<f32>>>);

impl NodeGradients {
    /// No gradients yet, for a tape of `nodes` nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Self((0..nodes).map(|_| None).collect())
    }

    /// Takes the gradient of an input; it is zero-sized if the loss does not depend on the input.
    pub fn take(&mut self, var: Var) -> Array2<f32> {
        self.take_existing(var).unwrap_or_default()
    }

    /// Takes a node's gradient, if it has one.
    pub(super) fn take_existing(&mut self, var: Var) -> Option<Array2<f32>> {
        self.0[var.0].take()
    }

    /// Adds to a node's gradient: the first contribution is kept as it is, later ones are added to
    /// it.
    pub(super) fn add(&mut self, var: Var, gradient: Array2<f32>, buffers: &mut BufferPool) {
        match &mut self.0[var.0] {
            Some(sum) => {
                add(flat(&gradient), flat_mut(sum));
                buffers.give(gradient);
            }
            empty => *empty = Some(gradient),
        }
    }
}
