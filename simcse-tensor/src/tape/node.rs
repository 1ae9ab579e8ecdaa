//! What a tape records of an operation.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array2;

use crate::ops::activation::Activation;
use crate::ops::attention::op::Attention;
use crate::ops::dense::Dense;
use crate::ops::dropout::Dropout;
use crate::ops::embedding::Lookup;
use crate::ops::gated_linear::Gated;
use crate::ops::layer_norm::LayerNorm;
use crate::ops::linear::Linear;
use crate::ops::pooling::Pooling;
use crate::params::Slot;
use crate::rows::Rows;

/// A matrix on a [`Tape`](crate::Tape): the number of the node that computed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Var(pub(super) usize);

/// One operation: its inputs, its parameters, and what its backward needs. A `saved` buffer is that
/// of an input, which the operation took over; LayerNorm's is empty if it left its input in place.
#[derive(Debug)]
pub(super) enum Op {
    Input,
    Embedding { lookups: Vec<Lookup> },
    Linear { x: Var, linear: Linear },
    Activation { h: Var, activation: Activation, saved: Array2<f32> },
    ActivationLinear { h: Var, activation: Activation, saved: Array2<f32>, linear: Linear },
    GatedLinear { h: Var, op: Gated, saved: Array2<f32>, linear: Linear },
    LayerNorm { x: Var, residual: Option<Var>, op: LayerNorm, saved: Array2<f32>, statistics: Array2<f32> },
    Dropout { x: Var, dropout: Dropout },
    Residual { x: Var, residual: Var, dropout: Option<Dropout> },
    RelativeBias { table: Slot },
    Attention { qkv: Var, bias: Option<Var>, op: Attention, saved: Array2<f32>, statistics: Array2<f32> },
    Select { x: Var, index: Arc<[u32]> },
    WeightedSum { terms: Vec<(Var, f32)> },
    Pooling { x: Var, mode: Pooling, excluded: usize },
    WeightedPooling { x: Var, shares: Arc<[f32]> },
    Dense { x: Var, dense: Dense, h: Array2<f32> },
    Normalize { x: Var, lengths: Vec<f32> },
    Contrastive { z: Var, dz: Array2<f32> },
}

impl Op {
    /// The parameters that the backward of the operation adds gradients to, as sections of the flat
    /// buffers.
    pub(super) fn parameters(&self) -> Vec<Range<usize>> {
        let slots = match self {
            Self::Embedding { lookups } => lookups.iter().map(|lookup| Some(lookup.table)).collect(),
            Self::Linear { linear, .. }
            | Self::ActivationLinear { linear, .. }
            | Self::GatedLinear { linear, .. }
            | Self::Dense { dense: Dense { linear, .. }, .. } => vec![Some(linear.weight), linear.bias],
            Self::LayerNorm { op, .. } => vec![Some(op.norm.gamma), op.norm.beta],
            Self::RelativeBias { table } => vec![Some(*table)],
            Self::Input
            | Self::Activation { .. }
            | Self::Dropout { .. }
            | Self::Residual { .. }
            | Self::Attention { .. }
            | Self::Select { .. }
            | Self::WeightedSum { .. }
            | Self::Pooling { .. }
            | Self::WeightedPooling { .. }
            | Self::Normalize { .. }
            | Self::Contrastive { .. } => Vec::new(),
        };
        slots.into_iter().flatten().map(Slot::range).collect()
    }
}

/// An operation and its result.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    /// The output; empty once a later operation has taken over its buffer.
    pub(super) value: Array2<f32>,
    /// Where the sentences are in its rows.
    pub(super) rows: Arc<Rows>,
}
