//! The operations of the tape, one file each: `forward` above `backward`, plain functions over
//! matrices, with the equation and its PyTorch equivalent at the head and a test against a naive
//! f64 oracle at the foot.
//!
//! This room knows matrices, parameters, sentences' rows and vector kernels. It must not know the
//! tape, which decides which buffer goes where, nor any model or objective.
//!
//! `forward` and `backward` take their arguments in the same order. `x` is an input, `y` the
//! output, `dx` and `dy` are the loss's gradients with respect to them. Outputs are overwritten,
//! whatever they hold; gradients of parameters are added to [`Grads`](crate::Grads).

pub(crate) mod activation;
pub(crate) mod activation_linear;
pub(crate) mod attention;
pub(crate) mod context;
pub(crate) mod contrastive;
pub(crate) mod dense;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod embedding;
pub(crate) mod gated_linear;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod normalize;
pub(crate) mod pooling;
pub(crate) mod residual;
pub(crate) mod select;
pub(crate) mod small_product;
pub(crate) mod softmax;
pub(crate) mod vocabulary_loss;
pub(crate) mod weighted_pooling;
pub(crate) mod weighted_sum;

// Tests only: the harness that the operations' tests share, and tests of numerical edges.
#[cfg(test)]
pub(crate) mod testing;
