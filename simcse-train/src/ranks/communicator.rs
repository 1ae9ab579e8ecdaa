//! What several processes need to be able to exchange.

use std::fmt;

/// Exchanges numbers between ranks. Every rank calls the same methods in the same order, with
/// arguments that fit; a call returns when this rank has what it needs.
///
/// None of the methods does arithmetic, so no implementation can change a bit.
pub trait Communicator: fmt::Debug + Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Overwrites `all` with what every rank gives, in the order of the ranks: `counts[r]` values
    /// of rank `r`. MPI: `MPI_Allgatherv`.
    fn all_gather(&self, own: &[f32], counts: &[usize], all: &mut [f32]);

    /// Gives the part of `values` with `counts[r]` values to rank `r`, and overwrites `received`
    /// with what every rank gives to this one, in the order of the ranks. MPI: `MPI_Alltoallv`.
    fn all_to_all(&self, values: &[f32], counts: &[usize], received: &mut [f32]);

    /// What every rank gives, which may have any length, in the order of the ranks.
    fn all_gather_bytes(&self, own: &[u8]) -> Vec<Vec<u8>>;
}
