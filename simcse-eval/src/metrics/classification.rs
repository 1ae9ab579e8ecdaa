//! Labels by the vote of neighbors, and how good predicted labels are.
//!
//! A label is a number; the numbers are in the order of the labels that they stand for.

use std::collections::BTreeMap;

/// The label that most of the neighbors have, the lowest of those that are equally frequent;
/// `None` without neighbors. scikit-learn: `KNeighborsClassifier.predict` with uniform weights.
#[must_use]
pub fn majority(labels: impl IntoIterator<Item = usize>) -> Option<usize> {
    let mut counts = BTreeMap::<usize, usize>::new();
    labels.into_iter().for_each(|label| *counts.entry(label).or_default() += 1);
    // `max_by_key` returns the last of several maxima.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(label, _)| label)
}

/// The mean F1 of all labels that occur: `F1 = 2 TP / (2 TP + FP + FN)`; 0 without any label.
/// scikit-learn: `f1_score(truth, predicted, average="macro", zero_division=0)`.
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn macro_f1(truth: &[usize], predicted: &[usize]) -> f64 {
    assert_eq!(truth.len(), predicted.len(), "one prediction for each label");
    // Labels that are right, and labels that are either true or predicted.
    let mut counts = BTreeMap::<usize, (usize, usize)>::new();
    for (truth, predicted) in truth.iter().zip(predicted) {
        counts.entry(*truth).or_default().0 += usize::from(truth == predicted);
        counts.entry(*truth).or_default().1 += 1;
        counts.entry(*predicted).or_default().1 += 1;
    }
    let sum: f64 = counts.values().map(|&(right, either)| 2.0 * right as f64 / either as f64).sum();
    sum / counts.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive_macro_f1(truth: &[usize], predicted: &[usize]) -> f64 {
        let labels: Vec<usize> = (0..5).filter(|label| truth.contains(label) || predicted.contains(label)).collect();
        let f1 = |label: &usize| {
            let count =
                |of: &dyn Fn(&usize, &usize) -> bool| truth.iter().zip(predicted).filter(|(t, p)| of(t, p)).count();
            let right = count(&|t, p| t == label && p == label) as f64;
            let precision = right / count(&|_, p| p == label).max(1) as f64;
            let recall = right / count(&|t, _| t == label).max(1) as f64;
            if right == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
        };
        labels.iter().map(f1).sum::<f64>() / labels.len() as f64
    }

    proptest! {
        #[test]
        fn macro_f1_is_the_harmonic_mean(labels in prop::collection::vec((0usize..5, 0usize..5), 1..20)) {
            let (truth, predicted): (Vec<_>, Vec<_>) = labels.into_iter().unzip();
            prop_assert!((macro_f1(&truth, &predicted) - naive_macro_f1(&truth, &predicted)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_lowest_of_the_most_frequent_labels_wins() {
        assert_eq!(majority([2, 1, 2, 1, 0]), Some(1));
        assert_eq!(majority([3, 0, 3]), Some(3));
        assert_eq!(majority([]), None);
    }
}
