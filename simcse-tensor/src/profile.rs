//! Where the time of a step goes: a table of its parts, which [`record`] fills on the thread that asks for it.
//!
//! Parts may run inside one another; the time of the inner one counts for that alone. Without a record, [`time`] costs a look at a
//! thread's variable for each operation.

use std::cell::RefCell;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

thread_local! {
    static RECORD: RefCell<Option<Profile>> = const { RefCell::new(None) };
}

/// A part of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sentences to token ids.
    Tokenisation,
    /// Looking up embeddings, and adding up their gradients.
    Embedding,
    /// Products `y = x·Wᵀ + b`.
    Forward,
    /// Products `dx = dy·W`.
    Dx,
    /// Products `dW += dyᵀ·x`, and `db`.
    Dw,
    /// GELU and its derivative.
    Gelu,
    /// Attention, forward.
    Attention,
    /// Attention, backward.
    AttentionBackward,
    /// LayerNorm with residual and dropout, both ways.
    LayerNorm,
    /// Dropout by itself, both ways.
    Dropout,
    /// Pooling, both ways.
    Pooling,
    /// Normalisation, similarities and cross entropy, both ways.
    Loss,
    /// Clearing and measuring gradients, and the update.
    Optimiser,
}

impl Part {
    /// In the order of a step.
    pub const ALL: [Self; 13] = [
        Self::Tokenisation,
        Self::Embedding,
        Self::Forward,
        Self::Dx,
        Self::Dw,
        Self::Gelu,
        Self::Attention,
        Self::AttentionBackward,
        Self::LayerNorm,
        Self::Dropout,
        Self::Pooling,
        Self::Loss,
        Self::Optimiser,
    ];

    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokenisation => "tokenisation",
            Self::Embedding => "embedding",
            Self::Forward => "y = xWᵀ + b",
            Self::Dx => "dx = dy·W",
            Self::Dw => "dW += dyᵀ·x",
            Self::Gelu => "GELU",
            Self::Attention => "attention",
            Self::AttentionBackward => "attention backward",
            Self::LayerNorm => "LayerNorm, residual, dropout",
            Self::Dropout => "dropout alone",
            Self::Pooling => "pooling",
            Self::Loss => "loss",
            Self::Optimiser => "optimiser",
        }
    }
}

/// The time of each part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile([Duration; Part::ALL.len()]);

impl Profile {
    /// The time of one part.
    pub fn of(&self, part: Part) -> Duration {
        self.0[part as usize]
    }

    /// The time of all parts.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

impl AddAssign<&Profile> for Profile {
    fn add_assign(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, time)| *sum += time);
    }
}

/// Runs `f`, and says how long each part of it took on this thread.
pub fn record<R>(f: impl FnOnce() -> R) -> (R, Profile) {
    let outer = RECORD.replace(Some(Profile::default()));
    let result = f();
    (result, RECORD.replace(outer).unwrap_or_default())
}

/// Runs `f` as `part` of what is recorded, if anything is.
pub fn time<R>(part: Part, f: impl FnOnce() -> R) -> R {
    let counted = || RECORD.with_borrow(|record| record.as_ref().map(Profile::total));
    let Some(before) = counted() else { return f() };
    let started = Instant::now();
    let result = f();
    let inner = counted().unwrap_or(before) - before;
    let own = started.elapsed().saturating_sub(inner);
    RECORD.with_borrow_mut(|record| record.iter_mut().for_each(|profile| profile.0[part as usize] += own));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_part_counts_for_itself_alone() {
        const PAUSE: Duration = Duration::from_millis(20);
        let (result, profile) = record(|| {
            time(Part::Dx, || {
                std::thread::sleep(PAUSE);
                time(Part::Gelu, || std::thread::sleep(2 * PAUSE));
                time(Part::Gelu, || 7)
            })
        });
        time(Part::Loss, || std::thread::sleep(PAUSE)); // nothing is recorded
        assert_eq!(result, 7);
        assert!(profile.of(Part::Dx) >= PAUSE && profile.of(Part::Gelu) >= 2 * PAUSE);
        assert!(profile.of(Part::Dx) < profile.of(Part::Gelu) + PAUSE / 2, "{profile:?}");
        assert_eq!(profile.total(), profile.of(Part::Dx) + profile.of(Part::Gelu));
    }

    #[test]
    fn every_part_has_its_place() {
        assert!(Part::ALL.iter().enumerate().all(|(i, &part)| i == part as usize));
    }
}
