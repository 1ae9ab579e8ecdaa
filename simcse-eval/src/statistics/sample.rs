//! What a figure is computed from: one entry per query, pair or text.

use crate::metrics::correlation::{average_ranks, pearson, spearman};
use crate::metrics::ranking::average_precision;

/// Similarities that differ by less than this are taken to be equal: what is left is rounding.
pub(crate) const EQUAL: f32 = 1e-6;

/// What a figure is computed from, one entry per query, pair or text, so that its value can be
/// computed again from a resample.
///
/// Values must be finite.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// The mean of one value per query.
    Mean(Vec<f64>),
    /// Spearman's rank correlation of gold scores and similarities.
    Spearman {
        /// Scores given by people.
        gold: Vec<f32>,
        /// The model's similarities.
        predicted: Vec<f32>,
    },
    /// Pearson's correlation of gold scores and similarities.
    Pearson {
        /// Scores given by people.
        gold: Vec<f32>,
        /// The model's similarities.
        predicted: Vec<f32>,
    },
    /// Average precision of all pairs ranked by similarity. scikit-learn:
    /// `average_precision_score`.
    AveragePrecision {
        /// Whether each pair is similar.
        relevant: Vec<bool>,
        /// The model's similarities.
        predicted: Vec<f32>,
    },
    /// The mean over classes of F1. scikit-learn: `f1_score(…, average="macro")`, over the classes
    /// that occur in either list.
    MacroF1 {
        /// The true class of each text.
        gold: Vec<usize>,
        /// The predicted class of each text.
        predicted: Vec<usize>,
    },
    /// The weighted mean of figures of different sets, whose entries are resampled independently.
    Average {
        /// The figures.
        parts: Vec<Sample>,
        /// A weight for each part, not necessarily normalized.
        weights: Vec<f64>,
    },
}

impl Sample {
    /// The figure; `None` if it is undefined: a correlation with values that are all equal, a mean
    /// of nothing.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Mean(values) if values.is_empty() => None,
            Self::Mean(values) => Some(values.iter().sum::<f64>() / values.len() as f64),
            Self::Spearman { gold, predicted } => differ(predicted).then(|| spearman(gold, predicted).ok()).flatten(),
            Self::Pearson { gold, predicted } => differ(predicted).then(|| pearson(gold, predicted).ok()).flatten(),
            Self::AveragePrecision { relevant, predicted } => average_precision(relevant, predicted).ok(),
            Self::MacroF1 { gold, predicted } => macro_f1(gold.iter().zip(predicted)),
            Self::Average { parts, weights } => weighted_mean(parts.iter().map(Self::value), weights),
        }
    }

    /// The lowest value that the figure can have.
    #[must_use]
    pub fn lowest(&self) -> f64 {
        match self {
            Self::Mean(_) | Self::AveragePrecision { .. } | Self::MacroF1 { .. } => 0.0,
            Self::Spearman { .. } | Self::Pearson { .. } => -1.0,
            Self::Average { parts, .. } => parts.iter().map(Self::lowest).fold(0.0, f64::min),
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Mean(values) => values.len(),
            Self::Spearman { gold, .. } | Self::Pearson { gold, .. } => gold.len(),
            Self::AveragePrecision { relevant, .. } => relevant.len(),
            Self::MacroF1 { gold, .. } => gold.len(),
            Self::Average { parts, .. } => parts.iter().map(Self::len).sum(),
        }
    }

    /// What each entry contributes, 0 to 1, higher is better: its value of a mean; for a
    /// correlation, how close the rank of its similarity is to that of its gold score, 1 for the
    /// same rank. `None` for figures that entries have no part of their own in.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<f64>> {
        match self {
            Self::Mean(values) => Some(values.clone()),
            Self::Spearman { gold, predicted } | Self::Pearson { gold, predicted } => {
                let farthest = gold.len().saturating_sub(1).max(1) as f64;
                let ranks = average_ranks(gold).into_iter().zip(average_ranks(predicted));
                Some(ranks.map(|(gold, predicted)| 1.0 - (gold - predicted).abs() / farthest).collect())
            }
            Self::MacroF1 { gold, predicted } => Some(
                gold.iter().zip(predicted).map(|(gold, predicted)| f64::from(u8::from(gold == predicted))).collect(),
            ),
            Self::AveragePrecision { .. } | Self::Average { .. } => None,
        }
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether similarities differ by more than rounding.
pub(crate) fn differ(similarities: &[f32]) -> bool {
    let lowest = similarities.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = similarities.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    highest - lowest >= EQUAL
}

/// The weighted mean; `None` if a value is undefined or there are none.
pub(crate) fn weighted_mean(values: impl Iterator<Item = Option<f64>>, weights: &[f64]) -> Option<f64> {
    let mut sum = 0.0;
    let mut total = 0.0;
    for (value, weight) in values.zip(weights) {
        sum += weight * value?;
        total += weight;
    }
    (total > 0.0).then(|| sum / total)
}

/// The mean of F1 over the classes that occur; `None` without any.
pub(crate) fn macro_f1<'a>(pairs: impl Iterator<Item = (&'a usize, &'a usize)>) -> Option<f64> {
    #[derive(Clone, Default)]
    struct Class {
        right: f64,
        gold: f64,
        predicted: f64,
    }
    let mut classes: Vec<Class> = Vec::new();
    for (&gold, &predicted) in pairs {
        let needed = gold.max(predicted) + 1;
        if classes.len() < needed {
            classes.resize(needed, Class::default());
        }
        classes[gold].gold += 1.0;
        classes[predicted].predicted += 1.0;
        classes[gold].right += f64::from(u8::from(gold == predicted));
    }
    let occurring = classes.iter().filter(|class| class.gold + class.predicted > 0.0);
    let f1: Vec<f64> = occurring.map(|class| 2.0 * class.right / (class.gold + class.predicted)).collect();
    (!f1.is_empty()).then(|| f1.iter().sum::<f64>() / f1.len() as f64)
}
