//! The operations of the tape, one file each: `forward` above `backward`, plain functions over matrices.
//!
//! Arguments have the same order in both. `x` is an input, `y` the output, `dx` and `dy` the loss's gradients with respect
//! to them. Gradients of parameters are added to [`Grads`](crate::Grads). Outputs are overwritten, whatever they hold.

pub(crate) mod attention;
pub(crate) mod contrastive;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod embedding;
pub(crate) mod gelu_linear;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod normalize;
pub(crate) mod pooling;
pub(crate) mod softmax;
#[cfg(test)]
pub(crate) mod testing;
