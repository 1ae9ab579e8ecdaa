//! `y = f(x·Wᵀ + b)` on sentence embeddings, with an activation function `f`.
//!
//! sentence-transformers: `Dense`. PyTorch: `f(nn.functional.linear(x, W, b))`. `x` (S, in), `W`
//! (out, in), `b` (out), `y` (S, out).

use ndarray::Array2;
use rayon::prelude::*;

use crate::gemm::Addend;
use crate::named::Named;
use crate::ops::context::Context;
use crate::ops::elementwise::{CHUNK, flat, flat_mut};
use crate::ops::linear::{self, Linear};
use crate::params::Grads;
use crate::profile::{Part, time};

/// The function that a dense layer on sentence embeddings applies to its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenseActivation {
    /// `tanh(h)`, which is also sentence-transformers' default. PyTorch: `nn.Tanh`.
    #[default]
    Tanh,
    /// `h`. PyTorch: `nn.Identity`.
    Identity,
}

impl Named for DenseActivation {
    const ALL: &'static [Self] = &[Self::Tanh, Self::Identity];

    /// The function's name in PyTorch.
    fn name(self) -> &'static str {
        match self {
            Self::Tanh => "Tanh",
            Self::Identity => "Identity",
        }
    }
}

/// A linear map, and the function that follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense {
    pub(crate) linear: Linear,
    pub(crate) activation: DenseActivation,
}

/// Writes `h = x·Wᵀ + b` and `y`, both (S, out).
pub(crate) fn forward(
    context: Context,
    Dense { linear, activation }: Dense,
    x: &Array2<f32>,
    h: &mut Array2<f32>,
    y: &mut Array2<f32>,
) {
    time(Part::FORWARD, || linear::forward(context, x, linear, h));
    time(Part::ACTIVATION, || match activation {
        DenseActivation::Identity => y.assign(h),
        DenseActivation::Tanh => {
            // In f64: a batch has few such rows, so precision costs nothing.
            let chunks = flat_mut(y).par_chunks_mut(CHUNK).zip(flat(h).par_chunks(CHUNK));
            chunks.for_each(|(y, h)| y.iter_mut().zip(h).for_each(|(y, &h)| *y = f64::from(h).tanh() as f32));
        }
    });
}

/// `dh = dy ⊙ f′(h)`, which overwrites `dy`; `dW += dhᵀ·x`, `db += Σ_s dh[s]`, `dx = dh·W`.
pub(crate) fn backward(
    context: Context,
    Dense { linear, activation }: Dense,
    x: &Array2<f32>,
    h: &Array2<f32>,
    dy: &mut Array2<f32>,
    dx: &mut Array2<f32>,
    grads: &mut Grads,
) {
    time(Part::ACTIVATION, || match activation {
        DenseActivation::Identity => {}
        DenseActivation::Tanh => {
            let chunks = flat_mut(dy).par_chunks_mut(CHUNK).zip(flat(h).par_chunks(CHUNK));
            chunks.for_each(|(dy, h)| dy.iter_mut().zip(h).for_each(|(dy, &h)| *dy = times_slope(*dy, h)));
        }
    });
    time(Part::DW, || linear::backward_parameters(context, x, linear, dy, grads));
    time(Part::DX, || linear::backward_input(context, linear, dy, Addend::Zero, dx));
}

/// `dy·tanh′(h)`. In f64, because `1 − tanh²` has no digits left in f32 where `tanh` is near 1.
fn times_slope(dy: f32, h: f32) -> f32 {
    let tanh = f64::from(h).tanh();
    (f64::from(dy) * (1.0 - tanh * tanh)) as f32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{Array2, Axis, array};
    use proptest::prelude::*;

    use super::DenseActivation;
    use crate::named::Named;
    use crate::ops::testing::{Case, check, sentences};
    use crate::{BufferPool, Grads, Layout, Params, Rows, Tape};

    proptest! {
        #[test]
        fn agrees_with_f64(
            rows in sentences(), width in 1..7usize, out in 1..7usize, has_bias: bool, seed: u64,
        ) {
            for &activation in DenseActivation::ALL {
                // A row for each sentence, as pooling leaves them.
                let rows = Arc::new(rows.with_lengths(vec![1; rows.sentences()]));
                let inputs = vec![(rows.sentences(), width)];
                let params = if has_bias { vec![(out, width), (out, 1)] } else { vec![(out, width)] };
                check(
                    &Case { rows, inputs, params, seed },
                    |tape, x, p| tape.dense(x[0], p[0], p.get(1).copied(), activation),
                    |x, p| {
                        let bias = p.get(1).map(|bias| bias.t().index_axis(Axis(0), 0).to_owned());
                        let product = x[0].dot(&p[0].t());
                        let h = bias.map_or(product.clone(), |bias| product + bias);
                        if activation == DenseActivation::Tanh { h.mapv(f64::tanh) } else { h }
                    },
                );
            }
        }
    }

    /// GradCache relies on it: each block of sentences adds one partial sum.
    #[test]
    fn pieces_of_whole_blocks_give_the_same_bits() {
        let lengths: Vec<usize> = (0..60).map(|i| i % 7).collect();
        let whole = Rows::new(lengths.iter().copied(), (0..60).collect());
        let mut layout = Layout::default();
        let weight = layout.push("w", &[5, 3], true, true);
        let bias = layout.push("b", &[5], false, true);
        let mut params = Params::zeros(Arc::new(layout));
        params.values_mut().iter_mut().enumerate().for_each(|(i, value)| *value = (i as f32).sin());
        let of = |columns: usize, phase: f32| {
            Array2::from_shape_fn((60, columns), |(s, c)| (s as f32 * 0.7 + c as f32 + phase).sin())
        };
        let (x, dy) = (of(3, 0.0), of(5, 1.0));
        let run = |pieces: Vec<std::ops::Range<usize>>| {
            let mut grads = Grads::zeros(params.layout().clone());
            for piece in pieces {
                let rows = Rows::new(lengths[piece.clone()].iter().copied(), piece.clone().map(|s| s as u32).collect());
                let rows = rows.with_lengths(vec![1; piece.len()]);
                let mut pool = BufferPool::new();
                let mut tape = Tape::new(&params, &mut pool, Arc::new(rows), true);
                let input = tape.input(x.slice(ndarray::s![piece.clone(), ..]).to_owned());
                let y = tape.dense(input, weight, Some(bias), DenseActivation::Tanh);
                tape.backward(&[(y, dy.slice(ndarray::s![piece, ..]))], &mut grads);
            }
            grads.values().to_vec()
        };
        let blocks: Vec<_> = whole.blocks().collect();
        assert!(blocks.len() > 5, "{blocks:?}");
        assert_eq!(run(blocks), run(std::iter::once(0..60).collect()));
    }

    /// A normalization takes over the buffer of `y`; the backward must not need it.
    #[test]
    fn the_output_may_be_normalized() {
        let mut layout = Layout::default();
        let weight = layout.push("w", &[2, 1], true, true);
        let mut params = Params::zeros(Arc::new(layout));
        params.slice_mut(weight).copy_from_slice(&[3.0, 4.0]);
        let mut pool = BufferPool::new();
        let mut tape = Tape::new(&params, &mut pool, Arc::new(Rows::new([1], vec![0])), true);
        let x = tape.input(array![[1.0]]);
        let h = tape.dense(x, weight, None, DenseActivation::Identity);
        let y = tape.normalize(h);
        let mut grads = Grads::zeros(params.layout().clone());
        tape.backward(&[(y, array![[1.0, 2.0]].view())], &mut grads);
        // dh = (dy − y(y·dy))/5 with y = (0.6, 0.8), and dW = dh.
        for (found, expected) in grads.slice(weight).iter().zip([-0.064, 0.048]) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }
}
