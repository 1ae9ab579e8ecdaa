//! One row a sentence: the mean of its tokens' rows, its first row, or the largest value of each column.
//!
//! sentence-transformers: `Pooling` with `pooling_mode` `mean`, `cls`, `max`. `x` (N, C), `y` (S, C). A sentence without
//! tokens pools to zeros.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::{flat, flat_mut};
use crate::rows::Rows;

/// How the tokens of a sentence become one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens, special ones included.
    #[default]
    Mean,
    /// The first token.
    Cls,
    /// The largest value of each column; the first of equals.
    Max,
}

impl Pooling {
    const ALL: [Self; 3] = [Self::Mean, Self::Cls, Self::Max];

    /// The mode's name in sentence-transformers: `mean`, `cls`, `max`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Max => "max",
        }
    }
}

impl FromStr for Pooling {
    type Err = String;

    /// The mode of this name; the error lists the names.
    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| Self::ALL.map(Self::name).join(", "))
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Writes `y`; for [`Pooling::Max`] also the row within the sentence that each value came from, `argmax` (S, C).
pub(crate) fn forward(pooling: Pooling, x: &Array2<f32>, rows: &Rows, argmax: &mut Vec<u32>, y: &mut Array2<f32>) {
    let width = x.ncols();
    argmax.resize(if pooling == Pooling::Max { y.len() } else { 0 }, 0);
    for (sentence, (range, y)) in rows.iter().zip(flat_mut(y).chunks_exact_mut(width)).enumerate() {
        let tokens = flat(x)[range.start * width..range.end * width].chunks_exact(width);
        let length = tokens.len();
        y.fill(0.0);
        match pooling {
            Pooling::Mean => {
                tokens.for_each(|x| y.iter_mut().zip(x).for_each(|(y, x)| *y += x));
                y.iter_mut().for_each(|y| *y /= length.max(1) as f32);
            }
            Pooling::Cls => tokens.take(1).for_each(|x| y.copy_from_slice(x)),
            Pooling::Max => {
                let argmax = &mut argmax[sentence * width..][..width];
                for (token, x) in tokens.enumerate() {
                    for ((y, at), &x) in y.iter_mut().zip(&mut *argmax).zip(x) {
                        if token == 0 || x > *y {
                            (*y, *at) = (x, token as u32);
                        }
                    }
                }
            }
        }
    }
}

/// Overwrites `dx` (N, C), given `dy` (S, C).
pub(crate) fn backward(pooling: Pooling, rows: &Rows, argmax: &[u32], dy: &Array2<f32>, dx: &mut Array2<f32>) {
    let width = dy.ncols();
    let tasks: Vec<_> =
        rows.split_sentences(flat_mut(dx), width).into_iter().zip(dy.axis_iter(Axis(0))).enumerate().collect();
    tasks.into_par_iter().with_min_len(16).for_each(|(sentence, (dx, dy))| {
        let length = (dx.len() / width).max(1) as f32;
        for (token, dx) in dx.chunks_exact_mut(width).enumerate() {
            match pooling {
                Pooling::Mean => dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy / length),
                Pooling::Cls if token == 0 => dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = *dy),
                Pooling::Cls => dx.fill(0.0),
                Pooling::Max => {
                    let argmax = &argmax[sentence * width..][..width];
                    for ((dx, &dy), &at) in dx.iter_mut().zip(dy).zip(argmax) {
                        *dx = if at == token as u32 { dy } else { 0.0 };
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};
    use proptest::prelude::*;

    use super::Pooling;
    use crate::ops::testing::{Case, check, sentences};

    proptest! {
        #[test]
        fn agrees_with_f64(rows in sentences(), width in 1..9usize, seed: u64) {
            for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Max] {
                check(
                    &Case { rows: rows.clone(), inputs: vec![(rows.tokens(), width)], params: vec![], seed },
                    |tape, x, _| tape.pool(x[0], pooling),
                    |x, _| Array2::from_shape_fn((rows.sentences(), width), |(sentence, c)| {
                        let column = x[0].slice(s![rows.sentence(sentence), c]);
                        match pooling {
                            _ if column.is_empty() => 0.0,
                            Pooling::Mean => column.mean().unwrap(),
                            Pooling::Cls => column[0],
                            Pooling::Max => column.fold(f64::NEG_INFINITY, |max, &x| max.max(x)),
                        }
                    }),
                );
            }
        }
    }
}
