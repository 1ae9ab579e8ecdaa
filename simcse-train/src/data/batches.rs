//! Which examples meet in a batch: a function of seed and epoch.
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

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use rayon::prelude::*;
use simcse_tensor::Named;
use simcse_tensor::rng::Philox;

use crate::data::equals::Equals;
use crate::data::examples::Examples;

/// The last word of the Philox counters of orders. Those of dropout have the training step there,
/// so no number is used twice.
pub const ORDER_STREAM: u32 = u32::MAX;

/// Whether examples with equal texts may meet in a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BatchSampler {
    /// Never: each text would be a false negative for the other. In a run, texts are equal if the
    /// model's tokenizer turns them into the same token ids. An example with a text that is equal
    /// to a text of another example in the batch waits for the next batch that can take it; those
    /// that have waited longest come first. Texts that are equal within an example do not matter.
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

/// How the examples of an epoch are arranged in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Whether examples with equal texts may meet.
    pub sampler: BatchSampler,
    /// Examples in each batch, at least 1.
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
    pub fn batches(&self, examples: &Examples, epoch: u32) -> Batches {
        assert_ne!(self.batch_size, 0, "a batch holds at least one example");
        Batches {
            order: examples.0.epochs.order(self.seed, epoch, || shuffled(examples.len() as u32, self.seed, epoch)),
            position: 0,
            batch_size: self.batch_size,
            equals: (self.sampler == BatchSampler::NoDuplicates).then(|| Equals::new(examples)),
        }
    }

    /// The number of batches in `epoch`, exact unless [`Batches::next_distinct`] finds texts that
    /// are equal although they differ. If equal texts must not meet, it depends on the order, so
    /// all of the epoch's batches are formed to count them.
    #[must_use]
    pub fn count(&self, examples: &Examples, epoch: u32) -> usize {
        if self.sampler == BatchSampler::Batch || examples.duplicates() == 0 {
            return examples.len() / self.batch_size;
        }
        let count = || self.batches(examples, epoch).count();
        examples.0.epochs.batches(self.batch_size, self.seed, epoch, count)
    }
}

/// The batches of an epoch, as indices of examples. As an iterator, it keeps examples with equal
/// texts apart; [`Batches::next_distinct`] does so for every other kind of equality, too.
#[derive(Debug, Clone)]
pub struct Batches {
    order: Arc<Vec<u32>>,
    /// How much of the order has been used.
    position: usize,
    batch_size: usize,
    /// `None` if examples with equal texts may meet.
    equals: Option<Equals>,
}

impl Batches {
    /// No batches, which take no memory.
    pub(crate) fn none() -> Self {
        Self { order: Arc::default(), position: 0, batch_size: 1, equals: None }
    }

    /// The next batch; `None` after the last one. Texts with the same key count as equal. `keys`
    /// returns the keys of all texts of the examples with the given indices, one example after
    /// another; it is called for every example of the batch, even if examples with equal texts may
    /// meet.
    ///
    /// Batches of sentences are those that would be formed if all sentences with the same key had
    /// the same text. But only the keys of examples that the batch may take are computed: if two of
    /// them have the same key, the later example waits, and the groups of equal texts of both
    /// become one group. So keys are computed for each example that a batch takes, and for each
    /// time that groups are merged: in an epoch, at most once for each different text.
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
        // For each key in the batch, a text that has it.
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
            let mut keys = keys.into_iter();
            for (position, index) in positions.into_iter().zip(indices) {
                let of_texts = keys.by_ref().take(equals.columns());
                if equals.confirm(index, position, of_texts.collect(), &mut taken) {
                    batch.push(index);
                }
            }
        }
        self.finish(&batch);
        Ok(Some(batch))
    }

    /// The positions of the next `count` examples that the batch may take: those that have waited
    /// longest come before those that have not been looked at. `None` if fewer are left.
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

    /// The indices of the examples at these positions in the order.
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

/// The numbers below `n` in an order that is a function of seed and epoch: a Fisher–Yates shuffle.
/// A random number below `m` is the high word of 64 random bits times `m` (Lemire 2019), whose bias
/// is below 2⁻³².
fn shuffled(n: u32, seed: u64, epoch: u32) -> Vec<u32> {
    // Random numbers are drawn in parallel, and apart from the swaps: the processor then waits for
    // the memory of many swaps at a time.
    const CHUNK: u32 = if cfg!(test) { 8 } else { 1 << 16 };
    let philox = Philox::new(seed);
    let choose = |last: u32| {
        let [low, high, ..] = philox.block([last, 0, epoch, ORDER_STREAM]);
        let random = u64::from(high) << 32 | u64::from(low);
        ((u128::from(random) * u128::from(last + 1)) >> 64) as u32
    };
    let mut order: Vec<u32> = (0..n).collect();
    let mut chosen = Vec::new();
    let mut end = n;
    while end > 1 {
        let start = end.saturating_sub(CHUNK).max(1);
        (start..end).into_par_iter().map(choose).collect_into_vec(&mut chosen);
        for (last, &chosen) in (start..end).zip(&chosen).rev() {
            order.swap(last as usize, chosen as usize);
        }
        end = start;
    }
    order
}

#[cfg(test)]
#[path = "tests/batches.rs"]
mod tests;
