//! What is known of epochs. Orders and counts take time, and several ask for those of the first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The order of the epoch that was asked for last, and numbers of batches.
#[derive(Debug, Default)]
pub(crate) struct EpochCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// With its seed and epoch.
    order: Option<(u64, u32, Arc<Vec<u32>>)>,
    /// By batch size, seed and epoch.
    counts: HashMap<(usize, u64, u32), usize>,
}

impl EpochCache {
    /// The order of the examples with a seed in an epoch, by `shuffle` unless it is known.
    pub(crate) fn order(&self, seed: u64, epoch: u32, shuffle: impl FnOnce() -> Vec<u32>) -> Arc<Vec<u32>> {
        if let Some((of_seed, of_epoch, order)) = &self.known().order
            && (*of_seed, *of_epoch) == (seed, epoch)
        {
            return Arc::clone(order);
        }
        self.known().order = None; // two would take twice the memory
        // Not under the lock: shuffling waits for rayon's tasks, and a thread that waits for them
        // may take on another task that needs the lock.
        let order = Arc::new(shuffle());
        self.known().order = Some((seed, epoch, Arc::clone(&order)));
        order
    }

    /// The number of batches of a size with a seed in an epoch, by `count` unless it is known.
    pub(crate) fn batches(&self, batch_size: usize, seed: u64, epoch: u32, count: impl FnOnce() -> usize) -> usize {
        let key = (batch_size, seed, epoch);
        if let Some(&known) = self.known().counts.get(&key) {
            return known;
        }
        let count = count();
        self.known().counts.insert(key, count);
        count
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
