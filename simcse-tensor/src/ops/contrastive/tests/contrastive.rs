use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1, Axis, s};
use proptest::prelude::*;

use super::*;
use crate::named::Named;
use crate::ops::contrastive::loss::{Directions, Hardness, Partition};
use crate::ops::contrastive::noise::Noise;
use crate::ops::testing::{Case, check, input};
use crate::rng::Philox;
use crate::{BufferPool, Grads, Params, Rows, Tape};

/// The logit of a positive or of a negative with this cosine.
fn logit(cosine: f64, positive: bool, loss: &ContrastiveLoss) -> f64 {
    let modulated = match (loss.focal_m, positive) {
        (None, _) => cosine,
        (Some(_), true) => cosine * cosine,
        (Some(m), false) => cosine * (cosine + f64::from(m)),
    };
    f64::from(loss.scale) * modulated * if positive { f64::from(loss.pos_ratio) } else { 1.0 }
}

/// What hardness adds to the logits: a constant, so it is a function of the values `base` of `z`.
fn penalty(base: &Array2<f64>, loss: &ContrastiveLoss, size: usize, i: usize, row: usize) -> f64 {
    let own = row % size == i;
    let text = row / size;
    let applies = match loss.hardness {
        Hardness::None => false,
        Hardness::InBatchNegatives => !own,
        Hardness::HardNegatives => own && text > 1,
        Hardness::AllNegatives => !own || text > 1,
    };
    if applies { f64::from(loss.hardness_strength) * base.row(i).dot(&base.row(row)) } else { 0.0 }
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    highest + logits.iter().map(|x| (x - highest).exp()).sum::<f64>().ln()
}

/// Direction by direction, as the definition has it.
fn oracle(z: &Array2<f64>, base: &Array2<f64>, loss: &ContrastiveLoss) -> Array2<f64> {
    let size = z.nrows() / loss.columns;
    let documents = || size..loss.columns * size;
    let of = |a: ArrayView1<f64>, b: ArrayView1<f64>, positive| logit(a.dot(&b), positive, loss);
    let pair = |left: usize, right: usize, positive| of(z.row(left), z.row(right), positive);
    let drawn = loss.noise.map(|noise| noise.rows(z.ncols()).mapv(f64::from));
    let losses = (0..size).map(|i| {
        let weight =
            |row: usize| if row % size == i && row >= 2 * size { f64::from(loss.hard_negative_weight) } else { 0.0 };
        let of_document = |row| pair(i, row, row == size + i) + weight(row) + penalty(base, loss, size, i, row);
        let mut of_anchor: Vec<f64> = if loss.off_dropout {
            let undropped = (0..size).filter(|&j| j != i).map(|j| pair(2 * size + i, 2 * size + j, false));
            undropped.chain([pair(i, size + i, true)]).collect()
        } else {
            documents().map(of_document).collect()
        };
        if let (Some(noise), Some(drawn)) = (loss.noise, &drawn) {
            let weight = f64::from(noise.weight).ln();
            of_anchor.extend(drawn.outer_iter().map(|row| of(z.row(i), row, false) + weight));
        }
        let mut directions = vec![of_anchor];
        let Directions { query_to_query, doc_to_query, doc_to_doc } = loss.directions;
        if query_to_query {
            directions.push((0..size).filter(|&j| j != i).map(|j| pair(i, j, false)).collect());
        }
        if doc_to_query {
            directions.push((0..size).map(|j| pair(size + i, j, j == i)).collect());
        }
        if doc_to_doc {
            let others = documents().filter(|row| row % size != i);
            directions.push(others.map(|row| pair(size + i, row, false)).collect());
        }
        let partition = match loss.partition {
            Partition::Joint => log_sum_exp(&directions.concat()),
            Partition::PerDirection => {
                directions.iter().map(|logits| log_sum_exp(logits)).sum::<f64>() / directions.len() as f64
            }
        };
        partition - pair(i, size + i, true)
    });
    Array2::from_elem((1, 1), losses.sum::<f64>() / size as f64)
}

fn losses() -> impl Strategy<Value = ContrastiveLoss> {
    let directions = (any::<bool>(), any::<bool>(), any::<bool>());
    let hardness = prop::sample::select(Hardness::ALL);
    (2..5usize, directions, any::<bool>(), hardness, 0.0..5.0f32, -1.0..2.0f32).prop_map(
        |(columns, (query_to_query, doc_to_query, doc_to_doc), per_direction, hardness, strength, weight)| {
            // Per direction, each must contain the positive.
            let mixed = query_to_query || doc_to_doc;
            ContrastiveLoss {
                columns,
                directions: Directions { query_to_query, doc_to_query, doc_to_doc },
                partition: if per_direction && !mixed { Partition::PerDirection } else { Partition::Joint },
                hardness,
                hardness_strength: strength,
                hard_negative_weight: weight,
                ..ContrastiveLoss::simcse(20.0)
            }
        },
    )
}

/// Losses that change the logits of negatives, with and without other directions.
fn variants() -> impl Strategy<Value = ContrastiveLoss> {
    let focal_m = prop::option::of(-0.5..1.0f32);
    let noise = prop::option::of((1..8usize, 0.1..3.0f32, any::<u64>(), any::<u32>()));
    (losses(), focal_m, any::<bool>(), prop::sample::select(&[1.0, 0.9][..]), noise).prop_map(
        |(loss, focal_m, off_dropout, pos_ratio, noise)| {
            let noise =
                noise.map(|(count, weight, seed, batch)| Noise { count, weight, philox: Philox::new(seed), batch });
            if off_dropout {
                return ContrastiveLoss {
                    columns: 3,
                    focal_m,
                    off_dropout,
                    pos_ratio,
                    noise,
                    ..ContrastiveLoss::simcse(20.0)
                };
            }
            let hardness = if focal_m.is_some() { Hardness::None } else { loss.hardness };
            ContrastiveLoss { hardness, focal_m, pos_ratio, noise, ..loss }
        },
    )
}

fn check_loss(loss: ContrastiveLoss, size: usize, width: usize, seed: u64) {
    let shape = (loss.columns * size, width);
    let case = Case { rows: Arc::new(Rows::default()), inputs: vec![shape], params: vec![], seed };
    let base = input(&case, 0).mapv(f64::from);
    check(&case, |tape, z, _| tape.contrastive(z[0], &loss, 0..size), |z, _| oracle(&z[0], &base, &loss));
}

/// The terms of `examples` in the loss of `z`, and their gradient.
fn terms(loss: &ContrastiveLoss, z: &Array2<f32>, examples: Range<usize>) -> (f32, Array2<f32>) {
    let params = Params::zeros(Arc::default());
    let mut buffers = BufferPool::new();
    let mut tape = Tape::new(&params, &mut buffers, Arc::new(Rows::default()), true);
    let z = tape.input(z.clone());
    let terms = tape.contrastive(z, loss, examples);
    let value = tape.value(terms)[[0, 0]];
    let mut grads = Grads::zeros(Arc::default());
    (value, tape.backward(&[(terms, ndarray::arr2(&[[1.0]]).view())], &mut grads).take(z))
}

proptest! {
    /// The terms of any two parts of the examples add up to those of all.
    #[test]
    fn the_loss_is_a_sum_over_examples(loss in variants(), size in 1..12usize, middle in 0..12usize, seed: u64) {
        let case =
            Case { rows: Arc::new(Rows::default()), inputs: vec![(loss.columns * size, 5)], params: vec![], seed };
        let z = input(&case, 0);
        let middle = middle.min(size);
        let (value, gradient) = terms(&loss, &z, 0..size);
        let (first, second) = (terms(&loss, &z, 0..middle), terms(&loss, &z, middle..size));
        prop_assert!((first.0 + second.0 - value).abs() <= 1e-5 * value.abs().max(1.0));
        let largest = gradient.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
        for ((a, b), whole) in first.1.iter().zip(&second.1).zip(&gradient) {
            prop_assert!((a + b - whole).abs() <= 1e-5 * largest, "{a} + {b}, not {whole}");
        }
    }

    /// Over up to four blocks of rows.
    #[test]
    fn the_default_agrees_with_f64(size in 1..18usize, width in 1..9usize, seed: u64) {
        check_loss(ContrastiveLoss::simcse(20.0), size, width, seed);
    }

    #[test]
    fn every_variant_agrees_with_f64(loss in variants(), size in 1..12usize, width in 1..6usize, seed: u64) {
        check_loss(loss, size, width, seed);
    }

    #[test]
    fn every_option_agrees_with_f64(loss in losses(), size in 1..12usize, width in 1..6usize, seed: u64) {
        check_loss(loss, size, width, seed);
    }
}

/// The default is the plain softmax of the similarities between the halves, as SimCSE has it.
#[test]
fn the_default_is_that_of_two_views() {
    let z = Array2::from_shape_fn((6, 2), |(i, j)| ((i * 2 + j) as f64).sin());
    let (z1, z2) = z.view().split_at(Axis(0), 3);
    let logits = z1.dot(&z2.t()) * 20.0;
    let each = (0..3).map(|i| log_sum_exp(&logits.slice(s![i, ..]).to_vec()) - logits[[i, i]]);
    let expected = each.sum::<f64>() / 3.0;
    let loss = ContrastiveLoss::simcse(20.0);
    assert!((oracle(&z, &z, &loss)[[0, 0]] - expected).abs() < 1e-12);
}
