use std::sync::Arc;

use ndarray::{Array2, Axis, s};
use proptest::prelude::*;

use super::*;
use crate::Rows;
use crate::ops::testing::{Case, check, input};

/// The logits of every pair of rows, without any option: `scale·z·zᵀ`.
fn logits(z: &Array2<f64>, loss: &ContrastiveLoss) -> Array2<f64> {
    z.dot(&z.t()) * f64::from(loss.scale)
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
    let logits = logits(z, loss);
    let losses = (0..size).map(|i| {
        let weight =
            |row: usize| if row % size == i && row >= 2 * size { f64::from(loss.hard_negative_weight) } else { 0.0 };
        let logit = |row| logits[[i, row]] + weight(row) + penalty(base, loss, size, i, row);
        let mut directions = vec![documents().map(logit).collect::<Vec<f64>>()];
        let Directions { query_to_query, doc_to_query, doc_to_doc } = loss.directions;
        if query_to_query {
            directions.push((0..size).filter(|&j| j != i).map(|j| logits[[i, j]]).collect());
        }
        if doc_to_query {
            directions.push((0..size).map(|j| logits[[size + i, j]]).collect());
        }
        if doc_to_doc {
            directions.push(documents().filter(|row| row % size != i).map(|row| logits[[size + i, row]]).collect());
        }
        let partition = match loss.partition {
            Partition::Joint => log_sum_exp(&directions.concat()),
            Partition::PerDirection => {
                directions.iter().map(|logits| log_sum_exp(logits)).sum::<f64>() / directions.len() as f64
            }
        };
        partition - logits[[i, size + i]]
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
                scale: 20.0,
                directions: Directions { query_to_query, doc_to_query, doc_to_doc },
                partition: if per_direction && !mixed { Partition::PerDirection } else { Partition::Joint },
                hardness,
                hardness_strength: strength,
                hard_negative_weight: weight,
            }
        },
    )
}

fn check_loss(loss: ContrastiveLoss, size: usize, width: usize, seed: u64) {
    let shape = (loss.columns * size, width);
    let case = Case { rows: Arc::new(Rows::default()), inputs: vec![shape], params: vec![], seed };
    let base = input(&case, 0).mapv(f64::from);
    check(&case, |tape, z, _| tape.contrastive(z[0], &loss), |z, _| oracle(&z[0], &base, &loss));
}

proptest! {
    /// Over up to four blocks of rows.
    #[test]
    fn the_default_agrees_with_f64(size in 1..18usize, width in 1..9usize, seed: u64) {
        check_loss(ContrastiveLoss::simcse(20.0), size, width, seed);
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
