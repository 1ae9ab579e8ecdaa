use proptest::prelude::*;
use simcse_tensor::rng::Philox;

use super::*;
use crate::metrics::correlation::{pearson, spearman};
use crate::metrics::ranking::average_precision;

/// What is computed by counting is what the metric computes from the drawn values.
fn resample<T: Copy>(values: &[T], resample: usize) -> Vec<T> {
    let mut items = Vec::new();
    draw(values.len(), resample, 0, &mut items);
    items.into_iter().map(|item| values[item]).collect()
}

fn close(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
        (found, expected) => found == expected,
    }
}

proptest! {
    #[test]
    fn resamples_are_scored_as_the_metrics_score_them(
        rows in prop::collection::vec((0i8..4, -3i8..4, any::<bool>()), 1..30),
    ) {
        let gold: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
        let predicted: Vec<f32> = rows.iter().map(|row| f32::from(row.1) / 4.0).collect();
        let relevant: Vec<bool> = rows.iter().map(|row| row.2).collect();
        let of_spearman = resampled(&Sample::Spearman { gold: gold.clone(), predicted: predicted.clone() });
        let of_pearson = resampled(&Sample::Pearson { gold: gold.clone(), predicted: predicted.clone() });
        let of_precision =
            resampled(&Sample::AveragePrecision { relevant: relevant.clone(), predicted: predicted.clone() });
        let defined = spearman(&gold, &predicted).is_ok();
        for number in [0, 1, 517, 999] {
            let gold = resample(&gold, number);
            let predicted = resample(&predicted, number);
            let relevant = resample(&relevant, number);
            let expected = spearman(&gold, &predicted).ok().filter(|_| defined);
            prop_assert!(close(of_spearman[number], expected), "{:?} {expected:?}", of_spearman[number]);
            prop_assert!(close(of_pearson[number], pearson(&gold, &predicted).ok().filter(|_| defined)));
            prop_assert!(close(of_precision[number], average_precision(&relevant, &predicted).ok()));
        }
    }
}

#[test]
fn draws_are_uniform_and_independent() {
    let mut items = Vec::new();
    let mut counts = [0usize; 7];
    let mut same = 0;
    for resample in 0..10_000 {
        draw(7, resample, 0, &mut items);
        assert_eq!(items.len(), 7);
        items.iter().for_each(|&item| counts[item] += 1);
        same += usize::from(items[0] == items[1]);
    }
    // 10,000 each; the standard deviation is 93.
    assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    assert!(same.abs_diff(10_000 / 7) < 150, "{same}");
}

/// Standard normal numbers, by Box and Muller.
fn normal(philox: &Philox, row: u32, set: u32) -> [f64; 2] {
    let [a, b, ..] = philox.block([row, set, 0, 1]);
    let [a, b] = [a, b].map(|word| (f64::from(word) + 0.5) / 2f64.powi(32));
    let radius = (-2.0 * a.ln()).sqrt();
    [radius * (std::f64::consts::TAU * b).cos(), radius * (std::f64::consts::TAU * b).sin()]
}

/// Of 400 simulated sets with a known truth, the share whose interval contains it.
fn coverage(truth: f64, sample: impl Fn(u32) -> Sample) -> f64 {
    let covered = (0..400).filter(|&set| sample(set).interval().unwrap().contains(truth)).count();
    covered as f64 / 400.0
}

#[test]
fn intervals_contain_the_truth_as_often_as_they_say() {
    let philox = Philox::new(11);
    // The mean of squared normal numbers is 1.
    let mean = coverage(1.0, |set| Sample::Mean((0..100).map(|row| normal(&philox, row, set)[0].powi(2)).collect()));
    assert!((0.91..0.97).contains(&mean), "{mean}");

    // Two normal variables with correlation r have Spearman's correlation 6/π · asin(r/2).
    let r: f64 = 0.7;
    let pairs = |set| {
        let rows = (0..100).map(|row| normal(&philox, row, set));
        let (gold, predicted) = rows.map(|[x, y]| (x as f32, (r * x + (1.0 - r * r).sqrt() * y) as f32)).unzip();
        (gold, predicted)
    };
    let spearman = coverage(6.0 / std::f64::consts::PI * (r / 2.0).asin(), |set| {
        let (gold, predicted) = pairs(set);
        Sample::Spearman { gold, predicted }
    });
    assert!((0.91..0.98).contains(&spearman), "{spearman}");
    let pearson = coverage(r, |set| {
        let (gold, predicted) = pairs(set);
        Sample::Pearson { gold, predicted }
    });
    assert!((0.91..0.98).contains(&pearson), "{pearson}");
}

#[test]
fn threads_do_not_matter() {
    let sample = Sample::Mean((0..50).map(|row| f64::from(row * row % 17)).collect());
    let of_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| resampled(&sample))
    };
    assert_eq!(of_threads(1), of_threads(3));
}

#[test]
fn what_has_no_interval() {
    assert_eq!(Sample::Mean(vec![0.5]).interval(), None);
    assert_eq!(Sample::Mean(Vec::new()).interval(), None);
    let collapsed = Sample::Spearman { gold: vec![1.0, 2.0, 3.0], predicted: vec![0.999_999_9, 1.0, 1.0] };
    assert_eq!((collapsed.value(), collapsed.interval()), (None, None));
    let constant = Sample::Pearson { gold: vec![1.0; 3], predicted: vec![0.1, 0.2, 0.3] };
    assert_eq!((constant.value(), constant.interval()), (None, None));
    let certain = Sample::Mean(vec![1.0; 9]).interval();
    assert_eq!(certain, Some(Interval { low: 1.0, high: 1.0 }));
}

#[test]
fn averages_are_resampled_part_by_part() {
    let part = |values: &[f64]| Sample::Mean(values.to_vec());
    let values = [0.1, 0.5, 0.9, 0.2, 0.7];
    let average = Sample::Average { parts: vec![part(&values), part(&values)], weights: vec![1.0, 3.0] };
    assert!((average.value().unwrap() - 0.48).abs() < 1e-15);
    let [one, both] = [part(&values), average].map(|sample| {
        let Interval { low, high } = sample.interval().unwrap();
        high - low
    });
    // The standard deviation of ¼x + ¾y is 0.79 of that of x.
    assert!((0.7..0.88).contains(&(both / one)), "{both} {one}");
}
