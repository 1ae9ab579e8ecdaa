//! What the embeddings of a batch say besides their loss: how often an anchor finds its positive,
//! and the loss of a model that tells nothing apart.

use std::cell::Cell;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use simcse_tensor::{BufferPool, Precision};

use crate::step::batch::TokenizedBatch;
use crate::step::objectives::Objective;

/// Anchors that are looked at, at most: the first ones of a batch. A share of hundreds is precise
/// enough, and the cost stays linear in the size of the batch.
const ANCHORS: usize = 256;

/// An objective that also finds the [`in_batch_accuracy`] of what it is given.
pub(crate) struct Observed<'a> {
    objective: &'a dyn Objective,
    batch_size: usize,
    /// The number of views in which positives and negatives are looked for, without the anchors'.
    others: usize,
    accuracy: Cell<f64>,
}

impl<'a> Observed<'a> {
    pub(crate) fn new(objective: &'a dyn Objective, batch: &TokenizedBatch) -> Self {
        // The view without dropout is the same sentence once more.
        let others = batch.columns().max(2) - 1;
        Self { objective, batch_size: batch.len(), others, accuracy: Cell::new(0.0) }
    }

    pub(crate) fn accuracy(&self) -> f64 {
        self.accuracy.get()
    }
}

impl Objective for Observed<'_> {
    fn loss_and_gradient(
        &self,
        embeddings: Array2<f32>,
        examples: Range<usize>,
        batch: u32,
        precision: Precision,
        buffers: &mut BufferPool,
    ) -> (f32, Array2<f32>) {
        let rows = (1 + self.others) * self.batch_size;
        self.accuracy.set(in_batch_accuracy(embeddings.slice(s![..rows, ..]), self.batch_size));
        self.objective.loss_and_gradient(embeddings, examples, batch, precision, buffers)
    }
}

/// The share of anchors whose positive is more similar to them, by cosine, than every other text:
/// the positives of other anchors, and all hard negatives.
///
/// `embeddings` is (K·B, C) with the anchors in rows `0..B`, their positives in rows `B..2B`, and
/// hard negatives below. Nothing is drawn and nothing is added up across threads, so the share does
/// not depend on their number.
pub(crate) fn in_batch_accuracy(embeddings: ArrayView2<f32>, batch_size: usize) -> f64 {
    let anchors = batch_size.min(ANCHORS);
    let others = embeddings.slice(s![batch_size.., ..]);
    // The norm of the anchor is a factor of all of its similarities.
    let norm = |row: ndarray::ArrayView1<f32>| row.dot(&row).sqrt().max(f32::MIN_POSITIVE);
    let norms: Vec<f32> = others.rows().into_iter().map(norm).collect();
    let is_found = |anchor: &usize| {
        let z = embeddings.row(*anchor);
        let similarity = |other: usize| z.dot(&others.row(other)) / norms[other];
        let positive = similarity(*anchor);
        (0..others.nrows()).all(|other| other == *anchor || similarity(other) < positive)
    };
    let found = (0..anchors).into_par_iter().filter(is_found).count();
    found as f64 / anchors as f64
}

/// The loss of a model whose embeddings are all the same, for a batch of `examples` examples with
/// `views` views each: ln B for the plain contrastive loss.
pub(crate) fn loss_of_chance(objective: &dyn Objective, examples: usize, views: usize, width: usize) -> f64 {
    let same = Array2::from_elem((views * examples, width), 1.0);
    let (loss, _) = objective.loss_and_gradient(same, 0..examples, 0, Precision::F32, &mut BufferPool::new());
    loss.into()
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use simcse_tensor::ContrastiveLoss;

    use super::*;

    #[test]
    fn an_anchor_finds_its_positive_among_positives_and_hard_negatives() {
        let anchors = array![[1.0, 0.0], [0.0, 2.0]];
        let positives = array![[3.0, 1.0], [1.0, 0.5]];
        let pairs = ndarray::concatenate![ndarray::Axis(0), anchors, positives];
        // The second anchor: a cosine of 0.45 with its own positive, of 0.32 with the other one.
        assert_eq!(in_batch_accuracy(pairs.view(), 2), 1.0);
        let negatives = array![[9.0, 0.1], [-1.0, 0.0]];
        let triplets = ndarray::concatenate![ndarray::Axis(0), pairs, negatives];
        assert_eq!(in_batch_accuracy(triplets.view(), 2), 0.5);
    }

    #[test]
    fn embeddings_that_are_all_the_same_find_nothing() {
        assert_eq!(in_batch_accuracy(Array2::ones((6, 3)).view(), 3), 0.0);
        assert_eq!(in_batch_accuracy(Array2::zeros((6, 3)).view(), 3), 0.0);
    }

    #[test]
    fn the_loss_of_chance_is_the_logarithm_of_the_number_of_candidates() {
        let pairs = ContrastiveLoss::simcse(20.0);
        assert!((loss_of_chance(&pairs, 64, 2, 8) - 64f64.ln()).abs() < 1e-5);
        let triplets = ContrastiveLoss { columns: 3, ..pairs };
        assert!((loss_of_chance(&triplets, 10, 3, 8) - 20f64.ln()).abs() < 1e-5);
    }
}
