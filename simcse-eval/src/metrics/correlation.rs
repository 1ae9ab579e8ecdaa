//! Correlations of f32 values, in f64.
//!
//! # Panics
//! Both functions panic if their slices differ in length: the caller is wrong.

use crate::metrics::error::{MetricError, check_finite};

/// Pearson's correlation, between −1 and 1. SciPy: `pearsonr(x, y)[0]`.
///
/// # Errors
/// [`MetricError::NotFinite`], [`MetricError::TooFew`], [`MetricError::Constant`].
pub fn pearson(x: &[f32], y: &[f32]) -> Result<f64, MetricError> {
    check_finite(x)?;
    check_finite(y)?;
    let widen = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    correlation(&widen(x), &widen(y))
}

/// Spearman's rank correlation, between −1 and 1: Pearson's correlation of the ranks, where ties
/// share their average rank. SciPy: `spearmanr(x, y)[0]`.
///
/// # Errors
/// [`MetricError::NotFinite`], [`MetricError::TooFew`], [`MetricError::Constant`].
pub fn spearman(x: &[f32], y: &[f32]) -> Result<f64, MetricError> {
    check_finite(x)?;
    check_finite(y)?;
    correlation(&average_ranks(x), &average_ranks(y))
}

/// Ranks from 0; ties share their average. SciPy: `rankdata(values, "average") - 1`.
pub(crate) fn average_ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    let mut ranks = vec![0.0; values.len()];
    let mut seen = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = seen as f64 + (tied.len() - 1) as f64 / 2.0;
        tied.iter().for_each(|&index| ranks[index] = rank);
        seen += tied.len();
    }
    ranks
}

/// Pearson's correlation in f64.
pub(crate) fn correlation(x: &[f64], y: &[f64]) -> Result<f64, MetricError> {
    assert_eq!(x.len(), y.len(), "a correlation needs pairs");
    if x.len() < 2 {
        return Err(MetricError::TooFew { found: x.len() });
    }
    for values in [x, y] {
        if values.iter().all(|&value| value == values[0]) {
            return Err(MetricError::Constant { value: values[0] });
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let mean_x = mean(x);
    let mean_y = mean(y);
    let mut xx = 0.0;
    let mut xy = 0.0;
    let mut yy = 0.0;
    for (x, y) in x.iter().map(|x| x - mean_x).zip(y.iter().map(|y| y - mean_y)) {
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    Ok((xy / (xx * yy).sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ranks by counting, and the textbook formula for correlation from raw sums.
    fn naive_spearman(x: &[f32], y: &[f32]) -> f64 {
        let rank = |v: &[f32], i: usize| {
            let below = v.iter().filter(|&&w| w < v[i]).count() as f64;
            below + (v.iter().filter(|&&w| w == v[i]).count() as f64 + 1.0) / 2.0
        };
        let sum = |f: &dyn Fn(usize) -> f64| (0..x.len()).map(f).sum::<f64>();
        let (rx, ry) = (|i| rank(x, i), |i| rank(y, i));
        let n = x.len() as f64;
        let (sx, sy) = (sum(&rx), sum(&ry));
        let (sxx, syy, sxy) = (sum(&|i| rx(i) * rx(i)), sum(&|i| ry(i) * ry(i)), sum(&|i| rx(i) * ry(i)));
        (n * sxy - sx * sy) / ((n * sxx - sx * sx) * (n * syy - sy * sy)).sqrt()
    }

    proptest! {
        #[test]
        fn spearman_is_the_textbook_formula(pairs in prop::collection::vec((-3i8..4, -3i8..4), 2..30)) {
            let (x, y): (Vec<f32>, Vec<f32>) = pairs.iter().map(|&(x, y)| (f32::from(x), f32::from(y))).unzip();
            match spearman(&x, &y) {
                Ok(found) => prop_assert!((found - naive_spearman(&x, &y)).abs() < 1e-9),
                Err(error) => {
                    let constant = matches!(error, MetricError::Constant { .. });
                    prop_assert!(constant, "{error}");
                    prop_assert!([x, y].iter().any(|v| v.iter().all(|w| *w == v[0])));
                }
            }
        }
    }

    #[test]
    fn by_hand() {
        assert!((pearson(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]).unwrap() - 0.5).abs() < 1e-15);
        assert!((spearman(&[1.0, 2.0, 9.0], &[10.0, 11.0, 11.0]).unwrap() - 0.75f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(matches!(spearman(&[0.0, f32::NAN], &[0.0, 1.0]), Err(MetricError::NotFinite { .. })));
        assert_eq!(pearson(&[0.1; 3], &[1.0, 2.0, 3.0]), Err(MetricError::Constant { value: f64::from(0.1f32) }));
        assert_eq!(spearman(&[1.0], &[1.0]), Err(MetricError::TooFew { found: 1 }));
    }
}
