//! Operations on sentences: one row for each, and the loss of them all.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array2;

use crate::ops::contrastive;
use crate::ops::contrastive::loss::ContrastiveLoss;
use crate::ops::dense::{self, Dense, DenseActivation};
use crate::ops::linear::Linear;
use crate::ops::normalize;
use crate::ops::pooling::{self, Pooling};
use crate::ops::weighted_pooling;
use crate::params::Slot;
use crate::profile::{Part, time};
use crate::rows::Rows;
use crate::tape::forward::Tape;
use crate::tape::node::{Op, Var};

impl Tape<'_> {
    /// One row per sentence, (S, C). sentence-transformers: `Pooling`.
    pub fn pooling(&mut self, x: Var, mode: Pooling) -> Var {
        self.pooling_after(0, x, mode)
    }

    /// [`pooling`](Self::pooling) that leaves out the first `excluded` rows of each sentence.
    pub fn pooling_after(&mut self, excluded: usize, x: Var, mode: Pooling) -> Var {
        self.pool(x, Op::Pooling { x, mode, excluded }, |x, rows, y| pooling::forward(mode, excluded, x, rows, y))
    }

    /// The sum of each sentence's rows, each times its share, (S, C). With shares that add up to 1
    /// in every sentence, this is sentence-transformers' `WordWeights` with mean pooling.
    ///
    /// # Panics
    /// If there is not one share for each row.
    pub fn weighted_pooling(&mut self, x: Var, shares: Arc<[f32]>) -> Var {
        assert_eq!(shares.len(), self.value(x).nrows(), "weighted_pooling: shares and rows");
        let op = Op::WeightedPooling { x, shares: shares.clone() };
        self.pool(x, op, |x, rows, y| weighted_pooling::forward(&shares, x, rows, y))
    }

    /// Pushes an operation that makes one row of each sentence's.
    fn pool(&mut self, x: Var, op: Op, forward: impl FnOnce(&Array2<f32>, &Rows, &mut Array2<f32>)) -> Var {
        let rows = self.rows_of(x);
        let mut y = self.buffers.take(rows.sentences(), self.value(x).ncols());
        time(Part::POOLING, || forward(self.value(x), &rows, &mut y));
        let one_each = rows.with_lengths(std::iter::repeat_n(1, rows.sentences()));
        self.push(op, y, Arc::new(one_each))
    }

    /// `f(x·Wᵀ + b)` on the rows of sentences, (S, in) to (S, out). sentence-transformers: `Dense`.
    ///
    /// # Panics
    /// If `x` does not have a row per sentence.
    pub fn dense(&mut self, x: Var, weight: Slot, bias: Option<Slot>, activation: DenseActivation) -> Var {
        let dense = Dense { linear: Linear { weight, bias }, activation };
        let sentences = self.value(x).nrows();
        assert_eq!(sentences, self.rows(x).sentences(), "dense: rows and sentences");
        let mut h = self.buffers.take(sentences, weight.rows());
        let mut y = self.buffers.take(sentences, weight.rows());
        dense::forward(self.context(x), dense, self.value(x), &mut h, &mut y);
        let h = self.keep(h);
        self.push(Op::Dense { x, dense, h }, y, self.rows_of(x))
    }

    /// Rows of unit length, (S, C). Takes over `x`. PyTorch: `nn.functional.normalize(x, dim=1)`.
    pub fn normalize(&mut self, x: Var) -> Var {
        let mut y = self.take_over(x);
        let lengths = time(Part::LOSS, || normalize::forward(&mut y));
        self.push(Op::Normalize { x, lengths }, y, self.rows_of(x))
    }

    /// A contrastive loss of normalized embeddings `z` (K·B, C), (1, 1): the rows `0..B` are
    /// anchors, the rows `B..2B` their positives, and the others their hard negatives, column by
    /// column. sentence-transformers: `MultipleNegativesRankingLoss`.
    ///
    /// The loss is a sum of a term for each example. Only the terms of `examples` are computed;
    /// `0..B` are all.
    ///
    /// # Panics
    /// If the number of rows is not a multiple of the number of columns, which is at least 2, and 3
    /// with `off_dropout`.
    pub fn contrastive(&mut self, z: Var, loss: &ContrastiveLoss, examples: Range<usize>) -> Var {
        let (rows, width) = self.value(z).dim();
        let columns = loss.columns;
        let fits = rows.is_multiple_of(columns) && (columns == 3 || !loss.off_dropout);
        assert!(columns > 1 && fits, "contrastive: {rows} rows in {columns} columns");
        let (height, size) = contrastive::similarities_shape(loss, rows / columns);
        let mut similarities = self.buffers.take(height, size);
        let mut dz = self.buffers.take(rows, width);
        let mut noise = self.buffers.take(loss.noise.map_or(0, |noise| noise.count), width);
        let loss = time(Part::LOSS, || {
            loss.noise.inspect(|drawn| drawn.write(&mut noise));
            contrastive::forward(self.precision, self.value(z), &noise, loss, examples, &mut similarities, &mut dz)
        });
        self.buffers.give(similarities);
        self.buffers.give(noise);
        let dz = self.keep(dz);
        self.push(Op::Contrastive { z, dz }, Array2::from_elem((1, 1), loss), Arc::default())
    }
}
