//! The cross-entropy of tokens, predicted from hidden states by a product with the vocabulary:
//! `logits = x·Eᵀ + b`, `ℓᵢ = log Σ_v e^{logits[i][v]} − logits[i][labelᵢ]`.
//!
//! PyTorch: `cross_entropy(linear(x, E, b), labels, reduction="none")`. `x` (M, C), `E` (V, C), `b`
//! (V), labels (M). In masked language models `E` is the table of word embeddings.
//!
//! The logits never exist as a whole. As in the contrastive loss, the gradient is known, up to a
//! factor that the caller knows in advance, as soon as a row's softmax is: a few rows of logits are
//! computed, turned into their own gradient in place, and multiplied into all three gradients
//! before the next ones.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use crate::buffers::scratch;
use crate::gemm::{Addend, gemm, gemm_scratch_bytes, gemm_with_row_sums};
use crate::ops::elementwise::flat_mut;
use crate::precision::Precision;
use crate::profile::{Part, time};
use crate::rows::Rows;
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// How many logits exist at a time, unless one row has more. Few rows at a time would be slow,
/// because every product packs all of `E`. In tests, few enough that there are several parts.
const LOGITS: usize = if cfg!(test) { 30 } else { 8 << 20 };

/// Predicts tokens from hidden states.
///
/// ```
/// use ndarray::array;
/// use simcse_tensor::{Precision, Predictions, Rows, VocabularyLoss};
///
/// // Two hidden states, one of each of two sentences, and a vocabulary of three.
/// let x = array![[1.0, 0.0], [0.0, 1.0]];
/// let embeddings = array![[9.0, 0.0], [0.0, 9.0], [0.0, 0.0]];
/// let rows = Rows::new([1, 1], vec![0, 1]);
/// let loss = VocabularyLoss {
///     embeddings: embeddings.view(),
///     bias: &[0.0; 3],
///     labels: &[0, 2],
///     scale: 0.5,
///     precision: Precision::F32,
/// };
/// let (mut dx, mut dembeddings, mut dbias) = (x.clone(), vec![0.0; 6], vec![0.0; 3]);
/// let mut found = Predictions::default();
/// loss.forward_backward(&x, &rows, &mut dx, &mut dembeddings, &mut dbias, &mut found);
/// assert_eq!(found.correct, 1);
/// assert!((found.sum - 9.0).abs() < 0.01); // nearly 0 for the first, nearly 9 for the second
/// assert!((dbias[2] + 0.5).abs() < 0.01); // half of −1
/// ```
#[derive(Clone, Copy, Debug)]
pub struct VocabularyLoss<'a> {
    /// `E` (V, C).
    pub embeddings: ArrayView2<'a, f32>,
    /// `b` (V).
    pub bias: &'a [f32],
    /// The token to predict from each row, (M).
    pub labels: &'a [u32],
    /// The factor of the sum of losses in what is differentiated: `1/M` for the mean.
    pub scale: f32,
    /// What the operands of the products are rounded to.
    pub precision: Precision,
}

/// What a [`VocabularyLoss`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Predictions {
    /// The sum of all losses, without the scale.
    pub sum: f64,
    /// How many labels have the largest logit.
    pub correct: usize,
}

/// The bytes of memory that the loss needs in addition to its arguments.
pub fn vocabulary_loss_scratch_bytes(precision: Precision, vocabulary: usize, width: usize) -> usize {
    let products = [
        gemm_scratch_bytes(precision, width, vocabulary),
        gemm_scratch_bytes(precision, vocabulary, width),
        gemm_scratch_bytes(precision, rows_at_a_time(vocabulary), width),
    ];
    let logits = rows_at_a_time(vocabulary) * vocabulary * size_of::<f32>();
    logits + products.into_iter().fold(0, usize::max)
}

fn rows_at_a_time(vocabulary: usize) -> usize {
    (LOGITS / vocabulary.max(1)).max(1)
}

impl VocabularyLoss<'_> {
    /// Adds the losses of `x` (M, C) to `found`, row by row. Writes `dx` (M, C) and adds to
    /// `dembeddings` (V, C) and `dbias` (V), with one partial sum per block of `rows`, which says
    /// whose rows those of `x` are.
    ///
    /// # Panics
    /// If the shapes do not fit together, or a label is not below V.
    pub fn forward_backward(
        &self,
        x: &Array2<f32>,
        rows: &Rows,
        dx: &mut Array2<f32>,
        dembeddings: &mut [f32],
        dbias: &mut [f32],
        found: &mut Predictions,
    ) {
        let (vocabulary, width) = self.embeddings.dim();
        assert_eq!((dx.dim(), dembeddings.len(), dbias.len()), (x.dim(), vocabulary * width, vocabulary));
        let dx = flat_mut(dx);
        self.each_chunk(x, rows, |Chunk { rows, ends }, x, logits| {
            self.cross_entropy(&self.labels[rows.clone()], logits, found);
            let dx = &mut dx[rows.start * width..rows.end * width];
            let dlogits = ArrayView2::from_shape((rows.len(), vocabulary), &*logits).expect("rows of logits");
            gemm(self.precision, dlogits, self.embeddings, Addend::Zero, &[vocabulary], dx);
            gemm_with_row_sums(self.precision, dlogits.t(), x, Addend::Existing, ends, dbias, dembeddings);
        });
    }

    /// Adds the losses of `x` (M, C), whose sentences are those of `rows`, to `found`.
    ///
    /// # Panics
    /// If the shapes do not fit together, or a label is not below V.
    pub fn forward(&self, x: &Array2<f32>, rows: &Rows, found: &mut Predictions) {
        self.each_chunk(x, rows, |chunk, _, logits| {
            self.cross_entropy(&self.labels[chunk.rows.clone()], logits, found);
        });
    }

    /// Calls `of_chunk` with each chunk's rows of `x` and their logits.
    fn each_chunk(&self, x: &Array2<f32>, rows: &Rows, mut of_chunk: impl FnMut(&Chunk, ArrayView2<f32>, &mut [f32])) {
        let (vocabulary, width) = self.embeddings.dim();
        assert_eq!(x.dim(), (self.labels.len(), width), "vocabulary loss: the hidden states");
        assert_eq!(rows.tokens(), x.nrows(), "vocabulary loss: rows of sentences");
        let outside = self.labels.iter().find(|&&label| label as usize >= vocabulary);
        assert!(outside.is_none(), "vocabulary loss: label {outside:?} of a vocabulary of {vocabulary}");
        for chunk in chunks(rows, rows_at_a_time(vocabulary)) {
            scratch::with(chunk.rows.len() * vocabulary, |logits| {
                let x = x.slice(s![chunk.rows.clone(), ..]);
                time(Part::VOCABULARY, || {
                    gemm(self.precision, x, self.embeddings.t(), Addend::Bias(self.bias), &[width], logits);
                    of_chunk(&chunk, x, logits);
                });
            });
        }
    }

    /// Overwrites logits with their gradient, and adds the losses to `found`.
    fn cross_entropy(&self, labels: &[u32], logits: &mut [f32], found: &mut Predictions) {
        let rows = logits.par_chunks_exact_mut(self.bias.len()).zip(labels);
        let of_row = |(logits, &label)| dispatch(Row { label: label as usize, scale: self.scale, logits });
        let losses: Vec<(f64, bool)> = rows.map(of_row).collect();
        // One by one, so that the sum does not depend on which rows were computed together.
        for (loss, correct) in losses {
            found.sum += loss;
            found.correct += usize::from(correct);
        }
    }
}

/// Consecutive rows whose logits exist at the same time, and the ends of their partial sums,
/// counted from the first of the rows.
struct Chunk {
    rows: Range<usize>,
    ends: Vec<usize>,
}

/// Splits rows into chunks of at most `most` rows. A partial sum ends at the end of each block, and
/// after every `most` rows of a block: where it ends does not depend on other blocks.
fn chunks(rows: &Rows, most: usize) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for end in rows.block_ends() {
        loop {
            let start = chunks.last().map_or(0, |chunk| chunk.rows.end);
            let part = (end - start).min(most);
            match chunks.last_mut() {
                _ if part == 0 => break,
                Some(last) if last.rows.len() + part <= most => {
                    last.rows.end += part;
                    last.ends.push(last.rows.len());
                }
                _ => chunks.push(Chunk { rows: start..start + part, ends: vec![part] }),
            }
        }
    }
    chunks
}

/// The logits of one row.
struct Row<'a> {
    label: usize,
    scale: f32,
    logits: &'a mut [f32],
}

impl Kernel for Row<'_> {
    /// The loss, and whether the label has the largest logit.
    type Output = (f64, bool);

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) -> (f64, bool) {
        let Self { label, scale, logits } = self;
        let right = logits[label];
        let [highest, total] = math::softmax(s, 1.0, logits);
        let loss = f64::from(highest) - f64::from(right) + f64::from(total).ln();
        logits[label] -= 1.0;
        let factor = s.splat(scale);
        math::map(s, logits, |x| s.mul(x, factor));
        (loss, right == highest)
    }
}

#[cfg(test)]
#[path = "tests/vocabulary_loss.rs"]
mod tests;
