//! What several processes need to be able to exchange.

use std::fmt;

use crate::ranks::shares;

/// What to do between two looks at whether an exchange is done.
pub type Pause<'a> = &'a dyn Fn();

/// Exchanges numbers between ranks. Every rank calls the same methods in the same order, with
/// arguments that fit; a call returns when this rank has what it needs.
///
/// The methods to implement do no arithmetic, so no implementation can change a bit.
pub trait Communicator: fmt::Debug + Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Overwrites `all` with what every rank gives, in the order of the ranks: `counts[r]` values
    /// of rank `r`. MPI: `MPI_Allgatherv`.
    fn all_gather(&self, own: &[f32], counts: &[usize], all: &mut [f32], pause: Pause);

    /// Gives the part of `values` with `counts[r]` values to rank `r`, and overwrites `received`
    /// with what every rank gives to this one, in the order of the ranks. MPI: `MPI_Alltoallv`.
    fn all_to_all(&self, values: &[f32], counts: &[usize], received: &mut [f32], pause: Pause);

    /// Overwrites this rank's part of `values`, which has `counts[r]` values for rank `r`, with its
    /// sum over all ranks, in their order. `received` is memory for it. MPI:
    /// `MPI_Reduce_scatter`, which does not promise an order.
    fn reduce_scatter(&self, values: &mut [f32], counts: &[usize], received: &mut Vec<f32>, pause: Pause) {
        let own = shares::at(counts, self.rank());
        received.resize(own.len() * self.size(), 0.0);
        self.all_to_all(values, counts, received, pause);
        let sums = &mut values[own];
        sums.fill(0.0);
        for part in received.chunks_exact(sums.len().max(1)) {
            sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
    }

    /// What every rank gives, which may have any length, in the order of the ranks.
    fn all_gather_bytes(&self, own: &[u8]) -> Vec<Vec<u8>>;
}
