//! Could two models differ by chance alone? The paired permutation test: if the models were equally
//! good, it would not matter which of them an entry's value comes from. The entries' values are
//! exchanged at random ten thousand times, and the p-value is the share of exchanges with a
//! difference at least as large as the real one. SciPy: `permutation_test(…,
//! permutation_type="samples")`.
//!
//! Similarities of different models are not on one scale, so that what is exchanged is their rank
//! among the model's similarities (for Pearson's correlation, the similarity in units of the
//! model's standard deviation).
//!
//! Source: Dror et al. 2018, "The Hitchhiker's Guide to Testing Statistical Significance in Natural
//! Language Processing".

use rayon::prelude::*;
use simcse_tensor::rng::Philox;

use crate::statistics::levels::Levels;
use crate::statistics::sample::{Sample, macro_f1, weighted_mean};

/// How many exchanges a p-value is made of.
pub const PERMUTATIONS: usize = 10_000;
/// The key of the random numbers.
const SEED: u64 = 0x5A4B;
/// Differences that differ by less than this are taken to be equal: sums in another order are
/// rounded differently.
const ROUNDING: f64 = 1e-10;

/// The two-sided p-value of the difference of two models' figures on the same entries; `None` if a
/// figure is undefined.
///
/// # Panics
/// If the samples are not of the same kind and number of entries.
pub(crate) fn p_value(a: &Sample, b: &Sample) -> Option<f64> {
    a.value().and(b.value())?;
    let difference = difference_of(a, b, &mut 0);
    let observed = difference(None)?.abs() - ROUNDING;
    let as_large = |permutation: &u32| difference(Some(*permutation)).is_none_or(|other| other.abs() >= observed);
    let count = (0..PERMUTATIONS as u32).into_par_iter().filter(as_large).count();
    // The real assignment is one of the permutations, so that p is never 0.
    Some((count + 1) as f64 / (PERMUTATIONS + 1) as f64)
}

/// The difference of the figures after a permutation, or without one.
type DifferenceOf<'a> = Box<dyn Fn(Option<u32>) -> Option<f64> + Sync + 'a>;

fn difference_of<'a>(a: &'a Sample, b: &'a Sample, stream: &mut u32) -> DifferenceOf<'a> {
    if let (Sample::Average { parts: a, weights }, Sample::Average { parts: b, .. }) = (a, b) {
        assert_eq!(a.len(), b.len(), "averages of the same figures");
        let parts: Vec<_> = a.iter().zip(b).map(|(a, b)| difference_of(a, b, stream)).collect();
        return Box::new(move |permutation| weighted_mean(parts.iter().map(|part| part(permutation)), weights));
    }
    assert_eq!(a.len(), b.len(), "figures of the same entries");
    let exchange = Exchange { count: a.len(), stream: *stream };
    *stream += 1;
    match (a, b) {
        (Sample::Mean(a), Sample::Mean(b)) => {
            let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            Box::new(move |permutation| {
                let signed =
                    exchange.of(permutation).zip(&differences).map(|(exchanged, d)| if exchanged { -d } else { *d });
                Some(signed.sum::<f64>() / differences.len() as f64)
            })
        }
        (Sample::Spearman { gold, predicted: a }, Sample::Spearman { predicted: b, .. }) => {
            of_correlations(exchange, ranks(gold), [ranks(a), ranks(b)])
        }
        (Sample::Pearson { gold, predicted: a }, Sample::Pearson { predicted: b, .. }) => {
            of_correlations(exchange, widened(gold), [a, b].map(|values| standardized(widened(values))))
        }
        (Sample::AveragePrecision { relevant, predicted: a }, Sample::AveragePrecision { predicted: b, .. }) => {
            let [a, b] = [ranks(a), ranks(b)];
            Box::new(move |permutation| {
                let [a, b] = exchange.exchanged(permutation, &a, &b);
                let figure = |ranks: Vec<f64>| Levels::of_ranks(&ranks).average_precision_of_all(relevant);
                Some(figure(a) - figure(b))
            })
        }
        (Sample::MacroF1 { gold, predicted: a }, Sample::MacroF1 { predicted: b, .. }) => {
            Box::new(move |permutation| {
                let [a, b] = exchange.exchanged(permutation, a, b);
                Some(macro_f1(gold.iter().zip(&a))? - macro_f1(gold.iter().zip(&b))?)
            })
        }
        _ => panic!("figures of different kinds"),
    }
}

/// Which entries are exchanged: each with probability ½.
#[derive(Clone, Copy)]
struct Exchange {
    count: usize,
    stream: u32,
}

impl Exchange {
    /// For each entry, whether it is exchanged.
    fn of(self, permutation: Option<u32>) -> impl Iterator<Item = bool> {
        let philox = Philox::new(SEED);
        let words = move |block: usize| match permutation {
            Some(permutation) => philox.block([block as u32, permutation, self.stream, 0]),
            None => [0; 4],
        };
        let bits = |word: u32| (0..u32::BITS).map(move |bit| word >> bit & 1 == 1);
        (0..self.count.div_ceil(128)).flat_map(words).flat_map(bits).take(self.count)
    }

    fn exchanged<T: Copy>(self, permutation: Option<u32>, a: &[T], b: &[T]) -> [Vec<T>; 2] {
        let pairs = a.iter().zip(b).zip(self.of(permutation));
        let (a, b) = pairs.map(|((&a, &b), exchanged)| if exchanged { (b, a) } else { (a, b) }).unzip();
        [a, b]
    }
}

/// The difference of two Pearson correlations with `gold`.
fn of_correlations<'a>(exchange: Exchange, gold: Vec<f64>, [a, b]: [Vec<f64>; 2]) -> DifferenceOf<'a> {
    let gold = standardized(gold);
    let n = gold.len() as f64;
    // As gold is centered, Σ g·(x − mean x) = Σ g·x, and one pass over the entries is enough.
    let of_sums = move |x: f64, xx: f64, gx: f64| {
        let variance = xx / n - (x / n) * (x / n);
        (variance > f64::EPSILON).then(|| gx / n / variance.sqrt())
    };
    Box::new(move |permutation| {
        let mut of_a = [0.0; 3];
        let mut of_b = [0.0; 3];
        for (index, exchanged) in exchange.of(permutation).enumerate() {
            let values = if exchanged { [b[index], a[index]] } else { [a[index], b[index]] };
            for (sums, x) in [&mut of_a, &mut of_b].into_iter().zip(values) {
                sums[0] += x;
                sums[1] += x * x;
                sums[2] += gold[index] * x;
            }
        }
        let [a, b] = [of_a, of_b].map(|[x, xx, gx]| of_sums(x, xx, gx));
        Some(a? - b?)
    })
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Ranks around 0 with a standard deviation of 1; ties share their average.
fn ranks(values: &[f32]) -> Vec<f64> {
    let all: Vec<usize> = (0..values.len()).collect();
    standardized(Levels::new(values).ranks(&all, &mut Vec::new()))
}

/// Values with mean 0 and variance 1; zeros if they are all equal.
fn standardized(mut values: Vec<f64>) -> Vec<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter_mut().for_each(|value| *value -= mean);
    let deviation = (values.iter().map(|value| value * value).sum::<f64>() / n).sqrt();
    if deviation > 0.0 {
        values.iter_mut().for_each(|value| *value /= deviation);
    }
    values
}

#[cfg(test)]
#[path = "tests/permutation.rs"]
mod tests;
