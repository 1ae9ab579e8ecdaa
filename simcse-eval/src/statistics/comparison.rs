//! The difference of two models on one set.

use crate::scores::{Figure, Scores};
use crate::statistics::bootstrap::{Interval, resampled};
use crate::statistics::permutation::p_value;
use crate::statistics::sample::Sample;

/// The p-value below which a difference counts as shown.
const SIGNIFICANT: f64 = 0.05;

/// A figure of two models.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The figure's name in JSON.
    pub name: &'static str,
    /// Its name in a table.
    pub label: &'static str,
    /// The model's value; `None` if it is undefined.
    pub model: Option<f64>,
    /// The value of the model that it is compared with.
    pub against: Option<f64>,
    /// How much higher the model's value is, how sure that is, and whether it could be chance;
    /// `None` if a value is undefined.
    pub gain: Option<Gain>,
}

/// The difference of two values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    /// The model's value minus the other's.
    pub value: f64,
    /// The 95% bootstrap interval of the difference on the same entries; `None` for a single entry.
    pub interval: Option<Interval>,
    /// The two-sided p-value of the paired permutation test.
    pub p: f64,
}

impl Gain {
    /// Whether the entries show a difference at all: the interval excludes 0, and p < 0.05.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.p < SIGNIFICANT && self.interval.is_some_and(|interval| !interval.contains(0.0))
    }
}

/// An entry on which two models differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The entry's index.
    pub entry: usize,
    /// What the model makes of it, 0 to 1; higher is better.
    pub model: f64,
    /// What the other model makes of it.
    pub against: f64,
}

impl Change {
    /// How much better the model is.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.model - self.against
    }
}

/// The differences of all figures.
///
/// # Panics
/// If the scores are not those of one set.
#[must_use]
pub fn differences(model: &Scores, against: &Scores) -> Vec<Difference> {
    assert_eq!(model.figures.len(), against.figures.len(), "scores of one set");
    model.figures.iter().zip(&against.figures).map(|(figure, other)| difference(figure, other)).collect()
}

/// The difference of the main figures.
///
/// # Panics
/// If the scores are not those of one set.
#[must_use]
pub fn main_difference(model: &Scores, against: &Scores) -> Difference {
    difference(model.main(), against.main())
}

fn difference(figure: &Figure, other: &Figure) -> Difference {
    assert_eq!(figure.name, other.name, "scores of one set");
    Difference {
        name: figure.name,
        label: figure.label,
        model: figure.sample.value(),
        against: other.sample.value(),
        gain: gain(&figure.sample, &other.sample),
    }
}

fn gain(model: &Sample, against: &Sample) -> Option<Gain> {
    let value = model.value()? - against.value()?;
    let paired = resampled(model).into_iter().zip(resampled(against));
    let interval = (model.len() > 1).then(|| Interval::of(paired.map(|(a, b)| Some(a? - b?)))).flatten();
    Some(Gain { value, interval, p: p_value(model, against)? })
}

/// The entries whose value in the main figure differs, those with the largest change first. For a
/// mean, it is the entry's own value; for a correlation, how close the rank of the entry's
/// similarity is to that of its gold score, 1 for the same rank. None for figures that entries have
/// no part of their own in.
#[must_use]
pub fn changes(model: &Scores, against: &Scores) -> Vec<Change> {
    let values = model.main().sample.entries().zip(against.main().sample.entries());
    let Some((model, against)) = values else { return Vec::new() };
    let pairs = model.into_iter().zip(against).enumerate();
    let mut changes: Vec<Change> = pairs
        .filter(|(_, (model, against))| model != against)
        .map(|(entry, (model, against))| Change { entry, model, against })
        .collect();
    changes.sort_by(|a, b| b.gain().abs().total_cmp(&a.gain().abs()).then(a.entry.cmp(&b.entry)));
    changes
}
