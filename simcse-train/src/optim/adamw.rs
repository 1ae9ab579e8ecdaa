//! AdamW (Loshchilov and Hutter 2019) with gradient clipping.
//!
//! ```text
//! g ← g·min(1, max_norm/(‖g‖ + 1e-6))
//! m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²
//! p ← p − η·λ·p,  p ← p − η·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)
//! ```
//!
//! PyTorch: `torch.nn.utils.clip_grad_norm_` and `torch.optim.AdamW`.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use simcse_model::{WeightsFile, write_safetensors};
use simcse_tensor::{AdamWUpdate, BETAS, Flat, Grads, Layout, Parameter, Params, sum_of_squares};

use crate::error::{Error, Result};

/// Values per task: partial sums of the norm are over these, in order, whatever the number of threads.
const CHUNK: usize = 1 << 16;

/// The moments' names in PyTorch's `torch.optim.AdamW`, before those of their tensors.
const NAMES: [&str; 2] = ["exp_avg.", "exp_avg_sq."];

/// Marks a buffer of moments.
#[derive(Clone, Debug)]
pub enum Moment {}

/// The optimizer's state: two moments per parameter, and the number of updates.
#[derive(Clone, Debug)]
pub struct AdamW {
    m: Flat<Moment>,
    v: Flat<Moment>,
    updates: i32,
    /// λ; biases and LayerNorm are exempt.
    weight_decay: f64,
    eps: f64,
}

impl AdamW {
    /// An optimizer that has made no update.
    pub fn new(layout: &Arc<Layout>, weight_decay: f64, eps: f64) -> Self {
        Self { m: Flat::zeros(layout.clone()), v: Flat::zeros(layout.clone()), updates: 0, weight_decay, eps }
    }

    /// One update of all trainable parameters at `learning_rate`, with gradients times `gradient_scale`.
    ///
    /// # Panics
    /// If the buffers do not share the optimizer's layout.
    pub fn update(&mut self, params: &mut Params, grads: &Grads, learning_rate: f64, gradient_scale: f32) {
        assert_eq!(params.layout(), self.m.layout(), "parameters of another model");
        self.updates += 1;
        let [beta1, beta2] = BETAS;
        let layout = params.layout().clone();
        for tensor in trained(&layout) {
            let decay = if tensor.decay { self.weight_decay } else { 0.0 };
            let update = AdamWUpdate {
                gradient_scale,
                keep: (1.0 - learning_rate * decay) as f32,
                step_size: (learning_rate / (1.0 - beta1.powi(self.updates))) as f32,
                root_correction: (1.0 - beta2.powi(self.updates)).sqrt() as f32,
                eps: self.eps as f32,
            };
            let range = tensor.range();
            params.values_mut()[range.clone()]
                .par_chunks_mut(CHUNK)
                .zip(grads.values()[range.clone()].par_chunks(CHUNK))
                .zip(self.m.values_mut()[range.clone()].par_chunks_mut(CHUNK))
                .zip(self.v.values_mut()[range].par_chunks_mut(CHUNK))
                .for_each(|(((p, g), m), v)| update.apply(p, g, m, v));
        }
    }

    /// Checks that every moment is a number.
    ///
    /// # Errors
    /// [`WeightsNotFinite`](crate::Error::WeightsNotFinite).
    pub(crate) fn check_finite(&self) -> Result<()> {
        let [m, v] = NAMES;
        check_finite(&self.m, m).and_then(|()| check_finite(&self.v, v))
    }

    /// Writes the moments as a safetensors file.
    ///
    /// # Errors
    /// As [`write_safetensors`].
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let moments = NAMES.into_iter().zip([&self.m, &self.v]);
        let tensors = moments.flat_map(|(name, moment)| {
            trained(moment.layout()).map(move |tensor| {
                (format!("{name}{}", tensor.name), tensor.shape.as_slice(), &moment.values()[tensor.range()])
            })
        });
        Ok(write_safetensors(path, tensors, &[])?)
    }

    /// Reads the moments back; `updates` is how many made them.
    ///
    /// # Errors
    /// As [`WeightsFile`] if the file does not hold the moments of this layout.
    pub(crate) fn load(&mut self, path: &Path, updates: u64) -> Result<()> {
        let mut file = WeightsFile::read(path)?;
        let layout = self.m.layout().clone();
        for (name, moment) in NAMES.into_iter().zip([&mut self.m, &mut self.v]) {
            for tensor in trained(&layout) {
                let values = &mut moment.values_mut()[tensor.range()];
                file.take(&format!("{name}{}", tensor.name), &tensor.shape, values)?;
            }
        }
        file.finish()?;
        self.updates = updates.min(1 << 30) as i32; // from far below on, the corrections are 1
        Ok(())
    }
}

/// Checks that every value of a buffer is a number; `prefix` is what its parameters' names begin with in the error.
///
/// # Errors
/// [`Error::WeightsNotFinite`], naming the first parameter with another value.
pub(crate) fn check_finite<Of>(buffer: &Flat<Of>, prefix: &str) -> Result<()> {
    let Some((parameter, value)) = buffer.first_not_finite() else { return Ok(()) };
    Err(Error::WeightsNotFinite { tensor: format!("{prefix}{}", parameter.name), value })
}

fn trained(layout: &Layout) -> impl Iterator<Item = &Parameter> {
    layout.parameters().iter().filter(|tensor| tensor.trainable)
}

/// The length of all gradients of trainable parameters together. Where one is beyond 1.8e19 its square is beyond f32 and the
/// length infinite, as in PyTorch's `clip_grad_norm_`: such a step makes no update.
pub fn gradient_norm(grads: &Grads) -> f64 {
    let squares = trained(grads.layout()).map(|tensor| {
        let partial: Vec<f64> = grads.values()[tensor.range()].par_chunks(CHUNK).map(sum_of_squares).collect();
        partial.iter().sum::<f64>()
    });
    squares.sum::<f64>().sqrt()
}

/// What gradients of length `norm` are multiplied by to be at most `max_norm` long.
pub fn clip_scale(norm: f64, max_norm: f64) -> f32 {
    (max_norm / (norm + 1e-6)).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the update as PyTorch's documentation writes it, in f64.
        #[test]
        fn agrees_with_f64(
            start in prop::collection::vec(-1.0f32..1.0, 9),
            gradients in prop::collection::vec(prop::collection::vec(-2.0f32..2.0, 9), 1..12),
            (learning_rate, weight_decay, max_norm) in (1e-5..1e-1, 0.0..0.5, 0.1..20.0),
        ) {
            let mut layout = Layout::default();
            layout.push("weight", &[2, 2], true, true);
            layout.push("bias", &[3], false, true);
            layout.push("pooler", &[2], true, false);
            let mut params = Params::zeros(Arc::new(layout));
            params.values_mut().copy_from_slice(&start);
            let mut optimizer = AdamW::new(params.layout(), weight_decay, 1e-8);
            let mut expected: Vec<f64> = start.iter().map(|&p| p.into()).collect();
            let (mut m, mut v) = ([0.0f64; 9], [0.0f64; 9]);
            for (t, gradient) in gradients.iter().enumerate() {
                let mut grads = Grads::zeros(params.layout().clone());
                grads.values_mut().copy_from_slice(gradient);
                let norm = gradient_norm(&grads);
                optimizer.update(&mut params, &grads, learning_rate, clip_scale(norm, max_norm));

                let trained = gradient[..7].iter().map(|&g| f64::from(g));
                let norm = trained.map(|g| g * g).sum::<f64>().sqrt();
                for i in 0..7 {
                    let g = f64::from(gradient[i]) * (max_norm / (norm + 1e-6)).min(1.0);
                    m[i] = 0.9 * m[i] + 0.1 * g;
                    v[i] = 0.999 * v[i] + 0.001 * g * g;
                    let t = t as i32 + 1;
                    expected[i] -= if i < 4 { learning_rate * weight_decay * expected[i] } else { 0.0 };
                    expected[i] -= learning_rate * (m[i] / (1.0 - 0.9f64.powi(t))) / ((v[i] / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
                }
            }
            for (i, (&p, &expected)) in params.values().iter().zip(&expected).enumerate() {
                let moved = gradients.len() as f64 * learning_rate;
                prop_assert!((f64::from(p) - expected).abs() <= 1e-6 + 1e-4 * moved, "parameter {i}: {p}, expected {expected}");
            }
            prop_assert_eq!(&params.values()[7..], &start[7..], "not trained, not decayed");
        }
    }

    #[test]
    fn moments_do_not_linger_as_denormals() {
        let (mut p, mut m, mut v) = ([1.0], [1.0], [1e-30]);
        let update = AdamWUpdate { gradient_scale: 1.0, keep: 1.0, step_size: 0.0, root_correction: 1.0, eps: 1e-8 };
        for _ in 0..20_000 {
            update.apply(&mut p, &[0.0], &mut m, &mut v);
            assert!(!m[0].is_subnormal() && !v[0].is_subnormal());
        }
        assert_eq!((m, v), ([0.0], [0.0]));
    }
}
