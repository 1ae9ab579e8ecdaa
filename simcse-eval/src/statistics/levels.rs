//! Values replaced by the position of their value among the distinct values, so that resamples can
//! be ranked without being sorted.

/// For each value, its level: 0 for the lowest value, the same for equal values.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    of: Vec<usize>,
    /// How many distinct values there are.
    count: usize,
}

impl Levels {
    /// The levels of finite values; `-0.0` equals `0.0`.
    pub(crate) fn new(values: &[f32]) -> Self {
        let widened: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        Self::of_ranks(&widened)
    }

    /// [`Self::new`] of values in f64.
    pub(crate) fn of_ranks(values: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_unstable_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
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

    /// The average precision of `items` ranked by level, as
    /// [`average_precision`](crate::metrics::average_precision) defines it.
    pub(crate) fn average_precision(&self, relevant: &[bool], items: &[usize]) -> f64 {
        let mut all = vec![0.0; self.count];
        let mut hits = vec![0.0; self.count];
        for &item in items {
            all[self.of[item]] += 1.0;
            hits[self.of[item]] += f64::from(u8::from(relevant[item]));
        }
        let mut seen = 0.0;
        let mut found = 0.0;
        let mut sum = 0.0;
        for (all, hits) in all.into_iter().zip(hits).rev().filter(|(all, _)| *all > 0.0) {
            seen += all;
            found += hits;
            sum += hits * found / seen;
        }
        if found == 0.0 { 0.0 } else { sum / found }
    }

    /// [`Self::average_precision`] of all items.
    pub(crate) fn average_precision_of_all(&self, relevant: &[bool]) -> f64 {
        let all: Vec<usize> = (0..self.of.len()).collect();
        self.average_precision(relevant, &all)
    }
}
