//! The contrastive loss of rows of unit length, with in-batch and hard negatives.
//!
//! An example has several texts: an anchor, its positive, and any number of hard negatives. In `z`
//! (K·B, C) they are columns: the rows `0..B` are the anchors `q`, the rows `B..2B` their positives
//! `d¹`, and so on. With logits `scale·cos`, the loss is
//!
//! `mean_i ( log Σ_candidates e^{logit} − scale·qᵢ·d¹ᵢ )`,
//!
//! where the candidates of anchor `i` are all rows of all `d` and, by option, pairs in other
//! directions and noise: see [`ContrastiveLoss`], whose options also change logits. PyTorch,
//! without options: `cross_entropy(scale * q @ d.T, torch.arange(B))`.
//!
//! The matrix of similarities never exists as a whole. The loss is a single number, so its gradient
//! is known, up to a factor, as soon as a row's softmax is: a block of rows is computed, turned
//! into its own gradient in place, and multiplied into `dz` before the next one. Only these last
//! products are rounded to `precision`: in the similarities, the scale would multiply the error.

pub(crate) mod example;
pub(crate) mod loss;
pub(crate) mod noise;

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use crate::gemm::{Addend, gemm, gemm_scratch_bytes};
use crate::ops::contrastive::example::{Block, cross_entropy, example_scratch};
use crate::ops::contrastive::loss::{ContrastiveLoss, NOISE};
use crate::ops::elementwise::{CHUNK, flat_mut};
use crate::precision::Precision;

/// How many anchors' similarities exist at a time. In tests, few enough that their small batches
/// have several blocks and a last one that is not full.
const ROWS: usize = if cfg!(test) { 5 } else { 1024 };

/// The bytes of memory that the loss needs in addition to `z` and its gradient, for `size` examples
/// and embeddings of `width` values.
pub fn contrastive_scratch_bytes(loss: &ContrastiveLoss, size: usize, width: usize) -> usize {
    let [rows, columns] = <[usize; 2]>::from(similarities_shape(loss, size));
    let widest = loss.widths(size).into_iter().fold(0, usize::max);
    let noise = loss.widths(size)[NOISE] * width;
    let examples = rayon::current_num_threads() * example_scratch(loss, size);
    (rows * columns + noise + examples) * size_of::<f32>() + gemm_scratch_bytes(Precision::F32, width, widest)
}

/// The shape of the buffer of similarities that the forward needs.
pub(crate) fn similarities_shape(loss: &ContrastiveLoss, size: usize) -> (usize, usize) {
    (ROWS.min(size), loss.widths(size).iter().sum())
}

/// Returns the terms of `examples` in the loss, which is the sum of a term for each of `0..B`, and
/// writes their gradient `dz` (K·B, C), using `similarities`, whose shape is
/// [`similarities_shape`], as working memory. `noise` (M, C) are the rows of
/// [`ContrastiveLoss::noise`].
pub(crate) fn forward(
    precision: Precision,
    z: &Array2<f32>,
    noise: &Array2<f32>,
    loss: &ContrastiveLoss,
    examples: Range<usize>,
    similarities: &mut Array2<f32>,
    dz: &mut Array2<f32>,
) -> f32 {
    let size = z.nrows() / loss.columns;
    let width = z.ncols();
    let sides = loss.sides(size);
    let dz = flat_mut(dz);
    dz.fill(0.0);
    let mut sum = 0.0;
    for first in examples.clone().step_by(ROWS) {
        let count = ROWS.min(examples.end - first);
        let mut rest = flat_mut(similarities);
        let mut parts = loss.widths(size).map(|width| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(count * width);
            rest = after;
            part
        });
        let left = |column: usize| z.slice(s![column + first..column + first + count, ..]);
        let right = |side: usize| if side == NOISE { noise } else { z }.slice(s![sides[side].1.clone(), ..]);
        for (side, out) in parts.iter_mut().enumerate().filter(|(_, out)| !out.is_empty()) {
            gemm(Precision::F32, left(sides[side].0), right(side).t(), Addend::Zero, &[width], out);
        }
        sum += cross_entropy(Block { loss, size, first, parts: parts.each_mut().map(|part| &mut **part) });
        for (side, ds) in parts.iter().enumerate().filter(|(_, ds)| !ds.is_empty()) {
            let (column, candidates) = &sides[side];
            let ds = ArrayView2::from_shape((count, candidates.len()), ds).expect("rows of the similarities");
            let dleft = &mut dz[(column + first) * width..(column + first + count) * width];
            gemm(precision, ds, right(side), Addend::Existing, &[candidates.len()], dleft);
            // Noise is a constant.
            if side != NOISE {
                let dright = &mut dz[candidates.start * width..candidates.end * width];
                gemm(precision, ds.t(), left(*column), Addend::Existing, &[count], dright);
            }
        }
    }
    (sum / size as f64) as f32
}

/// Multiplies `dz`, which the forward wrote for a loss of weight 1, by `dloss`.
pub(crate) fn backward(dz: &mut Array2<f32>, dloss: f32) {
    flat_mut(dz).par_chunks_mut(CHUNK).for_each(|dz| dz.iter_mut().for_each(|dz| *dz *= dloss));
}

#[cfg(test)]
#[path = "tests/contrastive.rs"]
mod tests;
