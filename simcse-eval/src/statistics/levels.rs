//! Values replaced by the position of their value among the distinct values, so that resamples can
//! be ranked without being sorted.

/// For each value, its level: 0 for the lowest value, the same for equal values.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    pub(crate) of: Vec<usize>,
    /// How many distinct values there are.
    pub(crate) count: usize,
}

impl Levels {
    /// The levels of finite values; `-0.0` equals `0.0`.
    pub(crate) fn new(values: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
        let mut of = vec![0; values.len()];
        let mut count = 0;
        for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
            equal.iter().for_each(|&index| of[index] = count);
            count += 1;
        }
        Self { of, count }
    }

    /// The ranks of `items` among themselves, from 0; ties share their average. `counts` is scratch
    /// memory.
    pub(crate) fn ranks(&self, items: &[usize], counts: &mut Vec<f64>) -> Vec<f64> {
        counts.clear();
        counts.resize(self.count, 0.0);
        items.iter().for_each(|&item| counts[self.of[item]] += 1.0);
        let mut seen = 0.0;
        for count in counts.iter_mut() {
            let tied = *count;
            *count = seen + (tied - 1.0) / 2.0;
            seen += tied;
        }
        items.iter().map(|&item| counts[self.of[item]]).collect()
    }
}
