//! Reverse-mode automatic differentiation over ndarray, for sentence encoders on the CPU.
//!
//! A [`Tape`] records coarse operations (a linear map, attention, LayerNorm) over matrices, and
//! runs backward over them to compute gradients. Parameters and their gradients are flat buffers
//! ([`Params`], [`Grads`]) that share one [`Layout`]. A batch has no padding: the tokens of all
//! sentences are laid end to end, one row each, and [`Rows`] says where each sentence starts. Every
//! dropout mask is a function of its coordinates ([`rng`]), so nothing random is ever stored.
//!
//! A first program: two sentences of two tokens each are encoded by a linear map, twice, and pulled
//! together by the contrastive loss.
//!
//! ```
//! use std::sync::Arc;
//! use ndarray::array;
//! use simcse_tensor::{BufferPool, ContrastiveLoss, Grads, Layout, Params, Pooling, Rows, Tape};
//!
//! // The table of parameters, and a buffer of their values.
//! let mut layout = Layout::default();
//! let weight = layout.push("weight", &[2, 3], true, true);
//! let bias = layout.push("bias", &[2], false, true);
//! let mut params = Params::zeros(Arc::new(layout));
//! params.slice_mut(weight).copy_from_slice(&[1.0, 0.0, 0.5, 0.0, 1.0, -0.5]);
//!
//! // Four sentences of two tokens each: two sentences, then the second view of both.
//! let rows = Arc::new(Rows::new([2; 4], vec![0, 1, 2, 3]));
//! let tokens = array![
//!     [1.0, 0.0, 0.0], [0.9, 0.1, 0.0], // the first sentence
//!     [0.0, 1.0, 0.0], [0.1, 0.8, 0.2],
//!     [1.0, 0.1, 0.0], [0.8, 0.0, 0.1], // its second view
//!     [0.0, 0.9, 0.0], [0.2, 1.0, 0.0],
//! ];
//!
//! // Forward: tokens to embeddings to the loss.
//! let mut buffers = BufferPool::new();
//! let mut tape = Tape::new(&params, &mut buffers, rows, true);
//! let x = tape.input(tokens);
//! let y = tape.linear(x, weight, bias);
//! let pooled = tape.pooling(y, Pooling::Mean);
//! let embeddings = tape.normalize(pooled);
//! let loss = tape.contrastive(embeddings, &ContrastiveLoss::simcse(20.0), 0..2);
//! assert!(tape.value(loss)[[0, 0]] < 1e-6); // each sentence finds its second view
//!
//! // Backward: from the loss, whose gradient is 1, to the parameters.
//! let mut grads = Grads::zeros(params.layout().clone());
//! tape.backward(&[(loss, array![[1.0]].view())], &mut grads);
//! println!("d loss / d weight = {:?}", grads.matrix(weight));
//! # assert!(grads.values().iter().all(|g| g.is_finite()));
//! # assert!(grads.values().iter().any(|g| *g != 0.0));
//! ```
//!
//! # Shapes
//!
//! Letters stand for the same sizes everywhere: `N` tokens (rows), `S` sentences, `C` hidden size,
//! `H` attention heads, `D = C / H` head size, `F` feed-forward size, `V` vocabulary size.
//!
//! # Reproducibility
//!
//! The order of every sum depends on shapes alone: on one instruction set ([`Isa`]), results have
//! the same bits for any number of threads.
//!
//! # Errors
//!
//! Wrong use, such as shapes that do not fit together, panics with both shapes. Whatever comes from
//! outside, such as a name ([`Named`]), is checked and returns a typed error.

pub mod profile;
pub mod rng;

mod adamw;
mod buffers;
mod gemm;
mod named;
mod ops;
mod packed_weights;
mod params;
mod peak;
mod precision;
mod rows;
mod simd;
mod stored;
mod tape;

pub use adamw::{AdamWUpdate, BETAS, SQUARES, sum_of_squares};
pub use buffers::pages::give_back_pages;
pub use buffers::pool::BufferPool;
pub use gemm::{Addend, BlockSizes, block_sizes, gemm, gemm_in_blocks, gemm_scratch_bytes};
pub use named::{Named, UnknownName, names_of};
pub use ops::activation::Activation;
pub use ops::attention::attention_scratch_bytes;
pub use ops::attention::op::Attention;
pub use ops::attention::relative_bias::RelativeBias;
pub use ops::attention::rotary::Rotary;
pub use ops::contrastive::contrastive_scratch_bytes;
pub use ops::contrastive::loss::{ContrastiveLoss, Directions, Hardness, Partition};
pub use ops::contrastive::noise::Noise;
pub use ops::dense::DenseActivation;
pub use ops::dropout::Dropout;
pub use ops::embedding::Lookup;
pub use ops::layer_norm::Norm;
pub use ops::pooling::Pooling;
pub use ops::softmax::softmax;
pub use ops::vocabulary_loss::{Predictions, VocabularyLoss, vocabulary_loss_scratch_bytes};
pub use params::{Flat, Grads, Layout, PAGE, ParamGradient, ParamValue, Parameter, Params, Slot};
pub use peak::peak_flops;
pub use precision::Precision;
pub use rows::Rows;
pub use simd::Isa;
pub use stored::StoredRows;
pub use tape::{NodeGradients, Tape, Var};
