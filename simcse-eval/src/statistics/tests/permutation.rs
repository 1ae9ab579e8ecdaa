use simcse_tensor::rng::Philox;

use super::*;

/// All 2ⁿ exchanges, with the statistic computed from scratch.
fn exact(count: usize, difference: impl Fn(&[bool]) -> f64) -> f64 {
    let observed = difference(&vec![false; count]).abs();
    let all = (0..1usize << count).map(|bits| (0..count).map(|i| bits >> i & 1 == 1).collect::<Vec<_>>());
    let as_large = all.filter(|exchanged| difference(exchanged).abs() >= observed - 1e-9).count();
    as_large as f64 / (1usize << count) as f64
}

/// Four standard deviations of a share of ten thousand.
#[track_caller]
fn assert_near(found: f64, exact: f64) {
    let deviation = (exact * (1.0 - exact) / PERMUTATIONS as f64).sqrt();
    assert!((found - exact).abs() < 4.0 * deviation + 2e-4, "{found}, exactly {exact}");
}

fn naive_correlation(x: &[f64], y: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let [mx, my] = [mean(x), mean(y)];
    let sum = |f: &dyn Fn(usize) -> f64| (0..x.len()).map(f).sum::<f64>();
    let xy = sum(&|i| (x[i] - mx) * (y[i] - my));
    xy / (sum(&|i| (x[i] - mx).powi(2)) * sum(&|i| (y[i] - my).powi(2))).sqrt()
}

fn naive_ranks(values: &[f32]) -> Vec<f64> {
    let rank = |v: &f32| {
        let below = values.iter().filter(|w| *w < v).count() as f64;
        below + (values.iter().filter(|w| *w == v).count() as f64 - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

const GOLD: [f32; 10] = [0.0, 1.0, 1.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0];
const A: [f32; 10] = [0.11, 0.02, 0.35, 0.3, 0.5, 0.41, 0.41, 0.8, 0.77, 0.9];
const B: [f32; 10] = [0.6, 0.1, 0.52, 0.2, 0.3, 0.95, 0.1, 0.4, 0.41, 0.88];

#[test]
fn means_are_those_of_all_exchanges() {
    let [a, b] = [&A, &B].map(|values| values.map(f64::from).to_vec());
    let expected = exact(10, |exchanged| {
        let signed = exchanged.iter().zip(a.iter().zip(&b)).map(|(&e, (a, b))| if e { b - a } else { a - b });
        signed.sum::<f64>() / 10.0
    });
    assert_near(p_value(&Sample::Mean(a), &Sample::Mean(b)).unwrap(), expected);
}

#[test]
fn correlations_are_those_of_all_exchanges() {
    let gold = naive_ranks(&GOLD);
    let [a, b] = [naive_ranks(&A), naive_ranks(&B)];
    let pick = |exchanged: &[bool], a: &[f64], b: &[f64]| -> Vec<f64> {
        (0..10).map(|i| if exchanged[i] { b[i] } else { a[i] }).collect()
    };
    let expected = exact(10, |exchanged| {
        naive_correlation(&gold, &pick(exchanged, &a, &b)) - naive_correlation(&gold, &pick(exchanged, &b, &a))
    });
    let spearman = |predicted: [f32; 10]| Sample::Spearman { gold: GOLD.to_vec(), predicted: predicted.to_vec() };
    assert_near(p_value(&spearman(A), &spearman(B)).unwrap(), expected);
    let pearson = |predicted: [f32; 10]| Sample::Pearson { gold: GOLD.to_vec(), predicted: predicted.to_vec() };
    let found = p_value(&pearson(A), &pearson(B)).unwrap();
    assert!((0.001..0.5).contains(&found), "{found}");
}

#[test]
fn equal_models_have_p_1() {
    let samples = [
        Sample::Mean(A.map(f64::from).to_vec()),
        Sample::Spearman { gold: GOLD.to_vec(), predicted: A.to_vec() },
        Sample::AveragePrecision { relevant: GOLD.map(|gold| gold > 2.0).to_vec(), predicted: A.to_vec() },
        Sample::MacroF1 { gold: vec![0, 1, 1, 2], predicted: vec![0, 1, 2, 2] },
    ];
    for sample in &samples {
        assert_eq!(p_value(sample, sample), Some(1.0), "{sample:?}");
    }
    let average = Sample::Average { parts: samples.to_vec(), weights: vec![1.0; 4] };
    assert_eq!(p_value(&average, &average), Some(1.0));
}

#[test]
fn undefined_figures_have_none() {
    let [good, collapsed] =
        [A, [0.5; 10]].map(|predicted| Sample::Spearman { gold: GOLD.to_vec(), predicted: predicted.to_vec() });
    assert_eq!(p_value(&good, &collapsed), None);
    assert_eq!(p_value(&collapsed, &good), None);
}

/// If there is no difference, p is below 0.1 for a tenth of the sets.
#[test]
fn p_is_uniform_where_there_is_no_difference() {
    let philox = Philox::new(5);
    let uniform =
        |row: u32, set: u32| philox.block([row, set, 0, 2]).map(|word| (f64::from(word) / 2f64.powi(32)) as f32);
    let below = |sample: &dyn Fn(u32, usize) -> Sample| {
        (0..200).filter(|&set| p_value(&sample(set, 1), &sample(set, 2)).unwrap() < 0.1).count()
    };
    let means = below(&|set, model| Sample::Mean((0..40).map(|row| uniform(row, set)[model].into()).collect()));
    assert!((8..=34).contains(&means), "{means} of 200");
    let correlations = below(&|set, model| {
        let gold: Vec<f32> = (0..40).map(|row| uniform(row, set)[0]).collect();
        let predicted = (0..40).map(|row| gold[row as usize] + uniform(row, set)[model]).collect();
        Sample::Spearman { gold, predicted }
    });
    assert!((8..=34).contains(&correlations), "{correlations} of 200");
}
