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

mod adamw;
mod math;
mod ops;
mod pages;
mod params;
mod peak;
mod pool;
pub mod profile;
pub mod rng;
mod rows;
mod scratch;
mod simd;
mod tape;

// The blocked product has instances on x86-64 only; for other processors it is compiled, but idle.
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod gemm;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod micro_kernel;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod packing;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod tile;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod words;

pub use adamw::{AdamWUpdate, BETAS, sum_of_squares};
pub use gemm::{Init, KC, PACKED_B, gemm};
pub use ops::softmax::softmax;
pub use pages::give_back_pages;
pub use params::{Flat, Gradient, Grads, Layout, Params, Slot, Tensor, Value};
pub use peak::peak_flops;
pub use pool::Pool;
pub use rows::Rows;
pub use simd::Isa;
pub use tape::{Dropout, Gradients, Lookup, Pooling, Tape, Var};
pub use words::Precision;
