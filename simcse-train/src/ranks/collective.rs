//! What all ranks do together: the exchanges of a step, and sums.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::Array2;
use simcse_tensor::Grads;

use crate::ranks::communicator::Communicator;
use crate::ranks::shares;
use crate::ranks::traffic::{Exchange, Traffic};

/// How many values of the gradient are exchanged at a time. In tests, few enough that even small
/// models take several turns.
const BUCKET: usize = if cfg!(test) { 1 << 11 } else { 1 << 20 };

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
    traffic: Arc<Mutex<Traffic>>,
}

impl Ranks {
    /// The ranks of a communicator, with the name of the host that each runs on.
    pub fn new(communicator: impl Communicator + 'static, hosts: Vec<String>) -> Self {
        Self { others: Some(Arc::new(communicator)), hosts: hosts.into(), ..Self::default() }
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
        self.measured(Exchange::Embeddings, sent, || others.all_gather(&own, &counts, all));
    }

    /// Sums `rows` over all ranks. Each gets the sums of its share; the other rows are undefined.
    pub(crate) fn reduce_rows(&self, rows: &mut Array2<f32>, shares: &[Range<usize>]) {
        let Some(others) = &self.others else { return };
        let counts = values_in(shares, rows.ncols());
        let values = rows.as_slice_mut().expect("rows are contiguous");
        let sent = values.len() - counts[others.rank()];
        let mut received = Vec::new();
        self.measured(Exchange::EmbeddingGradients, sent, || reduce_scatter(&**others, values, &counts, &mut received));
    }

    /// Sums gradients over all ranks. Pages that no rank has touched are not exchanged.
    pub(crate) fn sum(&self, grads: &mut Grads) {
        let Some(others) = &self.others else { return };
        let own: Vec<u8> = grads.touched_pages().iter().map(|&touched| touched.into()).collect();
        let all = others.all_gather_bytes(&own);
        grads.touch(|page| all.iter().any(|touched| touched[page] != 0));
        let runs = grads.touched(grads, 0..grads.layout().len());
        let mut bucket = Vec::with_capacity(BUCKET);
        let mut received = Vec::new();
        let mut sections = grads.sections_mut(runs).into_iter().peekable();
        while sections.peek().is_some() {
            let mut filled = Vec::new();
            bucket.clear();
            while let Some(section) = sections.next_if(|next| bucket.is_empty() || bucket.len() + next.len() <= BUCKET)
            {
                bucket.extend_from_slice(section);
                filled.push(section);
            }
            self.sum_values(&**others, &mut bucket, &mut received);
            let mut rest = &bucket[..];
            for section in filled {
                let (sums, others) = rest.split_at(section.len());
                section.copy_from_slice(sums);
                rest = others;
            }
        }
    }

    /// Sums values over all ranks, each of which adds up an equal part.
    fn sum_values(&self, others: &dyn Communicator, values: &mut [f32], received: &mut Vec<f32>) {
        let counts: Vec<usize> = shares::equal(values.len(), others.size()).map(|part| part.len()).collect();
        let own = shares::at(&counts, others.rank());
        let sent = values.len() - own.len() + own.len() * (others.size() - 1);
        self.measured(Exchange::Gradients, sent, || {
            reduce_scatter(others, values, &counts, received);
            let own = values[own].to_vec();
            others.all_gather(&own, &counts, values);
        });
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

    /// Times an exchange in which this rank sends `sent` values.
    fn measured(&self, exchange: Exchange, sent: usize, run: impl FnOnce()) {
        let started = std::time::Instant::now();
        run();
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.add(exchange, sent * size_of::<f32>(), started.elapsed());
    }

    /// What was exchanged since the last call.
    pub(crate) fn take_traffic(&self) -> Option<Traffic> {
        self.others.as_ref()?;
        Some(std::mem::take(&mut *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// How many values each rank has in its share of rows of this width.
fn values_in(shares: &[Range<usize>], width: usize) -> Vec<usize> {
    shares.iter().map(|share| share.len() * width).collect()
}

/// Overwrites this rank's part of `values` with its sum over all ranks, in their order.
fn reduce_scatter(others: &dyn Communicator, values: &mut [f32], counts: &[usize], received: &mut Vec<f32>) {
    let own = shares::at(counts, others.rank());
    received.resize(own.len() * others.size(), 0.0);
    others.all_to_all(values, counts, received);
    let sums = &mut values[own];
    sums.fill(0.0);
    for part in received.chunks_exact(sums.len().max(1)) {
        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
}

#[cfg(test)]
mod tests {
    use simcse_tensor::{Layout, PAGE};

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

    /// Several buckets, of which the last is not full; a table of which no rank touches some pages.
    #[test]
    fn gradients_are_summed_in_the_order_of_the_ranks() {
        let mut layout = Layout::default();
        layout.push_table("table", [8 * PAGE, 1]);
        let dense = layout.push("dense", &[3000], true, true);
        let layout = Arc::new(layout);
        // Large, small and large again: another order would give other bits.
        let value = |rank: usize, place: usize| [1e8, 1.0, -1e8][rank] + place as f32;
        let found = on_threads(3, |ranks| {
            let mut grads = Grads::zeros(layout.clone());
            let place = 2 * PAGE * ranks.rank();
            grads.set(place..place + 1, &[1.0]);
            let values = grads.slice_mut(dense);
            values.iter_mut().enumerate().for_each(|(place, of)| *of = value(ranks.rank(), place));
            ranks.sum(&mut grads);
            assert!(grads.is_untouched(6 * PAGE..8 * PAGE));
            let traffic = ranks.take_traffic().unwrap();
            (grads.values().to_vec(), traffic.bytes(Exchange::Gradients))
        });
        for (sums, sent) in &found {
            for (place, &sum) in sums[8 * PAGE..].iter().enumerate() {
                assert_eq!(sum, (value(0, place) + value(1, place)) + value(2, place), "place {place}");
            }
            let ones: Vec<usize> = (0..8 * PAGE).filter(|&place| sums[place] != 0.0).collect();
            assert_eq!(ones, [0, 2 * PAGE, 4 * PAGE]);
            // Three pages and the dense part, twice; of each, all but a third is sent.
            let values = (3 * PAGE + 3000) as f64;
            assert!((*sent as f64 / (4.0 * values * 4.0 / 3.0) - 1.0).abs() < 0.01, "{sent} bytes");
        }
    }

    #[test]
    fn figures_are_summed_and_flags_agreed_on() {
        let found =
            on_threads(4, |ranks| (ranks.sum_figures([0.5, ranks.rank() as f64]), ranks.any(ranks.rank() == 2)));
        assert_eq!(found, vec![([2.0, 6.0], true); 4]);
        assert_eq!(Ranks::default().sum_figures([1.5]), [1.5]);
    }
}
