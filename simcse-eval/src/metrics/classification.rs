//! Labels by the vote of neighbors.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_the_most_frequent_labels_wins() {
        assert_eq!(majority([2, 1, 2, 1, 0]), Some(1));
        assert_eq!(majority([3, 0, 3]), Some(3));
        assert_eq!(majority([]), None);
    }
}
