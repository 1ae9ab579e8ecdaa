//! Reverse-mode automatic differentiation over ndarray, for sentence encoders on the CPU.
//!
//! The letters used for shapes, here and in the crates above: `N` tokens (rows), `S` sentences, `C` hidden size,
//! `H` attention heads, `D = C / H` head size, `F` feed-forward size, `V` vocabulary size.
//!
//! A batch has no padding: the tokens of all sentences are laid end to end, one row each ([`Rows`] says where each
//! sentence begins). A [`Tape`] records coarse operations over such matrices, [`Params`] and [`Grads`] are flat buffers
//! that share one [`Layout`], and every dropout mask is a function of its coordinates ([`rng`]).
//!
//! Every sum has an order that depends on shapes alone, so results have the same bits for any number of threads.

pub mod profile;
pub mod rng;

mod adamw;
mod buffers;
mod gemm;
mod named;
mod ops;
mod params;
mod peak;
mod precision;
mod rows;
mod simd;
mod tape;

pub use adamw::{AdamWUpdate, BETAS, sum_of_squares};
pub use buffers::pages::give_back_pages;
pub use buffers::pool::BufferPool;
pub use gemm::{Addend, gemm, gemm_scratch_bytes};
pub use named::{Named, UnknownName, names_of};
pub use ops::attention::attention_scratch_bytes;
pub use ops::contrastive::contrastive_scratch_bytes;
pub use ops::dropout::Dropout;
pub use ops::embedding::Lookup;
pub use ops::pooling::Pooling;
pub use ops::softmax::softmax;
pub use params::{Flat, Grads, Layout, ParamGradient, ParamValue, Parameter, Params, Slot};
pub use peak::peak_flops;
pub use precision::Precision;
pub use rows::Rows;
pub use simd::Isa;
pub use tape::{NodeGradients, Tape, Var};
