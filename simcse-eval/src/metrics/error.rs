//! Why a metric is undefined.

/// Why a metric is undefined.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// A score is NaN or infinite.
    #[error("expected finite scores, found {value} at position {index}")]
    NotFinite {
        /// Position of the score, from 0.
        index: usize,
        /// The score.
        value: f32,
    },
    /// A correlation of fewer than two pairs.
    #[error("expected at least 2 pairs to correlate, found {found}")]
    TooFew {
        /// Number of pairs.
        found: usize,
    },
    /// A correlation with values that are all equal.
    #[error("expected values that differ, found all equal to {value}: a correlation with them is undefined")]
    Constant {
        /// The value.
        value: f64,
    },
}

/// Refuses scores that are NaN or infinite.
pub(crate) fn check_finite(scores: &[f32]) -> Result<(), MetricError> {
    match scores.iter().position(|score| !score.is_finite()) {
        Some(index) => Err(MetricError::NotFinite { index, value: scores[index] }),
        None => Ok(()),
    }
}
