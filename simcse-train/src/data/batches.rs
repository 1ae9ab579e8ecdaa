//! Which sentences meet in a batch: a function of seed and epoch.
//!
//! The order of an epoch is a Fisher–Yates shuffle whose random numbers come from Philox at counter
//! `[position, 0, epoch, ORDER_STREAM]`. Batches are consecutive parts of that order; a last
//! incomplete batch is dropped.
//!
//! ```
//! use simcse_train::data::batches::{BatchSampler, Batching};
//! use simcse_train::data::sentences::Sentences;
//!
//! let sentences = Sentences::from_texts("five lines", ["one", "two", "two", "two", "six"], 1)?;
//! let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 2, seed: 42 };
//! for batch in batching.batches(&sentences, 0) {
//!     let texts = sentences.select(&batch);
//!     assert!(texts.len() == 2 && texts[0] != texts[1]);
//! }
//! # Ok::<(), simcse_train::Error>(())
//! ```

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use simcse_tensor::Named;
use simcse_tensor::rng::Philox;

use crate::data::sentences::Sentences;

/// The last word of the Philox counters of orders. Those of dropout have the training step there,
/// so no number is used twice.
pub const ORDER_STREAM: u32 = u32::MAX;

/// Whether equal sentences may meet in a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BatchSampler {
    /// Never: each would be a false negative for the other. A sentence that is equal to one in the
    /// batch waits for the next batch that can take it; those that have waited longest come first.
    /// sentence-transformers: `BatchSamplers.NO_DUPLICATES`.
    #[default]
    NoDuplicates,
    /// They may, wherever the order brings them together. sentence-transformers:
    /// `BatchSamplers.BATCH_SAMPLER`, its default.
    Batch,
}

impl Named for BatchSampler {
    const ALL: &'static [Self] = &[Self::NoDuplicates, Self::Batch];

    fn name(self) -> &'static str {
        match self {
            Self::NoDuplicates => "no-duplicates",
            Self::Batch => "batch",
        }
    }
}

/// How the sentences of an epoch are arranged in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Whether equal sentences may meet.
    pub sampler: BatchSampler,
    /// Sentences in each batch, at least 1.
    pub batch_size: usize,
    /// The seed of the orders.
    pub seed: u64,
}

impl Batching {
    /// The batches of `epoch`; the first epoch is 0. To resume in the middle of one,
    /// [`Iterator::skip`] the batches that have been used.
    ///
    /// # Panics
    /// If the batch size is 0.
    #[must_use]
    pub fn batches(&self, sentences: &Sentences, epoch: u32) -> Batches {
        assert_ne!(self.batch_size, 0, "a batch holds at least one sentence");
        let unique = self.sampler == BatchSampler::Batch || sentences.duplicates() == 0;
        Batches {
            order: shuffled(sentences.len() as u32, self.seed, epoch),
            position: 0,
            batch_size: self.batch_size,
            equals: (!unique).then(|| Equals::new(sentences)),
        }
    }

    /// The exact number of batches in `epoch`. If equal sentences must not meet, it depends on the
    /// order, so all of the epoch's batches are formed to count them.
    #[must_use]
    pub fn count(&self, sentences: &Sentences, epoch: u32) -> usize {
        if self.sampler == BatchSampler::Batch || sentences.duplicates() == 0 {
            return sentences.len() / self.batch_size;
        }
        self.batches(sentences, epoch).count()
    }
}

/// The batches of an epoch, as indices of sentences.
#[derive(Debug, Clone)]
pub struct Batches {
    order: Vec<u32>,
    /// How much of the order has been used.
    position: usize,
    batch_size: usize,
    /// `None` if equal sentences may meet or there are none.
    equals: Option<Equals>,
}

impl Iterator for Batches {
    type Item = Vec<u32>;

    fn next(&mut self) -> Option<Vec<u32>> {
        let Some(equals) = &mut self.equals else {
            let batch = self.order.get(self.position..self.position + self.batch_size)?;
            self.position += self.batch_size;
            return Some(batch.to_vec());
        };
        let mut batch = equals.begin(&self.order, self.batch_size);
        while batch.len() < self.batch_size {
            let &index = self.order.get(self.position)?;
            if equals.admits(index, self.position as u32) {
                batch.push(index);
            }
            self.position += 1;
        }
        Some(batch)
    }
}

/// Keeps equal sentences apart.
///
/// A sentence that the current batch cannot take waits. The obvious way, to scan all that wait at
/// the start of each batch, is quadratic when many sentences are equal. But a batch takes at most
/// one sentence of each group, so only the first one waiting in each group can be next. Therefore
/// each group has a queue, and a heap holds the heads of the queues: a batch then looks at no more
/// sentences than it takes, however many are waiting.
#[derive(Debug, Clone)]
struct Equals {
    sentences: Sentences,
    /// For each group, the number of the last batch that took one of its sentences.
    last_batch: Vec<u32>,
    /// The number of the current batch, from 1.
    batch: u32,
    /// The first waiting position of each group that has one; the earliest is on top.
    first: BinaryHeap<Reverse<u32>>,
    /// All waiting positions of each group, in order.
    waiting: HashMap<u32, VecDeque<u32>>,
}

impl Equals {
    fn new(sentences: &Sentences) -> Self {
        let last_batch = vec![0; sentences.len()];
        let sentences = sentences.clone();
        Self { sentences, last_batch, batch: 0, first: BinaryHeap::new(), waiting: HashMap::new() }
    }

    /// Starts a batch with the sentences that have waited longest, one from each group.
    fn begin(&mut self, order: &[u32], batch_size: usize) -> Vec<u32> {
        self.batch += 1;
        let mut batch = Vec::with_capacity(batch_size);
        // The new heads of the queues go back to the heap only when the batch is complete: until
        // then their groups must not be popped again.
        let mut next = Vec::new();
        while batch.len() < batch_size {
            let Some(Reverse(position)) = self.first.pop() else {
                break;
            };
            let index = order[position as usize];
            let group = self.sentences.groups()[index as usize];
            self.last_batch[group as usize] = self.batch;
            batch.push(index);
            if let Some(queue) = self.waiting.get_mut(&group) {
                queue.pop_front();
                match queue.front() {
                    Some(&position) => next.push(Reverse(position)),
                    None => _ = self.waiting.remove(&group),
                }
            }
        }
        self.first.extend(next);
        batch
    }

    /// Whether the batch may take sentence `index`, at `position` in the order. If not, the
    /// sentence starts to wait.
    fn admits(&mut self, index: u32, position: u32) -> bool {
        let group = self.sentences.groups()[index as usize];
        let last_batch = &mut self.last_batch[group as usize];
        let admitted = *last_batch != self.batch;
        if admitted {
            *last_batch = self.batch;
        } else {
            // Positions come in ascending order, so each queue is sorted and only its head is in
            // the heap.
            let queue = self.waiting.entry(group).or_default();
            if queue.is_empty() {
                self.first.push(Reverse(position));
            }
            queue.push_back(position);
        }
        admitted
    }
}

/// The numbers below `n` in an order that is a function of seed and epoch: a Fisher–Yates shuffle.
/// A random number below `m` is the high word of 64 random bits times `m` (Lemire 2019), whose bias
/// is below 2⁻³².
fn shuffled(n: u32, seed: u64, epoch: u32) -> Vec<u32> {
    let philox = Philox::new(seed);
    let mut order: Vec<u32> = (0..n).collect();
    for last in (1..n).rev() {
        let [low, high, ..] = philox.block([last, 0, epoch, ORDER_STREAM]);
        let random = u64::from(high) << 32 | u64::from(low);
        let chosen = (u128::from(random) * u128::from(last + 1)) >> 64;
        order.swap(last as usize, chosen as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn sentences(texts: &[u8]) -> Sentences {
        Sentences::from_texts("test", texts.iter().map(|text| format!("sentence {text}")), 1).unwrap()
    }

    /// Each batch scans all sentences that are left, in order.
    fn naive(order: &[u32], texts: &[u8], batch_size: usize) -> Vec<Vec<u32>> {
        let mut waiting = order.to_vec();
        let mut batches = Vec::new();
        loop {
            let mut batch = Vec::new();
            let mut seen = HashSet::new();
            waiting.retain(|&index| {
                let taken = batch.len() < batch_size && seen.insert(texts[index as usize]);
                if taken {
                    batch.push(index);
                }
                !taken
            });
            if batch.len() < batch_size {
                return batches;
            }
            batches.push(batch);
        }
    }

    proptest! {
        #[test]
        fn no_duplicates_equals_the_naive_scan(
            texts in prop::collection::vec(0u8..20, 1..80),
            batch_size in 1usize..9,
            seed: u64,
            epoch: u32,
        ) {
            let sentences = sentences(&texts);
            let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size, seed };
            let batches: Vec<_> = batching.batches(&sentences, epoch).collect();
            prop_assert_eq!(&batches, &naive(&shuffled(texts.len() as u32, seed, epoch), &texts, batch_size));
            prop_assert_eq!(batches.len(), batching.count(&sentences, epoch));
            let mut indices = HashSet::new();
            for batch in &batches {
                prop_assert!(batch.iter().all(|&index| indices.insert(index)), "once per epoch");
                let distinct: HashSet<_> = batch.iter().map(|&index| sentences.get(index as usize)).collect();
                prop_assert_eq!(distinct.len(), batch_size);
            }
            let resumed: Vec<_> = batching.batches(&sentences, epoch).skip(1).collect();
            prop_assert_eq!(&resumed[..], batches.get(1..).unwrap_or_default());
        }

        #[test]
        fn batches_are_consecutive_parts_of_the_order(n in 1u8..99, batch_size in 1usize..9, seed: u64, epoch: u32) {
            let order = shuffled(u32::from(n), seed, epoch);
            let expected: Vec<_> = order.chunks_exact(batch_size).map(<[u32]>::to_vec).collect();
            let equal = sentences(&vec![7; n.into()]);
            let different = sentences(&(0..n).collect::<Vec<_>>());
            for (sampler, sentences) in [(BatchSampler::Batch, equal), (BatchSampler::NoDuplicates, different)] {
                let batching = Batching { sampler, batch_size, seed };
                prop_assert_eq!(&batching.batches(&sentences, epoch).collect::<Vec<_>>(), &expected);
                prop_assert_eq!(batching.count(&sentences, epoch), expected.len());
            }
        }

        #[test]
        fn orders_are_permutations_that_depend_on_seed_and_epoch(seed: u64, epoch in 0u32..99) {
            let order = shuffled(50, seed, epoch);
            prop_assert_ne!(&order, &shuffled(50, seed, epoch + 1));
            prop_assert_ne!(&order, &shuffled(50, seed ^ 1, epoch));
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_permutations_are_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        (0..24_000).for_each(|epoch| *counts.entry(shuffled(4, 42, epoch)).or_insert(0.0) += 1.0);
        let chi_squared: f64 = counts.values().map(|count: &f64| (count - 1000.0).powi(2) / 1000.0).sum();
        assert_eq!(counts.len(), 24);
        assert!(chi_squared < 49.7, "{chi_squared}: 23 degrees of freedom, p = 0.001");
    }

    #[test]
    fn a_million_sentences_half_of_them_equal_are_batched_in_linear_time() {
        let half = |i: u32| {
            if i.is_multiple_of(2) { "the same sentence".to_owned() } else { format!("sentence {i}") }
        };
        let sentences = Sentences::from_texts("test", (0..1_000_000).map(half), 1).unwrap();
        let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 64, seed: 1 };
        assert_eq!(batching.count(&sentences, 0), 500_000 / 63);
    }
}
