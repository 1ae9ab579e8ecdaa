//! Which sentences meet in a batch: a function of seed and epoch.
//!
//! The order of an epoch is a Fisher–Yates shuffle whose random numbers come from Philox at counter
//! `[position, 0, epoch, ORDER_STREAM]`. Batches are consecutive parts of that order; a last
//! incomplete batch is dropped.
//!
//! ```
//! use simcse_train::data::batches::{BatchSampler, Batching};
//! use simcse_train::data::examples::Examples;
//!
//! let sentences = Examples::from_texts("five lines", ["one", "two", "two", "two", "six"], 1)?;
//! let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 2, seed: 42 };
//! for batch in batching.batches(&sentences, 0) {
//!     let texts = sentences.select(&batch);
//!     assert!(texts.len() == 2 && texts[0] != texts[1]);
//! }
//! # Ok::<(), simcse_train::Error>(())
//! ```

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

use simcse_tensor::Named;
use simcse_tensor::rng::Philox;

use crate::data::examples::Examples;

/// The last word of the Philox counters of orders. Those of dropout have the training step there,
/// so no number is used twice.
pub const ORDER_STREAM: u32 = u32::MAX;

/// Whether equal sentences may meet in a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BatchSampler {
    /// Never: each would be a false negative for the other. In a run, sentences are equal if the
    /// model's tokenizer turns them into the same token ids. A sentence that is equal to one in the
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
    pub fn batches(&self, sentences: &Examples, epoch: u32) -> Batches {
        assert_ne!(self.batch_size, 0, "a batch holds at least one sentence");
        Batches {
            order: shuffled(sentences.len() as u32, self.seed, epoch),
            position: 0,
            batch_size: self.batch_size,
            equals: (self.sampler == BatchSampler::NoDuplicates).then(|| Equals::new(sentences)),
        }
    }

    /// The number of batches in `epoch`, exact unless [`Batches::next_distinct`] finds sentences
    /// that are equal although their texts differ. If equal texts must not meet, it depends on the
    /// order, so all of the epoch's batches are formed to count them.
    #[must_use]
    pub fn count(&self, sentences: &Examples, epoch: u32) -> usize {
        if self.sampler == BatchSampler::Batch || sentences.duplicates() == 0 {
            return sentences.len() / self.batch_size;
        }
        self.batches(sentences, epoch).count()
    }
}

/// The batches of an epoch, as indices of sentences. As an iterator, it keeps sentences with the
/// same text apart; [`Batches::next_distinct`] does so for every other kind of equality, too.
#[derive(Debug, Clone)]
pub struct Batches {
    order: Vec<u32>,
    /// How much of the order has been used.
    position: usize,
    batch_size: usize,
    /// `None` if equal sentences may meet.
    equals: Option<Equals>,
}

impl Batches {
    /// No batches, which take no memory.
    pub(crate) fn none() -> Self {
        Self { order: Vec::new(), position: 0, batch_size: 1, equals: None }
    }

    /// The next batch; `None` after the last one. Sentences with the same key count as equal, like
    /// those with the same text. `keys` returns the keys of the sentences with the given indices;
    /// it is called for every sentence of the batch, even if equal sentences may meet.
    ///
    /// The batches are those that would be formed if all sentences with the same key had the same
    /// text. But only the keys of sentences that the batch may take are computed: if two of them
    /// are the same, the later sentence waits, and the groups of equal sentences of both become one
    /// group. So a key is computed for each sentence that a batch takes, and for each time that
    /// groups are merged: in an epoch, at most once for each different text.
    ///
    /// # Errors
    /// Those of `keys`.
    ///
    /// ```
    /// use simcse_train::data::batches::{BatchSampler, Batching};
    /// use simcse_train::data::examples::Examples;
    ///
    /// let sentences = Examples::from_texts("four lines", ["one", "One", "two", "Two"], 1)?;
    /// let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 2, seed: 42 };
    /// let mut batches = batching.batches(&sentences, 0);
    /// let lower_case = |indices: &[u32]| -> Result<Vec<String>, simcse_train::Error> {
    ///     Ok(sentences.select(indices).iter().map(|text| text.to_lowercase()).collect())
    /// };
    /// while let Some(batch) = batches.next_distinct(lower_case)? {
    ///     let texts = lower_case(&batch)?;
    ///     assert_ne!(texts[0], texts[1]);
    /// }
    /// # Ok::<(), simcse_train::Error>(())
    /// ```
    pub fn next_distinct<K: Eq + Hash, E>(
        &mut self,
        mut keys: impl FnMut(&[u32]) -> Result<Vec<K>, E>,
    ) -> Result<Option<Vec<u32>>, E> {
        let mut batch = Vec::with_capacity(self.batch_size);
        // For each key in the batch, the group of the sentence that has it.
        let mut taken = HashMap::with_capacity(self.batch_size);
        while batch.len() < self.batch_size {
            let Some(positions) = self.candidates(self.batch_size - batch.len()) else {
                return Ok(None);
            };
            let indices = self.at(&positions);
            let keys = keys(&indices)?;
            let Some(equals) = &mut self.equals else {
                return Ok(Some(indices));
            };
            for ((position, index), key) in positions.into_iter().zip(indices).zip(keys) {
                let group = equals.group(index);
                match taken.entry(key) {
                    Entry::Vacant(entry) => {
                        entry.insert(group);
                        batch.push(index);
                    }
                    Entry::Occupied(entry) => equals.merge(group, *entry.get(), position),
                }
            }
        }
        self.finish(&batch);
        Ok(Some(batch))
    }

    /// The positions of the next `count` sentences that the batch may take, in ascending order:
    /// those that have waited longest come before those that have not been looked at. `None` if
    /// fewer are left.
    fn candidates(&mut self, count: usize) -> Option<Vec<u32>> {
        let Self { order, position, equals, .. } = self;
        let Some(equals) = equals else {
            let start = *position;
            *position = start.checked_add(count).filter(|&end| end <= order.len())?;
            return Some((start as u32..*position as u32).collect());
        };
        let mut candidates = equals.longest_waiting(order, count);
        while candidates.len() < count {
            let &index = order.get(*position)?;
            if equals.admits(index, *position as u32) {
                candidates.push(*position as u32);
            }
            *position += 1;
        }
        Some(candidates)
    }

    /// The indices of the sentences at these positions in the order.
    fn at(&self, positions: &[u32]) -> Vec<u32> {
        positions.iter().map(|&position| self.order[position as usize]).collect()
    }

    fn finish(&mut self, batch: &[u32]) {
        if let Some(equals) = &mut self.equals {
            equals.finish(batch);
        }
    }
}

impl Iterator for Batches {
    type Item = Vec<u32>;

    fn next(&mut self) -> Option<Vec<u32>> {
        let positions = self.candidates(self.batch_size)?;
        let batch = self.at(&positions);
        self.finish(&batch);
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
///
/// Groups that turn out to be equal are merged, and so are their queues. Only sentences that the
/// same batch may take are compared, and the heads of their groups' queues are not in the heap
/// until the batch is complete. So no merged group ever has two heads there.
#[derive(Debug, Clone)]
struct Equals {
    /// For each sentence, one that is equal to it, or itself: disjoint sets, in which the sentence
    /// at the end of the chain names the group.
    parents: Vec<u32>,
    /// For each group, the number of the last batch that took, or may take, one of its sentences.
    last_batch: Vec<u32>,
    /// The number of the current batch, from 1.
    batch: u32,
    /// The first waiting position of each group that has one, except for groups in the current
    /// batch; the earliest is on top.
    first: BinaryHeap<Reverse<u32>>,
    /// All waiting positions of each group; the earliest is on top.
    waiting: HashMap<u32, BinaryHeap<Reverse<u32>>>,
}

impl Equals {
    fn new(sentences: &Examples) -> Self {
        Self {
            parents: sentences.groups().to_vec(),
            last_batch: vec![0; sentences.len()],
            batch: 1,
            first: BinaryHeap::new(),
            waiting: HashMap::new(),
        }
    }

    /// The group of sentence `index`.
    fn group(&mut self, index: u32) -> u32 {
        let mut index = index as usize;
        while self.parents[index] as usize != index {
            // Skipping every other parent keeps the chains short.
            self.parents[index] = self.parents[self.parents[index] as usize];
            index = self.parents[index] as usize;
        }
        index as u32
    }

    /// Removes the sentences that have waited longest, one from each group and at most `count`, and
    /// returns their positions in `order`.
    fn longest_waiting(&mut self, order: &[u32], count: usize) -> Vec<u32> {
        let mut positions = Vec::with_capacity(count);
        while positions.len() < count
            && let Some(Reverse(position)) = self.first.pop()
        {
            let group = self.group(order[position as usize]);
            self.last_batch[group as usize] = self.batch;
            if let Some(queue) = self.waiting.get_mut(&group) {
                queue.pop();
            }
            positions.push(position);
        }
        positions
    }

    /// Whether the batch may take sentence `index`, at `position` in the order. If not, the
    /// sentence starts to wait.
    fn admits(&mut self, index: u32, position: u32) -> bool {
        let group = self.group(index);
        let last_batch = &mut self.last_batch[group as usize];
        let admitted = *last_batch != self.batch;
        if admitted {
            *last_batch = self.batch;
        } else {
            self.waiting.entry(group).or_default().push(Reverse(position));
        }
        admitted
    }

    /// Merges `group` into another one that the batch has taken a sentence of. The sentence of
    /// `group` that the batch was about to take, at `position`, waits.
    fn merge(&mut self, group: u32, into: u32, position: u32) {
        self.parents[group as usize] = into;
        let mut queue = self.waiting.remove(&group).unwrap_or_default();
        queue.push(Reverse(position));
        self.waiting.entry(into).or_default().append(&mut queue);
    }

    /// Ends a batch: the next one may take sentences that are equal to those of this one.
    fn finish(&mut self, batch: &[u32]) {
        self.batch += 1;
        for &index in batch {
            let group = self.group(index);
            match self.waiting.get(&group).map(BinaryHeap::peek) {
                Some(Some(&head)) => self.first.push(head),
                Some(None) => _ = self.waiting.remove(&group),
                None => {}
            }
        }
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
#[path = "tests/batches.rs"]
mod tests;
