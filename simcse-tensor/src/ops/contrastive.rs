//! The contrastive loss of rows of unit length, with in-batch and hard negatives.
//!
//! An example has several texts: an anchor, its positive, and any number of hard negatives. In `z`
//! (K·B, C) they are columns: the rows `0..B` are the anchors `q`, the rows `B..2B` their positives
//! `d¹`, and so on. With logits `scale·cos`, the loss is
//!
//! `mean_i ( log Σ_candidates e^{logit} − scale·qᵢ·d¹ᵢ )`,
//!
//! where the candidates of anchor `i` are all rows of all `d` and, by option, pairs in other
//! directions: see [`ContrastiveLoss`]. PyTorch, without options: `cross_entropy(scale * q @ d.T,
//! torch.arange(B))`.
//!
//! The matrix of similarities never exists as a whole. The loss is a single number, so its gradient
//! is known, up to a factor, as soon as a row's softmax is: a block of rows is computed, turned
//! into its own gradient in place, and multiplied into `dz` before the next one. Only these last
//! products are rounded to `precision`: in the similarities, the scale would multiply the error.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use crate::gemm::{Addend, gemm, gemm_scratch_bytes};
use crate::named::Named;
use crate::ops::elementwise::{CHUNK, flat_mut};
use crate::precision::Precision;
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// How many anchors' similarities exist at a time. In tests, few enough that their small batches
/// have several blocks and a last one that is not full.
const ROWS: usize = if cfg!(test) { 5 } else { 1024 };
/// The similarity of a pair that is not a candidate: its exponential is 0.
const NO_CANDIDATE: f32 = -1e30;

/// Which pairs an anchor's positive is compared with, in addition to the anchor and all documents.
///
/// sentence-transformers: `directions` of `MultipleNegativesRankingLoss`, where `query_to_doc` is
/// always included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directions {
    /// The anchor and all other anchors.
    pub query_to_query: bool,
    /// The positive and all anchors.
    pub doc_to_query: bool,
    /// The positive and the documents of all other anchors.
    pub doc_to_doc: bool,
}

/// Whether the directions share one softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// One softmax over all candidates of all directions.
    #[default]
    Joint,
    /// A softmax for each direction; their losses are averaged.
    PerDirection,
}

impl Named for Partition {
    const ALL: &'static [Self] = &[Self::Joint, Self::PerDirection];

    fn name(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::PerDirection => "per_direction",
        }
    }
}

/// Which negatives of an anchor count for more, the more similar they are.
///
/// sentence-transformers: `hardness_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hardness {
    /// None.
    #[default]
    None,
    /// All documents of the other examples. Lan et al. 2025, equation 5.
    InBatchNegatives,
    /// The example's own hard negatives.
    HardNegatives,
    /// Both.
    AllNegatives,
}

impl Named for Hardness {
    const ALL: &'static [Self] = &[Self::None, Self::InBatchNegatives, Self::HardNegatives, Self::AllNegatives];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::InBatchNegatives => "in_batch_negatives",
            Self::HardNegatives => "hard_negatives",
            Self::AllNegatives => "all_negatives",
        }
    }
}

impl Hardness {
    /// Whether a document of column `column` (0 for positives), which is the anchor's `own` or
    /// another one's, counts for more.
    fn applies(self, own: bool, column: usize) -> bool {
        match self {
            Self::None => false,
            Self::InBatchNegatives => !own,
            Self::HardNegatives => own && column > 0,
            Self::AllNegatives => !own || column > 0,
        }
    }
}

/// A contrastive loss and its options.
///
/// sentence-transformers: `MultipleNegativesRankingLoss` with cosine similarity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastiveLoss {
    /// Texts per example, 2 or more: the anchor, its positive, and its hard negatives.
    pub columns: usize,
    /// The factor on cosine similarities: the inverse of the temperature.
    pub scale: f32,
    /// Further candidates.
    pub directions: Directions,
    /// Whether all candidates share one softmax.
    pub partition: Partition,
    /// Which logits of anchor and document are raised by `hardness_strength · cos`, as a constant.
    pub hardness: Hardness,
    /// The factor of `hardness`, 0 or more.
    pub hardness_strength: f32,
    /// Added to the logits of an anchor and its own hard negatives. princeton-nlp/SimCSE:
    /// `hard_negative_weight`.
    pub hard_negative_weight: f32,
}

impl ContrastiveLoss {
    /// SimCSE's loss (Gao et al. 2021, equation 4): two views of each sentence, in-batch negatives.
    #[must_use]
    pub const fn simcse(scale: f32) -> Self {
        Self {
            columns: 2,
            scale,
            directions: Directions { query_to_query: false, doc_to_query: false, doc_to_doc: false },
            partition: Partition::Joint,
            hardness: Hardness::None,
            hardness_strength: 0.0,
            hard_negative_weight: 0.0,
        }
    }

    /// The rows of `z` that anchors and that positives are compared with, for `size` examples. The
    /// second range is empty unless a direction asks for it.
    fn candidates(&self, size: usize) -> [Range<usize>; 2] {
        let Directions { query_to_query, doc_to_query, doc_to_doc } = self.directions;
        let first = |anchors: bool| if anchors { 0 } else { size };
        let last = |documents: bool| if documents { self.columns * size } else { size };
        let of_positives = if doc_to_query || doc_to_doc { first(doc_to_query)..last(doc_to_doc) } else { 0..0 };
        [first(query_to_query)..last(true), of_positives]
    }

    /// Whether the similarities are the logits, up to the scale.
    fn is_plain(&self) -> bool {
        let Directions { query_to_query, doc_to_doc, .. } = self.directions;
        let hard = self.columns > 2 && self.hard_negative_weight != 0.0;
        !query_to_query && !doc_to_doc && self.hardness == Hardness::None && !hard
    }
}

/// The bytes of memory that the loss needs in addition to `z` and its gradient, for `size` examples
/// and embeddings of `width` values.
pub fn contrastive_scratch_bytes(loss: &ContrastiveLoss, size: usize, width: usize) -> usize {
    let [rows, columns] = <[usize; 2]>::from(similarities_shape(loss, size));
    let widest = loss.candidates(size).map(|rows| rows.len()).into_iter().max().unwrap_or(0);
    rows * columns * size_of::<f32>() + gemm_scratch_bytes(Precision::F32, width, widest)
}

/// The shape of the buffer of similarities that the forward needs.
pub(crate) fn similarities_shape(loss: &ContrastiveLoss, size: usize) -> (usize, usize) {
    (ROWS.min(size), loss.candidates(size).map(|rows| rows.len()).iter().sum())
}

/// Returns the loss and writes its gradient `dz` (K·B, C), using `similarities`, whose shape is
/// [`similarities_shape`], as working memory.
pub(crate) fn forward(
    precision: Precision,
    z: &Array2<f32>,
    loss: &ContrastiveLoss,
    similarities: &mut Array2<f32>,
    dz: &mut Array2<f32>,
) -> f32 {
    let size = z.nrows() / loss.columns;
    let width = z.ncols();
    let [of_anchors, of_positives] = loss.candidates(size);
    let [anchors_width, positives_width] = [&of_anchors, &of_positives].map(Range::len);
    let dz = flat_mut(dz);
    dz.fill(0.0);
    let mut sum = 0.0;
    for first in (0..size).step_by(ROWS) {
        let count = ROWS.min(size - first);
        let (anchors, positives) = flat_mut(similarities).split_at_mut(count * anchors_width);
        let positives = &mut positives[..count * positives_width];
        let sides = [(first, &of_anchors), (size + first, &of_positives)];
        for ((left, right), out) in sides.into_iter().zip([&mut *anchors, &mut *positives]) {
            let left = z.slice(s![left..left + count, ..]);
            gemm(Precision::F32, left, z.slice(s![right.clone(), ..]).t(), Addend::Zero, &[width], out);
        }
        sum += cross_entropy(Block { loss, size, first, anchors: &mut *anchors, positives: &mut *positives });
        for ((left, right), ds) in sides.into_iter().zip([&*anchors, &*positives]) {
            if right.is_empty() {
                continue;
            }
            let ds = ArrayView2::from_shape((count, right.len()), ds).expect("rows of the similarities");
            let candidates = z.slice(s![right.clone(), ..]);
            let dleft = &mut dz[left * width..(left + count) * width];
            gemm(precision, ds, candidates, Addend::Existing, &[right.len()], dleft);
            let dright = &mut dz[right.start * width..right.end * width];
            gemm(precision, ds.t(), z.slice(s![left..left + count, ..]), Addend::Existing, &[count], dright);
        }
    }
    (sum / size as f64) as f32
}

/// Multiplies `dz`, which the forward wrote for a loss of weight 1, by `dloss`.
pub(crate) fn backward(dz: &mut Array2<f32>, dloss: f32) {
    flat_mut(dz).par_chunks_mut(CHUNK).for_each(|dz| dz.iter_mut().for_each(|dz| *dz *= dloss));
}

/// The similarities of some examples, from number `first` on, of a batch of `size`.
pub(crate) struct Block<'a> {
    pub(crate) loss: &'a ContrastiveLoss,
    pub(crate) size: usize,
    pub(crate) first: usize,
    /// A row for each anchor: its similarities to its candidates.
    pub(crate) anchors: &'a mut [f32],
    /// A row for each positive, or nothing.
    pub(crate) positives: &'a mut [f32],
}

/// Overwrites similarities with the gradient of the mean loss and returns the sum of the examples'
/// losses.
pub(crate) fn cross_entropy(block: Block) -> f64 {
    let Block { loss, size, first, anchors, positives } = block;
    let widths = loss.candidates(size).map(|rows| rows.len());
    let anchors = anchors.par_chunks_exact_mut(widths[0]);
    let losses: Vec<f64> = if positives.is_empty() {
        let of_row = |(i, anchor)| dispatch(Example { loss, size, number: first + i, anchor, positive: &mut [] });
        anchors.enumerate().map(of_row).collect()
    } else {
        let of_row = |(i, (anchor, positive))| dispatch(Example { loss, size, number: first + i, anchor, positive });
        anchors.zip(positives.par_chunks_exact_mut(widths[1])).enumerate().map(of_row).collect()
    };
    losses.iter().sum()
}

/// The similarities of one example.
struct Example<'a> {
    loss: &'a ContrastiveLoss,
    size: usize,
    number: usize,
    /// Those of the anchor.
    anchor: &'a mut [f32],
    /// Those of the positive; empty unless a direction asks for them.
    positive: &'a mut [f32],
}

impl Example<'_> {
    /// Turns similarities into logits divided by the scale.
    fn apply_options(&mut self) {
        let Self { loss, size, number, anchor, positive } = self;
        let [of_anchors, of_positives] = loss.candidates(*size);
        let raised = 1.0 + loss.hardness_strength / loss.scale;
        let weight = loss.hard_negative_weight / loss.scale;
        for (row, similarity) in of_anchors.zip(anchor.iter_mut()) {
            let own = row % *size == *number;
            match row / *size {
                0 if own => *similarity = NO_CANDIDATE,
                0 => {}
                text => {
                    if loss.hardness.applies(own, text - 1) {
                        *similarity *= raised;
                    }
                    if own && text > 1 {
                        *similarity += weight;
                    }
                }
            }
        }
        for (row, similarity) in of_positives.zip(positive.iter_mut()) {
            if row >= *size && row % *size == *number {
                *similarity = NO_CANDIDATE;
            }
        }
    }
}

impl Kernel for Example<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S, _: &mut [f32]) -> f64 {
        if !self.loss.is_plain() {
            self.apply_options();
        }
        let Self { loss, size, number, anchor, positive } = self;
        let scale = loss.scale;
        let label = size + number - loss.candidates(size)[0].start;
        let right = f64::from(scale) * f64::from(anchor[label]);
        // The sum is f64, and the two large terms come first: with logits of 10³⁰ they cancel, and
        // in f32 the small one would be lost.
        let excess = |[highest, total]: [f32; 2]| f64::from(highest) - right + f64::from(total).ln();
        let value = if positive.is_empty() {
            excess(math::softmax(s, scale, anchor))
        } else if loss.partition == Partition::Joint {
            excess(math::softmax_of_two(s, scale, anchor, positive))
        } else {
            let value = [&mut *anchor, &mut *positive].map(|row| excess(math::softmax(s, scale, row)));
            let half = s.splat(0.5);
            [&mut *anchor, &mut *positive].into_iter().for_each(|row| math::map(s, row, |x| s.mul(x, half)));
            (value[0] + value[1]) / 2.0
        };
        anchor[label] -= 1.0;
        let factor = s.splat(scale / size as f32);
        math::map(s, anchor, |x| s.mul(x, factor));
        math::map(s, positive, |x| s.mul(x, factor));
        value
    }
}

#[cfg(test)]
#[path = "tests/contrastive.rs"]
mod tests;
