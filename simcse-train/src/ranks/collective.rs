//! What all ranks do together: the exchanges of a step, and sums.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::yield_now;

use ndarray::Array2;
use simcse_tensor::Grads;

use crate::ranks::communicator::Communicator;
use crate::ranks::gradient_sum::{self, Finished, GradientSum, Order};
use crate::ranks::shares;
use crate::ranks::traffic::{Exchange, Meter, Traffic};

/// This process, and the others that train with it. By default there are no others.
///
/// ```
/// use simcse_train::ranks::{Ranks, on_threads};
///
/// assert_eq!((Ranks::default().rank(), Ranks::default().size()), (0, 1));
/// assert_eq!(on_threads(3, |ranks| ranks.any(ranks.rank() == 1)), [true; 3]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ranks {
    others: Option<Arc<dyn Communicator>>,
    /// The host of each rank.
    hosts: Arc<[String]>,
    meter: Meter,
    /// What sums parts of gradients over all ranks, on a thread of its own.
    adder: Option<SyncSender<Order>>,
}

impl Ranks {
    /// The ranks of a communicator, with the name of the host that each runs on.
    pub fn new(communicator: impl Communicator + 'static, hosts: Vec<String>) -> Self {
        let (others, meter) = (Arc::new(communicator), Meter::default());
        let adder = gradient_sum::adder(others.clone(), meter.clone());
        Self { others: Some(others), hosts: hosts.into(), meter, adder: Some(adder) }
    }

    /// The number of this rank.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.others.as_ref().map_or(0, |others| others.rank())
    }

    /// The number of ranks.
    #[must_use]
    pub fn size(&self) -> usize {
        self.others.as_ref().map_or(1, |others| others.size())
    }

    /// Whether this is the rank that writes files and talks to the user.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The number of different hosts.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.hosts.iter().collect::<HashSet<_>>().len().max(1)
    }

    /// The number of ranks on this rank's host.
    #[must_use]
    pub(crate) fn on_this_host(&self) -> usize {
        self.hosts.iter().filter(|host| self.hosts.get(self.rank()) == Some(host)).count().max(1)
    }

    /// Whether `flag` is set on any rank.
    #[must_use]
    pub fn any(&self, flag: bool) -> bool {
        self.all_gather(&[flag.into()]).iter().any(|flag| flag == &[1])
    }

    /// What every rank gives, in the order of the ranks.
    #[must_use]
    pub fn all_gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        self.others.as_ref().map_or_else(|| vec![own.to_vec()], |others| others.all_gather_bytes(own))
    }

    /// The rows that each rank encodes of some that have these numbers of tokens: consecutive ones,
    /// with as many tokens on every rank as whole sentences allow.
    #[must_use]
    pub fn shares(&self, lengths: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
        shares::by_length(lengths, self.size())
    }

    /// This rank's part of `0..count`.
    #[must_use]
    pub(crate) fn part(&self, count: usize) -> Range<usize> {
        shares::equal(count, self.size()).nth(self.rank()).expect("a part for each rank")
    }

    /// Completes `rows`, of which every rank has filled in its share.
    pub fn gather_rows(&self, rows: &mut Array2<f32>, shares: &[Range<usize>]) {
        let Some(others) = &self.others else { return };
        let counts = values_in(shares, rows.ncols());
        let all = rows.as_slice_mut().expect("rows are contiguous");
        let own = all[shares::at(&counts, others.rank())].to_vec();
        let sent = own.len() * (others.size() - 1);
        self.meter.waited(|| {
            self.meter.measured(Exchange::Embeddings, sent, || others.all_gather(&own, &counts, all, &yield_now))
        });
    }

    /// Sums `rows` over all ranks. Each gets the sums of its share; the other rows are undefined.
    pub(crate) fn reduce_rows(&self, rows: &mut Array2<f32>, shares: &[Range<usize>]) {
        let Some(others) = &self.others else { return };
        let counts = values_in(shares, rows.ncols());
        let values = rows.as_slice_mut().expect("rows are contiguous");
        let sent = values.len() - counts[others.rank()];
        let run = || others.reduce_scatter(values, &counts, &mut Vec::new(), &yield_now);
        self.meter.waited(|| self.meter.measured(Exchange::EmbeddingGradients, sent, run));
    }

    /// Bytes that [`sum_while`](Self::sum_while) takes, at most.
    pub(crate) fn exchange_bytes(&self) -> usize {
        if self.size() == 1 { 0 } else { gradient_sum::BYTES }
    }

    /// Computes gradients and sums them over all ranks. `compute` says which ones are finished;
    /// those that it does not mention are when it returns. From the first one that it mentions, it
    /// must not exchange anything itself.
    pub(crate) fn sum_while<T>(&self, grads: &mut Grads, compute: impl FnOnce(&mut Grads, &mut Finished) -> T) -> T {
        let Some((others, adder)) = self.others.as_ref().zip(self.adder.as_ref()) else {
            return compute(grads, &mut |_, _| {});
        };
        let mut sum = GradientSum::new(grads.layout(), adder.clone());
        // Within a host, there is nothing to wait for: copying and adding take the processors that
        // compute.
        let overlaps = self.hosts() > 1;
        let found = compute(grads, &mut |grads, section| {
            if overlaps {
                self.meter.waited(|| sum.finished(grads, &section));
            }
        });
        self.meter.waited(|| {
            sum.complete(grads);
            gradient_sum::sum_tables(&**others, &self.meter, grads);
        });
        found
    }

    /// Sums `f64` figures over all ranks.
    pub(crate) fn sum_figures<const N: usize>(&self, own: [f64; N]) -> [f64; N] {
        let bytes: Vec<u8> = own.iter().flat_map(|figure| figure.to_le_bytes()).collect();
        let mut sums = [0.0; N];
        for rank in self.all_gather(&bytes) {
            let figures = rank.chunks_exact(size_of::<f64>());
            let figures = figures.map(|bytes| f64::from_le_bytes(bytes.try_into().expect("eight bytes")));
            sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        }
        sums
    }

    /// Sums a loss over all ranks.
    pub(crate) fn sum_loss(&self, own: f32) -> f32 {
        let [sum] = self.sum_figures([own.into()]);
        sum as f32
    }

    /// What was exchanged since the last call.
    pub(crate) fn take_traffic(&self) -> Option<Traffic> {
        self.others.as_ref()?;
        Some(self.meter.take())
    }
}

/// How many values each rank has in its share of rows of this width.
fn values_in(shares: &[Range<usize>], width: usize) -> Vec<usize> {
    shares.iter().map(|share| share.len() * width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::threads::on_threads;

    #[test]
    fn rows_are_gathered_and_their_sums_scattered() {
        let found = on_threads(3, |ranks| {
            let shares = [0..1, 1..1, 1..4];
            let mut rows = Array2::from_elem((4, 2), -1.0);
            for row in shares[ranks.rank()].clone() {
                rows.row_mut(row).fill(row as f32);
            }
            ranks.gather_rows(&mut rows, &shares);
            let mut sums = &rows * (1.0 + ranks.rank() as f32);
            ranks.reduce_rows(&mut sums, &shares);
            let own: Vec<f32> = shares[ranks.rank()].clone().map(|row| sums[[row, 1]]).collect();
            (rows.column(0).to_vec(), own)
        });
        let rows = vec![0.0, 1.0, 2.0, 3.0];
        let sums = [vec![0.0], vec![], vec![6.0, 12.0, 18.0]];
        assert_eq!(found, sums.map(|own| (rows.clone(), own)));
    }

    #[test]
    fn figures_are_summed_and_flags_agreed_on() {
        let found =
            on_threads(4, |ranks| (ranks.sum_figures([0.5, ranks.rank() as f64]), ranks.any(ranks.rank() == 2)));
        assert_eq!(found, vec![([2.0, 6.0], true); 4]);
        assert_eq!(Ranks::default().sum_figures([1.5]), [1.5]);
    }
}
