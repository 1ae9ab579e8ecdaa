//! Where the time goes: a table of named parts that [`record`] fills on the calling thread.
//!
//! Parts may nest; the time of an inner part counts for that part alone. While nothing is recorded,
//! [`time`] costs one read of a thread-local variable. The tape's own parts are constants of
//! [`Part`]; a caller can time its own work under its own names:
//!
//! ```
//! use simcse_tensor::profile::{Part, record, time};
//!
//! const SORTING: Part = Part("sorting");
//!
//! let (sorted, profile) = record(|| {
//!     time(SORTING, || {
//!         let mut values: Vec<u32> = (0..10_000).rev().collect();
//!         values.sort();
//!         values
//!     })
//! });
//! assert_eq!(sorted[0], 0);
//! assert_eq!(profile.of(SORTING), profile.total());
//! assert!(profile.of(Part::ATTENTION).is_zero());
//! ```

use std::cell::RefCell;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

thread_local! {
    static RECORD: RefCell<Option<Profile>> = const { RefCell::new(None) };
}

/// A part of the work, identified by its name in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part(pub &'static str);

impl Part {
    /// Looking up embeddings, and adding up their gradients.
    pub const EMBEDDING: Self = Self("embedding");
    /// Products `y = x·Wᵀ + b`.
    pub const FORWARD: Self = Self("y = xWᵀ + b");
    /// Products `dx = dy·W`.
    pub const DX: Self = Self("dx = dy·W");
    /// Products `dW += dyᵀ·x`, and the column sums `db`.
    pub const DW: Self = Self("dW += dyᵀ·x");
    /// Activation functions and their derivatives.
    pub const ACTIVATION: Self = Self("activation");
    /// Attention, forward.
    pub const ATTENTION: Self = Self("attention");
    /// Attention, backward.
    pub const ATTENTION_BACKWARD: Self = Self("attention backward");
    /// LayerNorm with residual and dropout, forward and backward.
    pub const LAYER_NORM: Self = Self("LayerNorm, residual, dropout");
    /// Dropout on its own, forward and backward.
    pub const DROPOUT: Self = Self("dropout alone");
    /// Pooling, forward and backward.
    pub const POOLING: Self = Self("pooling");
    /// Normalization, similarities and cross-entropy, forward and backward.
    pub const LOSS: Self = Self("loss");
    /// Products of masked tokens with the vocabulary, and their cross-entropy, forward and
    /// backward.
    pub const VOCABULARY: Self = Self("vocabulary");
}

/// The time that each part took. Parts are listed in the order in which they first ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile(Vec<(Part, Duration)>);

impl Profile {
    /// The time of one part; zero if it never ran.
    pub fn of(&self, part: Part) -> Duration {
        self.0.iter().find(|(of, _)| *of == part).map_or(Duration::ZERO, |(_, time)| *time)
    }

    /// The time of all parts together.
    pub fn total(&self) -> Duration {
        self.0.iter().map(|(_, time)| *time).sum()
    }

    fn add(&mut self, part: Part, time: Duration) {
        match self.0.iter_mut().find(|(of, _)| *of == part) {
            Some((_, sum)) => *sum += time,
            None => self.0.push((part, time)),
        }
    }
}

impl AddAssign<&Profile> for Profile {
    fn add_assign(&mut self, other: &Self) {
        for (part, time) in &other.0 {
            self.add(*part, *time);
        }
    }
}

/// Runs `f`, and returns its result and how long each part of it took on this thread.
pub fn record<R>(f: impl FnOnce() -> R) -> (R, Profile) {
    let outer = RECORD.replace(Some(Profile::default()));
    let result = f();
    (result, RECORD.replace(outer).unwrap_or_default())
}

/// Runs `f` and, inside [`record`], counts its time as `part`.
pub fn time<R>(part: Part, f: impl FnOnce() -> R) -> R {
    let counted = || RECORD.with_borrow(|record| record.as_ref().map(Profile::total));
    let Some(before) = counted() else { return f() };
    let started = Instant::now();
    let result = f();
    // What the profile gained in the meantime belongs to the parts inside `f`.
    let inner = counted().unwrap_or(before) - before;
    let own = started.elapsed().saturating_sub(inner);
    RECORD.with_borrow_mut(|record| record.iter_mut().for_each(|profile| profile.add(part, own)));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_inner_part_counts_only_once() {
        const PAUSE: Duration = Duration::from_millis(20);
        let (result, profile) = record(|| {
            time(Part::DX, || {
                std::thread::sleep(PAUSE);
                time(Part::ACTIVATION, || std::thread::sleep(2 * PAUSE));
                time(Part::ACTIVATION, || 7)
            })
        });
        time(Part::LOSS, || std::thread::sleep(PAUSE)); // outside of any record
        assert_eq!(result, 7);
        assert!(profile.of(Part::DX) >= PAUSE && profile.of(Part::ACTIVATION) >= 2 * PAUSE);
        assert!(profile.of(Part::DX) < profile.of(Part::ACTIVATION) + PAUSE / 2, "{profile:?}");
        assert_eq!(profile.total(), profile.of(Part::DX) + profile.of(Part::ACTIVATION));
    }
}
