//! One row per sentence: a mean of its tokens' rows, its first or last row, or the largest value of
//! each column.
//!
//! sentence-transformers: `Pooling` with every `pooling_mode`. `x` (N, C), `y` (S, C). A sentence
//! without tokens pools to zeros.
//!
//! The first `excluded` tokens of each sentence, those of a prompt, can be left out
//! (`include_prompt=False`). If that leaves nothing of a sentence, its means and its last token are
//! 0, its first token is still that of the prompt, and its maximum is −∞, like the maximum of a
//! fully masked row in sentence-transformers.

use ndarray::Array2;
use rayon::prelude::*;

use crate::named::Named;
use crate::ops::elementwise::{flat, flat_mut};
use crate::rows::Rows;

/// How the tokens of a sentence become one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens, special ones included.
    #[default]
    Mean,
    /// The first token.
    Cls,
    /// The largest value of each column. Among equal values, the first gets the gradient.
    Max,
    /// The sum over all tokens, divided by the square root of their number.
    MeanSqrtLen,
    /// The mean weighted by position: the first token of the sentence counts once, the second
    /// twice, and so on (Muennighoff 2022, "SGPT").
    WeightedMean,
    /// The last token.
    LastToken,
}

impl Named for Pooling {
    const ALL: &'static [Self] =
        &[Self::Mean, Self::Cls, Self::Max, Self::MeanSqrtLen, Self::WeightedMean, Self::LastToken];

    /// The mode's name in sentence-transformers.
    fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Max => "max",
            Self::MeanSqrtLen => "mean_sqrt_len_tokens",
            Self::WeightedMean => "weightedmean",
            Self::LastToken => "lasttoken",
        }
    }
}

impl Pooling {
    /// How often a mean counts the token at `position` of its sentence, from 0.
    fn weight(self, position: usize) -> f32 {
        if self == Self::WeightedMean { (position + 1) as f32 } else { 1.0 }
    }

    /// What a mean divides the sum over the positions from `first` to before `last` by.
    fn divisor(self, first: usize, last: usize) -> f32 {
        let length = last.saturating_sub(first).max(1) as f32;
        match self {
            Self::MeanSqrtLen => length.sqrt(),
            Self::WeightedMean => (first..last).map(|position| self.weight(position)).sum::<f32>().max(1.0),
            _ => length,
        }
    }
}

/// One sentence is too little work for a task of its own.
pub(super) const SENTENCES_PER_TASK: usize = 16;

/// How many of a sentence's `length` tokens to leave out. `Cls` needs one token, so it leaves out
/// none if there would be no other.
fn left_out(pooling: Pooling, excluded: usize, length: usize) -> usize {
    if pooling == Pooling::Cls && excluded >= length { 0 } else { excluded.min(length) }
}

/// Writes `y` (S, C).
pub(crate) fn forward(pooling: Pooling, excluded: usize, x: &Array2<f32>, rows: &Rows, y: &mut Array2<f32>) {
    let width = x.ncols();
    for (range, y) in rows.iter().zip(flat_mut(y).chunks_exact_mut(width)) {
        let left_out = left_out(pooling, excluded, range.len());
        let first = range.start + left_out;
        let mut tokens = flat(x)[first * width..range.end * width].chunks_exact(width);
        let length = tokens.len();
        let all_left_out = length == 0 && !range.is_empty();
        y.fill(if pooling == Pooling::Max && all_left_out { f32::NEG_INFINITY } else { 0.0 });
        match pooling {
            Pooling::Mean | Pooling::MeanSqrtLen | Pooling::WeightedMean => {
                for (position, x) in (left_out..).zip(tokens) {
                    let weight = pooling.weight(position);
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
                }
                let divisor = pooling.divisor(left_out, left_out + length);
                y.iter_mut().for_each(|y| *y /= divisor);
            }
            Pooling::Cls => tokens.take(1).for_each(|x| y.copy_from_slice(x)),
            Pooling::LastToken => tokens.last().into_iter().for_each(|x| y.copy_from_slice(x)),
            Pooling::Max => {
                tokens.by_ref().take(1).for_each(|x| y.copy_from_slice(x));
                tokens.for_each(|x| y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x > *y { x } else { *y }));
            }
        }
    }
}

/// Writes `dx` (N, C), given `dy` (S, C). Finds the largest values again, because a later operation
/// may have taken over the output.
pub(crate) fn backward(
    pooling: Pooling,
    excluded: usize,
    x: &Array2<f32>,
    rows: &Rows,
    dy: &Array2<f32>,
    dx: &mut Array2<f32>,
) {
    let width = dy.ncols();
    let dx = rows.split_sentences(flat_mut(dx), width);
    let tasks: Vec<_> = dx.into_iter().zip(rows.iter()).zip(dy.outer_iter()).collect();
    tasks.into_par_iter().with_min_len(SENTENCES_PER_TASK).for_each(|((dx, range), dy)| {
        let left_out = left_out(pooling, excluded, range.len());
        let (prompt, dx) = dx.split_at_mut(left_out * width);
        prompt.fill(0.0);
        match pooling {
            Pooling::Mean | Pooling::MeanSqrtLen | Pooling::WeightedMean => {
                let divisor = pooling.divisor(left_out, range.len());
                for (position, dx) in (left_out..).zip(dx.chunks_exact_mut(width)) {
                    let weight = pooling.weight(position);
                    dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = weight * dy / divisor);
                }
            }
            Pooling::LastToken => {
                dx.fill(0.0);
                let last = dx.len().saturating_sub(width);
                dx[last..].iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = dy);
            }
            Pooling::Cls => {
                dx.fill(0.0);
                // `zip` ends with the first row.
                dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = dy);
            }
            Pooling::Max => {
                dx.fill(0.0);
                let x = &flat(x)[(range.start + left_out) * width..range.end * width];
                for (c, &dy) in dy.iter().enumerate() {
                    let larger = |best: usize, i: usize| if x[i] > x[best] { i } else { best };
                    if let Some(i) = (c..x.len()).step_by(width).reduce(larger) {
                        dx[i] = dy;
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::cell::OnceCell;
    use std::sync::Arc;

    use ndarray::{Array2, array, s};
    use proptest::prelude::*;

    use super::Pooling;
    use crate::named::Named;
    use crate::ops::testing::{Case, check, sentences};
    use crate::{BufferPool, Grads, Params, Rows, Tape};

    proptest! {
        #[test]
        fn agrees_with_f64(rows in sentences(), width in 1..9usize, excluded in 0..4usize, seed: u64) {
            let rest = |i| {
                let rows = rows.sentence(i);
                if excluded < rows.len() { rows.start + excluded..rows.end } else { rows.end..rows.end }
            };
            let shape = (rows.sentences(), width);
            let whole = rows.iter().all(|rows| rows.is_empty() || rows.len() > excluded);
            for &pooling in Pooling::ALL {
                if pooling == Pooling::Max && !whole {
                    continue; // −∞ has no difference quotients
                }
                let highest = OnceCell::new(); // the same rows in all difference quotients
                check(
                    &Case { rows: rows.clone(), inputs: vec![(rows.tokens(), width)], params: vec![], seed },
                    |tape, x, _| tape.pooling_after(excluded, x[0], pooling),
                    |x, _| {
                        let top = |i, c| rest(i).max_by(|&a, &b| x[0][[a, c]].total_cmp(&x[0][[b, c]]));
                        let highest = highest.get_or_init(|| Array2::from_shape_fn(shape, |(i, c)| top(i, c)));
                        Array2::from_shape_fn(shape, |(i, c)| {
                            let column = x[0].slice(s![rest(i), c]);
                            match pooling {
                                _ if rows.sentence(i).is_empty() => 0.0,
                                Pooling::Cls if column.is_empty() => x[0][[rows.sentence(i).start, c]],
                                _ if column.is_empty() => 0.0,
                                Pooling::Mean => column.mean().unwrap(),
                                Pooling::MeanSqrtLen => column.sum() / (column.len() as f64).sqrt(),
                                Pooling::WeightedMean => {
                                    let weights = (0..column.len()).map(|t| (excluded + t + 1) as f64);
                                    let sum: f64 = weights.clone().zip(&column).map(|(weight, x)| weight * x).sum();
                                    sum / weights.sum::<f64>()
                                }
                                Pooling::LastToken => column[column.len() - 1],
                                Pooling::Cls => column[0],
                                Pooling::Max => x[0][[highest[[i, c]].unwrap(), c]],
                            }
                        })
                    },
                );
            }
        }
    }

    #[test]
    fn a_sentence_that_is_all_prompt_has_no_largest_value() {
        let params = Params::zeros(Arc::default());
        let mut buffers = BufferPool::new();
        let mut tape = Tape::new(&params, &mut buffers, Arc::new(Rows::new([2, 0], vec![0, 1])), true);
        let x = tape.input(array![[1.0], [2.0]]);
        let y = tape.pooling_after(2, x, Pooling::Max);
        assert_eq!(tape.value(y), array![[f32::NEG_INFINITY], [0.0]]);
        let dy = array![[1.0], [1.0]];
        let dx = tape.backward(&[(y, dy.view())], &mut Grads::zeros(Arc::default())).take(x);
        assert_eq!(dx, array![[0.0], [0.0]]);
    }

    /// The normalization takes over the buffer of pooled rows; the backward must not need it.
    #[test]
    fn pooled_rows_may_be_normalized() {
        let rows = Arc::new(Rows::new([2, 1], vec![0, 1]));
        for &pooling in Pooling::ALL {
            let params = Params::zeros(Arc::default());
            let mut pool = BufferPool::new();
            let mut tape = Tape::new(&params, &mut pool, rows.clone(), true);
            let x = tape.input(array![[1.0, 0.0], [0.5, 4.0], [3.0, 4.0]]);
            let pooled = tape.pooling(x, pooling);
            let y = tape.normalize(pooled);
            let dy = array![[1.0, 2.0], [0.0, 5.0]];
            let dx = tape.backward(&[(y, dy.view())], &mut Grads::zeros(Arc::default())).take(x);
            // Row 2 is a sentence of its own, its norm is 5: dx = (dy − y(y·dy))/5, y = (0.6, 0.8).
            let right = (dx[[2, 0]] + 0.48).abs() < 1e-6 && (dx[[2, 1]] - 0.36).abs() < 1e-6;
            assert!(right, "{}: {dx}", pooling.name());
            assert!(dx.iter().all(|x| x.is_finite()), "{}: {dx}", pooling.name());
        }
    }
}
