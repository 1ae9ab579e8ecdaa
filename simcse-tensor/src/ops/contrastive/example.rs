//! The similarities of an example, its loss, and its gradient with respect to them.

use rayon::prelude::*;

use crate::ops::contrastive::loss::{ANCHORS, ContrastiveLoss, NOISE, OTHERS, Partition, SIDES};
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// The similarity of a pair that is not a candidate: its exponential is 0.
const NO_CANDIDATE: f32 = -1e30;

/// The similarities of some examples, from number `first` on, of a batch of `size`.
pub(crate) struct Block<'a> {
    pub(crate) loss: &'a ContrastiveLoss,
    pub(crate) size: usize,
    pub(crate) first: usize,
    /// For each of [`ContrastiveLoss::sides`], a row for each example, or nothing.
    pub(crate) parts: [&'a mut [f32]; SIDES],
}

/// Overwrites similarities with the gradient of the mean loss and returns the sum of the examples'
/// losses.
pub(crate) fn cross_entropy(block: Block) -> f64 {
    let Block { loss, size, first, mut parts } = block;
    let widths = loss.widths(size);
    let count = parts[ANCHORS].len() / widths[ANCHORS];
    let mut row_of = |side: usize| parts[side].split_off_mut(..widths[side]).expect("a row for each example");
    let examples: Vec<_> =
        (0..count).map(|i| Example { loss, size, number: first + i, rows: std::array::from_fn(&mut row_of) }).collect();
    let losses: Vec<f64> = examples.into_par_iter().map(dispatch).collect();
    losses.iter().sum()
}

/// The number of values of scratch memory that an example needs.
pub(super) fn example_scratch(loss: &ContrastiveLoss, size: usize) -> usize {
    if loss.is_modulated() { loss.widths(size).iter().sum() } else { 0 }
}

/// The similarities of one example.
struct Example<'a> {
    loss: &'a ContrastiveLoss,
    size: usize,
    number: usize,
    /// One row for each of [`ContrastiveLoss::sides`]; empty unless an option asks for it.
    rows: [&'a mut [f32]; SIDES],
}

/// What the two rows of a similarity are to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// The anchor and its positive.
    Positive,
    Negative,
    /// Not compared.
    NoCandidate,
}

impl Example<'_> {
    /// What the example's row on the left of `side` and row `right` are to each other.
    fn pair(&self, side: usize, right: usize) -> Pair {
        let own = side != NOISE && right % self.size == self.number;
        let document = right >= self.size;
        match (side, own) {
            (ANCHORS, true) if right / self.size == 1 => Pair::Positive,
            (ANCHORS, false) if self.loss.off_dropout => Pair::NoCandidate,
            // An anchor and itself.
            (ANCHORS, true) if !document => Pair::NoCandidate,
            (OTHERS, true) if document => Pair::NoCandidate,
            // The positive and its anchor.
            (OTHERS, true) => Pair::Positive,
            _ => Pair::Negative,
        }
    }

    /// Turns similarities into logits divided by the scale.
    fn apply_options(&mut self) {
        let loss = self.loss;
        let margin = |pair| if pair == Pair::Negative { loss.focal_m.unwrap_or(0.0) } else { 0.0 };
        let raised = 1.0 + loss.hardness_strength / loss.scale;
        let hard_negative = loss.hard_negative_weight / loss.scale;
        let noise = loss.noise.map_or(0.0, |noise| noise.weight.ln() / loss.scale);
        for (side, (_, candidates)) in loss.sides(self.size).into_iter().enumerate() {
            for (i, right) in candidates.enumerate() {
                let pair = self.pair(side, right);
                let own = right % self.size == self.number;
                let column = right / self.size;
                let mut logit = self.rows[side][i];
                if loss.focal_m.is_some() {
                    logit *= logit + margin(pair);
                }
                match (side, pair) {
                    (_, Pair::NoCandidate) => logit = NO_CANDIDATE,
                    (_, Pair::Positive) => logit *= loss.pos_ratio,
                    (NOISE, _) => logit += noise,
                    (ANCHORS, Pair::Negative) if column > 0 => {
                        if loss.hardness.applies(own, column - 1) {
                            logit *= raised;
                        }
                        if own {
                            logit += hard_negative;
                        }
                    }
                    _ => {}
                }
                self.rows[side][i] = logit;
            }
        }
    }

    /// Multiplies gradients of logits by the logits' slopes: the gradient with respect to the
    /// `cosines`, which are those of all rows, one after another.
    fn multiply_by_slopes(&mut self, mut cosines: &[f32]) {
        let loss = self.loss;
        for (side, (_, candidates)) in loss.sides(self.size).into_iter().enumerate() {
            let (of_side, rest) = cosines.split_at(candidates.len());
            cosines = rest;
            for (i, right) in candidates.enumerate() {
                let pair = self.pair(side, right);
                let ratio = if pair == Pair::Positive { loss.pos_ratio } else { 1.0 };
                let slope = match (loss.focal_m, pair) {
                    (Some(m), Pair::Negative) => 2.0 * of_side[i] + m,
                    (Some(_), _) => 2.0 * of_side[i],
                    (None, _) => 1.0,
                };
                self.rows[side][i] *= ratio * slope;
            }
        }
    }
}

impl Kernel for Example<'_> {
    type Output = f64;

    fn scratch(&self, _: usize) -> usize {
        example_scratch(self.loss, self.size)
    }

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S, cosines: &mut [f32]) -> f64 {
        let Self { loss, size, number, .. } = self;
        if loss.is_modulated() {
            let mut copies = &mut *cosines;
            for row in &self.rows {
                let copy = copies.split_off_mut(..row.len()).expect("room for every row");
                copy.copy_from_slice(row);
            }
        }
        if !loss.is_plain() {
            self.apply_options();
        }
        let scale = loss.scale;
        let label = size + number - loss.sides(size)[ANCHORS].1.start;
        let [anchor, other, noise] = self.rows.each_mut().map(|row| &mut **row);
        let right = f64::from(scale) * f64::from(anchor[label]);
        // The sum is f64, and the two large terms come first: with logits of 10³⁰ they cancel, and
        // in f32 the small one would be lost.
        let excess = |[highest, total]: [f32; 2]| f64::from(highest) - right + f64::from(total).ln();
        let joint = loss.partition == Partition::Joint || loss.off_dropout;
        let value = if joint || other.is_empty() {
            excess(math::softmax_of_rows(s, scale, [&mut *anchor, other, noise]))
        } else {
            let of_anchor = excess(math::softmax_of_rows(s, scale, [&mut *anchor, &mut *noise]));
            let of_positive = excess(math::softmax(s, scale, other));
            let half = s.splat(0.5);
            [&mut *anchor, other, noise].into_iter().for_each(|row| math::map(s, row, |x| s.mul(x, half)));
            (of_anchor + of_positive) / 2.0
        };
        self.rows[ANCHORS][label] -= 1.0;
        if loss.is_modulated() {
            self.multiply_by_slopes(cosines);
        }
        let factor = s.splat(scale / size as f32);
        self.rows.iter_mut().for_each(|row| math::map(s, row, |x| s.mul(x, factor)));
        value
    }
}
