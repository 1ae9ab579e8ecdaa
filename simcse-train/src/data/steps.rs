//! Which batches each step of a run takes.
//!
//! ```
//! use simcse_train::data::batches::{BatchSampler, Batching};
//! use simcse_train::data::sentences::Sentences;
//! use simcse_train::data::steps::Steps;
//!
//! let sentences = Sentences::from_texts("numbers", (0..10).map(|i| format!("sentence {i}")), 1)?;
//! let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 2, seed: 42 };
//! // Five batches per epoch, three per step: the second step takes the two that are left.
//! let steps: Vec<_> = Steps::new(&sentences, batching, 3).take(3).collect();
//! assert_eq!(steps.iter().map(|step| step.batches.len()).collect::<Vec<_>>(), [3, 2, 3]);
//! assert_eq!(steps[1].epoch, 1.0);
//! # Ok::<(), simcse_train::Error>(())
//! ```

use crate::data::batches::{Batches, Batching};
use crate::data::sentences::Sentences;

/// The batches of one step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Passes over the sentences that are complete after this step.
    pub epoch: f64,
    /// Its batches, as indices of sentences.
    pub batches: Vec<Vec<u32>>,
}

/// The steps of a run, an endless iterator: each epoch is followed by the next one. The last step
/// of an epoch takes the batches that are left, as in the Hugging Face Trainer.
#[derive(Clone, Debug)]
pub struct Steps {
    sentences: Sentences,
    batching: Batching,
    batches_per_step: usize,
    epoch: u32,
    /// Batches in the epoch.
    count: usize,
    /// How many of them have been taken.
    taken: usize,
    batches: Batches,
}

impl Steps {
    /// The steps over `sentences`, from the first one.
    ///
    /// # Panics
    /// If `batching.batch_size` or `batches_per_step` is 0.
    pub fn new(sentences: &Sentences, batching: Batching, batches_per_step: usize) -> Self {
        assert_ne!(batches_per_step, 0, "a step has at least one batch");
        Self {
            sentences: sentences.clone(),
            batching,
            batches_per_step,
            epoch: 0,
            count: batching.count(sentences, 0),
            taken: 0,
            batches: batching.batches(sentences, 0),
        }
    }

    /// How many steps `epoch` has.
    pub fn in_epoch(&self, epoch: u32) -> u64 {
        steps_in_epoch(&self.sentences, self.batching, self.batches_per_step, epoch)
    }
}

impl Iterator for Steps {
    type Item = Step;

    /// The next step; `None` only if there are too few sentences for a single batch.
    fn next(&mut self) -> Option<Step> {
        if self.taken == self.count {
            self.epoch += 1;
            self.count = self.batching.count(&self.sentences, self.epoch);
            self.taken = 0;
            self.batches = self.batching.batches(&self.sentences, self.epoch);
        }
        let batches: Vec<_> = self.batches.by_ref().take(self.batches_per_step).collect();
        if batches.is_empty() {
            return None;
        }
        self.taken += batches.len();
        let epoch = f64::from(self.epoch) + self.taken as f64 / self.count as f64;
        Some(Step { epoch, batches })
    }
}

/// How many steps `epoch` has. Where sentences are equal, this goes through the whole epoch.
pub fn steps_in_epoch(sentences: &Sentences, batching: Batching, batches_per_step: usize, epoch: u32) -> u64 {
    batching.count(sentences, epoch).div_ceil(batches_per_step) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batches::BatchSampler;

    #[test]
    fn the_last_step_of_an_epoch_takes_the_batches_that_are_left() {
        let sentences = Sentences::from_texts("test", (0..11).map(|i| format!("sentence {i}")), 1).unwrap();
        let batching = Batching { sampler: BatchSampler::NoDuplicates, batch_size: 2, seed: 3 };
        let mut steps = Steps::new(&sentences, batching, 3);
        assert_eq!((steps.in_epoch(0), steps.in_epoch(1)), (2, 2));
        let taken: Vec<_> = steps.by_ref().take(4).map(|step| (step.epoch, step.batches.len())).collect();
        assert_eq!(taken, [(0.6, 3), (1.0, 2), (1.6, 3), (2.0, 2)]);
        let again: Vec<_> = Steps::new(&sentences, batching, 3).skip(4).take(1).map(|step| step.batches).collect();
        assert_eq!(again, [steps.next().unwrap().batches]);
    }

    #[test]
    fn too_few_sentences_make_no_step() {
        let sentences = Sentences::from_texts("test", ["one", "two"], 1).unwrap();
        let batching = Batching { sampler: BatchSampler::Batch, batch_size: 3, seed: 3 };
        assert!(Steps::new(&sentences, batching, 1).next().is_none());
    }
}
