//! The processes that train together, each with its share of every batch.
//!
//! The words are MPI's: each of the processes is a *rank*, with a number from 0. All ranks run the
//! same loop on the same data, and each encodes its own share of a batch's rows. What they exchange
//! makes up for the rest:
//!
//! - the embeddings, so that every sentence has the negatives of the whole batch;
//! - the gradient of the embeddings, of which each rank computes the terms of its own examples;
//! - the gradient of the parameters, which is summed, never averaged, and between hosts while it is
//!   computed.
//!
//! Sums are taken in the order of the ranks, by ourselves: MPI does not promise one. So every rank
//! holds the same bits after each step, and the same number of ranks gives the same bits again.
//!
//! This room knows numbers, rows and clocks. It must not know encoders, losses or files.

mod collective;
mod communicator;
mod gradient_sum;
#[cfg(feature = "mpi")]
pub mod mpi;
pub(crate) mod same;
mod shares;
mod threads;
mod traffic;

pub use collective::Ranks;
pub use communicator::{Communicator, Pause};
pub(crate) use gradient_sum::Finished;
pub use threads::on_threads;
pub use traffic::{Exchange, Traffic};
