//! Keeps examples with equal texts out of each other's batches.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

use crate::data::equal_texts::TextSet;
use crate::data::examples::Examples;

/// Decides which examples a batch may take.
///
/// An example that the current batch cannot take waits. The obvious way, to scan all that wait at
/// the start of each batch, is quadratic when many texts are equal. But equal texts form groups,
/// and a batch takes at most one example of each group. So an example waits in the queue of one
/// group that the batch has taken, and only the first example in that queue can be next.
///
/// A heap holds the examples that are to be looked at next. The first one of a queue moves there
/// when its group is free again: when the batch is complete, for all groups that it took. A batch
/// of sentences then looks at no more of them than it takes, however many are waiting. An example
/// of several texts may turn out to have to wait for another group; then it moves to that queue,
/// and the first examples in the queues of its other groups are looked at in its place. In a random
/// order, this happens a few times per example.
///
/// So at any time, if a group is not taken and its queue holds examples, then the heap holds an
/// example of the group that is earlier in the order. Examples are thus taken as early as possible,
/// as if all that wait were scanned.
///
/// Groups that turn out to be equal are merged, and so are their queues. Both belong to the current
/// batch when that happens, so none of the above changes.
#[derive(Debug, Clone)]
pub(crate) struct Equals {
    examples: Examples,
    /// The texts that share their group with another one. The others need no looking up, which
    /// would take several times as long as all the rest.
    repeated: TextSet,
    /// Groups that turned out to be equal to another, and that one: a chain, whose end names the
    /// group.
    merged: HashMap<u32, u32>,
    /// For each group of several texts, the number of the last batch that took, or may take, one of
    /// its texts.
    last_batch: Vec<u32>,
    /// The number of the current batch, from 1.
    batch: u32,
    /// Positions of waiting examples to look at next; the earliest is on top.
    next: BinaryHeap<Reverse<u32>>,
    /// For each group, positions of examples that wait for it; the earliest is on top.
    waiting: HashMap<u32, BinaryHeap<Reverse<u32>>>,
}

impl Equals {
    pub(crate) fn new(examples: &Examples) -> Self {
        Self {
            examples: examples.clone(),
            repeated: examples.0.equal.repeated.clone(),
            merged: HashMap::new(),
            last_batch: vec![0; examples.groups().len()],
            batch: 1,
            next: BinaryHeap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Texts per example.
    pub(crate) fn columns(&self) -> usize {
        self.examples.columns()
    }

    /// The texts of example `index`.
    fn texts(&self, index: u32) -> impl Iterator<Item = u32> + use<> {
        let columns = self.columns() as u32;
        index * columns..(index + 1) * columns
    }

    /// The group of a text, if it shares it with another one.
    fn repeated_group(&mut self, text: u32) -> Option<u32> {
        self.repeated.contains(text).then(|| self.group(text))
    }

    /// The group of a text.
    fn group(&mut self, text: u32) -> u32 {
        let mut group = self.examples.groups()[text as usize];
        while let Some(&into) = self.merged.get(&group) {
            if let Some(&next) = self.merged.get(&into) {
                self.merged.insert(group, next); // halves the chain for the next search
            }
            group = into;
        }
        group
    }

    fn is_taken(&self, group: u32) -> bool {
        self.last_batch[group as usize] == self.batch
    }

    /// Takes waiting examples, at most `count`, those that have waited longest, and returns their
    /// positions in `order`.
    pub(crate) fn longest_waiting(&mut self, order: &[u32], count: usize) -> Vec<u32> {
        let mut positions = Vec::with_capacity(count);
        while positions.len() < count
            && let Some(Reverse(position)) = self.next.pop()
        {
            let index = order[position as usize];
            if self.admits(index, position) {
                positions.push(position);
            } else {
                self.look_beyond(index);
            }
        }
        positions
    }

    /// Whether the batch may take example `index`, at `position` in the order. If not, the example
    /// starts to wait.
    pub(crate) fn admits(&mut self, index: u32, position: u32) -> bool {
        for text in self.texts(index) {
            if let Some(group) = self.repeated_group(text)
                && self.is_taken(group)
            {
                self.wait(group, position);
                return false;
            }
        }
        for text in self.texts(index) {
            if let Some(group) = self.repeated_group(text) {
                self.last_batch[group as usize] = self.batch;
            }
        }
        true
    }

    fn wait(&mut self, group: u32, position: u32) {
        self.waiting.entry(group).or_default().push(Reverse(position));
    }

    /// After example `index`, which was to be taken next, has started to wait for one of its
    /// groups: has the first examples that wait for its other groups looked at.
    fn look_beyond(&mut self, index: u32) {
        for text in self.texts(index) {
            if let Some(group) = self.repeated_group(text)
                && !self.is_taken(group)
            {
                self.release(group);
            }
        }
    }

    /// Moves the first example that waits for a group to those that are looked at next.
    fn release(&mut self, group: u32) {
        let Some(queue) = self.waiting.get_mut(&group) else { return };
        self.next.extend(queue.pop());
        if queue.is_empty() {
            self.waiting.remove(&group);
        }
    }

    /// Whether the batch takes example `index`, at `position` in the order, which it
    /// [admitted](Self::admits), now that the `keys` of its texts are known. If another example of
    /// the batch has one of them, the texts with that key are equal and their groups become one;
    /// the example waits. `taken` holds a text for each key in the batch.
    pub(crate) fn confirm<K: Eq + Hash>(
        &mut self,
        index: u32,
        position: u32,
        keys: Vec<K>,
        taken: &mut HashMap<K, u32>,
    ) -> bool {
        let mut equal = None;
        for (text, key) in self.texts(index).zip(&keys) {
            if let Some(&other) = taken.get(key) {
                equal = Some(self.merge(text, other));
            }
        }
        let Some(group) = equal else {
            taken.extend(keys.into_iter().zip(self.texts(index)));
            return true;
        };
        self.wait(group, position);
        for text in self.texts(index).zip(keys).filter(|(_, key)| !taken.contains_key(key)).map(|(text, _)| text) {
            // The batch may take others that are equal to this text after all.
            let group = self.group(text);
            self.last_batch[group as usize] = 0;
            self.release(group);
        }
        false
    }

    /// Merges the group of `text` into that of `other`, which the batch has taken, and returns the
    /// latter.
    fn merge(&mut self, text: u32, other: u32) -> u32 {
        // Either may have been alone in its group until now.
        self.repeated.insert(text);
        self.repeated.insert(other);
        let group = self.group(text);
        let into = self.group(other);
        if group != into {
            self.merged.insert(group, into);
            if let Some(mut queue) = self.waiting.remove(&group) {
                self.waiting.entry(into).or_default().append(&mut queue);
            }
        }
        self.last_batch[into as usize] = self.batch;
        into
    }

    /// Ends a batch: the next one may take examples with the same texts.
    pub(crate) fn finish(&mut self, batch: &[u32]) {
        self.batch += 1;
        for &index in batch {
            for text in self.texts(index) {
                if let Some(group) = self.repeated_group(text) {
                    self.release(group);
                }
            }
        }
    }
}
