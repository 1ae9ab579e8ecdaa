//! Which batches each step of a run takes.
//!
//! ```
//! use simcse_train::data::batches::{BatchSampler, Batching};
//! use simcse_train::data::examples::Examples;
//! use simcse_train::data::steps::Steps;
//!
//! let sentences = Examples::from_texts("numbers", (0..10).map(|i| format!("sentence {i}")), 1)?;
//! let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 2, seed: 42 };
//! // Five batches per epoch, three per step: the second step takes the two that are left.
//! let steps: Vec<_> = Steps::new(&sentences, batching, 3).take(3).collect();
//! assert_eq!(steps.iter().map(|step| step.batches.len()).collect::<Vec<_>>(), [3, 2, 3]);
//! assert_eq!(steps[1].epoch, 1.0);
//! # Ok::<(), simcse_train::Error>(())
//! ```

use std::convert::Infallible;
use std::hash::Hash;

use crate::data::batches::{Batches, Batching};
use crate::data::examples::Examples;

/// The batches of one step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Passes over the examples that are complete after this step.
    pub epoch: f64,
    /// Its batches, as indices of examples.
    pub batches: Vec<Vec<u32>>,
}

impl Step {
    /// The number of the epoch that it belongs to; the first one is 0.
    pub fn epoch_number(&self) -> u32 {
        // Its own batches are complete after it, so it ends a positive fraction into its epoch.
        self.epoch.ceil() as u32 - 1
    }
}

/// The steps of a run, an endless iterator: each epoch is followed by the next one. The last step
/// of an epoch takes the batches that are left, as in the Hugging Face Trainer.
#[derive(Clone, Debug)]
pub struct Steps {
    examples: Examples,
    batching: Batching,
    batches_per_step: usize,
    epoch: u32,
    /// Batches in the epoch, as far as is known.
    count: usize,
    /// How many of them have been taken.
    taken: usize,
    batches: Batches,
}

impl Steps {
    /// The steps over `examples`, from the first one.
    ///
    /// # Panics
    /// If `batching.batch_size` or `batches_per_step` is 0.
    pub fn new(examples: &Examples, batching: Batching, batches_per_step: usize) -> Self {
        Self::from_epoch(examples, batching, batches_per_step, 0)
    }

    /// [`Steps::new`] without the epochs before `epoch`.
    ///
    /// # Panics
    /// As [`Steps::new`].
    pub fn from_epoch(examples: &Examples, batching: Batching, batches_per_step: usize, epoch: u32) -> Self {
        assert_ne!(batches_per_step, 0, "a step has at least one batch");
        Self {
            examples: examples.clone(),
            batching,
            batches_per_step,
            epoch,
            count: batching.count(examples, epoch),
            taken: 0,
            batches: batching.batches(examples, epoch),
        }
    }

    /// How many steps `epoch` has, as far as equal texts decide.
    pub fn in_epoch(&self, epoch: u32) -> u64 {
        steps_in_epoch(&self.examples, self.batching, self.batches_per_step, epoch)
    }

    /// Passes over the examples that are complete: the [`Step::epoch`] of the last step.
    pub fn epochs_done(&self) -> f64 {
        f64::from(self.epoch) + self.taken as f64 / self.count.max(1) as f64
    }

    /// The next step, of batches as in [`Batches::next_distinct`]. If keys make an epoch shorter
    /// than [`Batching::count`], the next epoch begins earlier. `None` only if the examples do not
    /// have enough different keys for a single batch.
    ///
    /// # Errors
    /// Those of `keys`.
    pub fn next_distinct<K: Eq + Hash, E>(
        &mut self,
        mut keys: impl FnMut(&[u32]) -> Result<Vec<K>, E>,
    ) -> Result<Option<Step>, E> {
        self.next_of(|batches| batches.next_distinct(&mut keys))
    }

    /// The next step, of what `next` takes from the batches of an epoch.
    fn next_of<E>(
        &mut self,
        mut next: impl FnMut(&mut Batches) -> Result<Option<Vec<u32>>, E>,
    ) -> Result<Option<Step>, E> {
        loop {
            if self.taken == self.count {
                self.begin(self.epoch + 1);
            }
            let mut batches = Vec::new();
            while batches.len() < self.batches_per_step && self.taken < self.count {
                match next(&mut self.batches)? {
                    Some(batch) => {
                        batches.push(batch);
                        self.taken += 1;
                    }
                    None => self.count = self.taken,
                }
            }
            if !batches.is_empty() {
                return Ok(Some(Step { epoch: self.epochs_done(), batches }));
            }
            // The epoch turned out to be over, so the next one begins, which has batches if this
            // one had any.
            if self.count == 0 {
                return Ok(None);
            }
        }
    }

    fn begin(&mut self, epoch: u32) {
        // The memory of the last epoch is released before the next one takes as much.
        self.batches = Batches::none();
        self.epoch = epoch;
        self.count = self.batching.count(&self.examples, epoch);
        self.taken = 0;
        self.batches = self.batching.batches(&self.examples, epoch);
    }
}

impl Iterator for Steps {
    type Item = Step;

    /// The next step, of batches that keep only equal texts apart; `None` only if there are too few
    /// different ones for a single batch.
    fn next(&mut self) -> Option<Step> {
        let Ok(step) = self.next_of(|batches| Ok::<_, Infallible>(batches.next()));
        step
    }
}

/// How many steps `epoch` has, as far as equal texts decide. Where texts are equal, this goes
/// through the whole epoch.
pub fn steps_in_epoch(examples: &Examples, batching: Batching, batches_per_step: usize, epoch: u32) -> u64 {
    batching.count(examples, epoch).div_ceil(batches_per_step) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::data::batches::BatchSampler;

    #[test]
    fn the_last_step_of_an_epoch_takes_the_batches_that_are_left() {
        let sentences = Examples::from_texts("test", (0..11).map(|i| format!("sentence {i}")), 1).unwrap();
        let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 2, seed: 3 };
        let mut steps = Steps::new(&sentences, batching, 3);
        assert_eq!((steps.in_epoch(0), steps.in_epoch(1)), (2, 2));
        let taken: Vec<_> = steps.by_ref().take(4).map(|step| (step.epoch, step.batches.len())).collect();
        assert_eq!(taken, [(0.6, 3), (1.0, 2), (1.6, 3), (2.0, 2)]);
        let again: Vec<_> = Steps::new(&sentences, batching, 3).skip(4).take(1).map(|step| step.batches).collect();
        assert_eq!(again, [steps.next().unwrap().batches]);
    }

    #[test]
    fn an_epoch_that_turns_out_shorter_is_followed_by_the_next() {
        let sentences = Examples::from_texts("test", (0..8).map(|i| format!("sentence {i}")), 1).unwrap();
        let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 2, seed: 3 };
        // Six sentences have the same key: an epoch has two batches, not four.
        let keys = |indices: &[u32]| Ok::<_, Infallible>(indices.iter().map(|&i| i.min(2)).collect::<Vec<_>>());
        let taken = |batches_per_step| {
            let mut steps = Steps::new(&sentences, batching, batches_per_step);
            let mut next = || steps.next_distinct(keys).unwrap().unwrap();
            [next(), next(), next()].map(|step| (step.epoch, step.batches.len()))
        };
        assert_eq!(taken(1), [(0.25, 1), (0.5, 1), (1.25, 1)]);
        assert_eq!(taken(2), [(0.5, 2), (1.5, 2), (2.5, 2)]);
        assert_eq!(taken(3), [(1.0, 2), (2.0, 2), (3.0, 2)]);
        let same = |indices: &[u32]| Ok::<_, Infallible>(vec![0; indices.len()]);
        assert!(Steps::new(&sentences, batching, 1).next_distinct(same).unwrap().is_none());
    }

    proptest! {
        /// A run that is resumed in the last epoch it had begun, and takes the steps of that epoch
        /// again until as many epochs are done.
        #[test]
        fn a_run_resumed_after_any_step_takes_the_same_steps(
            texts in prop::collection::vec(0u8..40, 9..60),
            classes in 1u8..40,
            batch_size in 1usize..6,
            batches_per_step in 1usize..4,
            seed: u64,
        ) {
            let sentences = Examples::from_texts("test", texts.iter().map(u8::to_string), 1).unwrap();
            let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size, seed };
            let keys = |indices: &[u32]| {
                Ok::<_, Infallible>(indices.iter().map(|&index| texts[index as usize] % classes).collect())
            };
            let next = |steps: &mut Steps| {
                let Ok(step) = steps.next_distinct(keys);
                step.map(|step| (step.epoch, step.batches))
            };
            let mut whole = Steps::new(&sentences, batching, batches_per_step);
            let expected: Vec<_> = (0..20).map_while(|_| next(&mut whole)).collect();
            let different: HashSet<_> = texts.iter().map(|text| text % classes).collect();
            prop_assert_eq!(expected.len(), if different.len() < batch_size { 0 } else { 20 });
            for (done, (epochs, _)) in expected.iter().enumerate() {
                let mut steps = Steps::from_epoch(&sentences, batching, batches_per_step, *epochs as u32);
                while steps.epochs_done() < *epochs {
                    next(&mut steps);
                }
                let rest: Vec<_> = (done + 1..20).map_while(|_| next(&mut steps)).collect();
                prop_assert_eq!(&rest[..], &expected[done + 1..]);
            }
        }
    }

    #[test]
    fn too_few_sentences_make_no_step() {
        let sentences = Examples::from_texts("test", ["one", "two"], 1).unwrap();
        let batching = Batching { sampler: BatchSampler::Batch, batch_size: 3, seed: 3 };
        assert!(Steps::new(&sentences, batching, 1).next().is_none());
    }
}
