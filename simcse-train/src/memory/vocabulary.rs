//! How many different tokens a run meets, judged by a sample of its texts.

use std::collections::HashMap;

/// How often each token occurs in a sample of texts.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    counts: HashMap<u32, usize>,
    texts: usize,
}

impl Vocabulary {
    /// Counts the tokens of a text.
    pub(super) fn add(&mut self, ids: &[u32]) {
        ids.iter().for_each(|&id| *self.counts.entry(id).or_default() += 1);
        self.texts += 1;
    }

    /// The number of different tokens in the sample.
    pub(super) fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// At most how many different tokens are to be expected in `texts` texts: after the sample, a
    /// token is a new one with a probability of the share of tokens that occurred once (Good 1953),
    /// which falls as more are known.
    pub(super) fn expected(&self, texts: usize) -> usize {
        let once = self.counts.values().filter(|&&count| count == 1).count();
        let more = texts.saturating_sub(self.texts) as f64 / self.texts.max(1) as f64;
        self.counts.len() + (once as f64 * more).ceil() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a text with Zipf's law: the sample's estimate is above the truth, and not at a
    /// loss.
    #[test]
    fn the_estimate_is_above_the_truth() {
        let philox = simcse_tensor::rng::Philox::new(3);
        let token = |i: u32| {
            let x = f64::from(philox.block([i, 0, 0, 0])[0]) / f64::from(u32::MAX);
            (30_000f64.powf(x)) as u32
        };
        let texts: Vec<Vec<u32>> = (0..20_000).map(|text| (0..10).map(|i| token(text * 10 + i)).collect()).collect();
        let vocabulary = |count: usize| {
            let mut vocabulary = Vocabulary::default();
            texts[..count].iter().for_each(|ids| vocabulary.add(ids));
            vocabulary
        };
        let truth = vocabulary(texts.len()).distinct();
        let sample = vocabulary(4000);
        let expected = sample.expected(texts.len());
        assert!(sample.distinct() < truth && truth <= expected && expected < 2 * truth, "{expected} of {truth}");
        assert_eq!(sample.expected(1000), sample.distinct());
    }
}
