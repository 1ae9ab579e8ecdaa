//! Confidence intervals by the bootstrap: a figure is computed again from entries drawn with
//! replacement, a thousand times; the interval reaches from the 2.5th to the 97.5th percentile of
//! these values. SciPy: `bootstrap(…, method="percentile")`.
//!
//! Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
//!
//! Which entries are drawn depends on their number and on nothing else. Intervals are therefore the
//! same every time and for any number of threads, and the resamples of two models on one set are
//! paired.

use rayon::prelude::*;
use simcse_tensor::rng::Philox;

use crate::metrics::correlation::correlation;
use crate::statistics::levels::Levels;
use crate::statistics::sample::{Sample, macro_f1, weighted_mean};

/// How many resamples an interval is made of.
pub const RESAMPLES: usize = 1000;
/// The share of values that an interval leaves out at each end: it has 95%.
const TAIL: f64 = 0.025;
/// The key of the random numbers.
const SEED: u64 = 0xB007;

/// A 95% confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// The interval of resampled values; `None` if they are undefined for more than half of the
    /// resamples.
    pub(crate) fn of(resampled: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        let mut values: Vec<f64> = resampled.flatten().collect();
        if values.len() < RESAMPLES / 2 {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        Some(Self { low: quantile(&values, TAIL), high: quantile(&values, 1.0 - TAIL) })
    }

    /// Whether a value is inside.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// NumPy: `quantile(sorted, q)`, which interpolates linearly.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

impl Sample {
    /// The 95% confidence interval of the figure; `None` if it is undefined, or has one entry only.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        if self.len() < 2 {
            return None;
        }
        Interval::of(resampled(self).into_iter())
    }
}

/// The figure of each of [`RESAMPLES`] resamples; `None` where it is undefined.
pub(crate) fn resampled(sample: &Sample) -> Vec<Option<f64>> {
    of_stream(sample, &mut 0)
}

/// The parts of an average are drawn independently, each from a stream of its own.
fn of_stream(sample: &Sample, stream: &mut u32) -> Vec<Option<f64>> {
    if let Sample::Average { parts, weights } = sample {
        let parts: Vec<_> = parts.iter().map(|part| of_stream(part, stream)).collect();
        let mean = |resample: usize| weighted_mean(parts.iter().map(|part| part[resample]), weights);
        return (0..RESAMPLES).map(mean).collect();
    }
    let own = *stream;
    *stream += 1;
    if sample.value().is_none() {
        return vec![None; RESAMPLES];
    }
    let figure = figure_of(sample);
    let with_scratch = |(items, counts): &mut (Vec<usize>, Vec<f64>), resample: usize| {
        draw(sample.len(), resample, own, items);
        figure(items, counts)
    };
    (0..RESAMPLES).into_par_iter().map_init(Default::default, with_scratch).collect()
}

/// Draws `count` of `count` entries with replacement.
fn draw(count: usize, resample: usize, stream: u32, items: &mut Vec<usize>) {
    let philox = Philox::new(SEED);
    items.clear();
    for block in 0..count.div_ceil(4) {
        let words = philox.block([block as u32, resample as u32, stream, 0]);
        items.extend(words.map(|word| ((u64::from(word) * count as u64) >> 32) as usize));
    }
    items.truncate(count);
}

/// The figure of some entries, with scratch memory. Its time is linear in their number: values are
/// sorted once, here, and resamples are ranked by counting.
type FigureOf<'a> = Box<dyn Fn(&[usize], &mut Vec<f64>) -> Option<f64> + Sync + 'a>;

fn figure_of(sample: &Sample) -> FigureOf<'_> {
    match sample {
        Sample::Mean(values) => {
            Box::new(|items, _| Some(items.iter().map(|&item| values[item]).sum::<f64>() / items.len() as f64))
        }
        Sample::Spearman { gold, predicted } => {
            let gold = Levels::new(gold);
            let predicted = Levels::new(predicted);
            Box::new(move |items, counts| {
                let gold = gold.ranks(items, counts);
                correlation(&gold, &predicted.ranks(items, counts)).ok()
            })
        }
        Sample::Pearson { gold, predicted } => Box::new(|items, _| {
            let of = |values: &[f32]| items.iter().map(|&item| f64::from(values[item])).collect::<Vec<_>>();
            correlation(&of(gold), &of(predicted)).ok()
        }),
        Sample::AveragePrecision { relevant, predicted } => {
            let predicted = Levels::new(predicted);
            Box::new(move |items, _| Some(predicted.average_precision(relevant, items)))
        }
        Sample::MacroF1 { gold, predicted } => {
            Box::new(|items, _| macro_f1(items.iter().map(|&item| (&gold[item], &predicted[item]))))
        }
        Sample::Average { .. } => unreachable!("averages are resampled part by part"),
    }
}

#[cfg(test)]
#[path = "tests/bootstrap.rs"]
mod tests;
