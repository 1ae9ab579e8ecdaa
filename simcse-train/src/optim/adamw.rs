//! AdamW (Loshchilov and Hutter 2019) with gradient clipping:
//!
//! ```text
//! g ← g·min(1, max_norm/(‖g‖ + 1e-6))
//! m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²
//! p ← p − η·λ·p,  p ← p − η·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)
//! ```
//!
//! PyTorch: `torch.nn.utils.clip_grad_norm_` and `torch.optim.AdamW`.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use simcse_model::{WeightsFile, write_safetensors};
use simcse_tensor::{AdamWUpdate, BETAS, Flat, Grads, Layout, Parameter, Params, SQUARES, sum_of_squares};

use crate::error::{Error, Result};

/// Values per task. The norm's partial sums are over chunks of this size and added in order, so the
/// number of threads does not change the result.
const CHUNK: usize = 1 << 16;

/// Prefixes of the moments' names: their names in PyTorch's `torch.optim.AdamW`.
const NAMES: [&str; 2] = ["exp_avg.", "exp_avg_sq."];

/// Marks a buffer of moments.
#[derive(Clone, Debug)]
pub enum Moment {}

/// The optimizer's state: two moments per parameter, and the number of updates.
///
/// ```
/// use std::sync::Arc;
///
/// use simcse_tensor::{Grads, Layout, Params};
/// use simcse_train::optim::adamw::{AdamW, clip_scale, gradient_norm};
///
/// let mut layout = Layout::default();
/// layout.push("weight", &[2], true, true);
/// let layout = Arc::new(layout);
/// let mut params = Params::zeros(Arc::clone(&layout));
/// let mut grads = Grads::zeros(Arc::clone(&layout));
/// grads.values_mut().copy_from_slice(&[3.0, -4.0]);
///
/// let norm = gradient_norm(&grads);
/// assert_eq!(norm, 5.0);
/// let mut optimizer = AdamW::new(&layout, 0.01, 1e-8);
/// optimizer.update(&mut params, &grads, 0.1, clip_scale(norm, 1.0));
/// // The first update has the length of the learning rate in every coordinate.
/// assert!((params.values()[0] + 0.1).abs() < 1e-6 && (params.values()[1] - 0.1).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct AdamW {
    m: Flat<Moment>,
    v: Flat<Moment>,
    updates: i32,
    /// λ; the layout says which parameters it applies to.
    weight_decay: f64,
    eps: f64,
}

impl AdamW {
    /// An optimizer that has not made any updates.
    pub fn new(layout: &Arc<Layout>, weight_decay: f64, eps: f64) -> Self {
        Self { m: Flat::zeros(layout.clone()), v: Flat::zeros(layout.clone()), updates: 0, weight_decay, eps }
    }

    /// Updates all trainable parameters once, with `learning_rate` and the gradients times
    /// `gradient_scale`.
    ///
    /// # Panics
    /// If the parameters do not have the optimizer's layout.
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
            // Where gradient and moments are 0 because nothing has touched them, there is nothing
            // to do: m and v stay 0, and p changes by 0 / (0 + ε). Only decay goes everywhere.
            let runs = match update.keep {
                1.0 => grads.touched(&self.m, tensor.range()),
                _ => pieces(tensor.range(), CHUNK).collect(),
            };
            let [m, v] = [&mut self.m, &mut self.v].map(|moment| moment.sections_mut(runs.iter().cloned()));
            let p = params.sections_mut(runs.iter().cloned());
            let tasks: Vec<_> = runs.iter().zip(p).zip(m.into_iter().zip(v)).collect();
            tasks.into_par_iter().for_each(|((run, p), (m, v))| update.apply(p, &grads.values()[run.clone()], m, v));
        }
    }

    /// Checks that every moment is finite.
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

    /// Reads the moments back; `updates` is the number of updates that they are the result of.
    ///
    /// # Errors
    /// As [`WeightsFile`], if the file does not hold the moments of this layout.
    pub(crate) fn load(&mut self, path: &Path, updates: u64) -> Result<()> {
        let mut file = WeightsFile::read(path)?;
        let layout = self.m.layout().clone();
        for (name, moment) in NAMES.into_iter().zip([&mut self.m, &mut self.v]) {
            for tensor in trained(&layout) {
                let mut values = vec![0.0; tensor.len()];
                file.take(&format!("{name}{}", tensor.name), &tensor.shape, &mut values)?;
                moment.set(tensor.range(), &values);
            }
        }
        file.finish()?;
        // m decays to 0 long before v does, but it was touched wherever v was.
        let touched = self.v.touched(&self.m, 0..layout.len());
        self.m.sections_mut(touched);
        self.updates = updates.min(1 << 30) as i32; // the corrections are 1 long before that
        Ok(())
    }
}

/// Checks that every value of a buffer is finite; in the error, the parameter's name follows
/// `prefix`.
///
/// # Errors
/// [`Error::WeightsNotFinite`], naming the first parameter with a value that is not.
pub(crate) fn check_finite<Of>(buffer: &Flat<Of>, prefix: &str) -> Result<()> {
    let Some((parameter, value)) = buffer.first_not_finite() else { return Ok(()) };
    Err(Error::WeightsNotFinite { tensor: format!("{prefix}{}", parameter.name), value })
}

fn trained(layout: &Layout) -> impl Iterator<Item = &Parameter> {
    layout.parameters().iter().filter(|tensor| tensor.trainable)
}

/// The L2 norm of the gradients of all trainable parameters together. The square of a gradient
/// above 1.8e19 overflows f32, so the norm is infinite, as in PyTorch's `clip_grad_norm_`; the
/// training loop makes no update then.
pub fn gradient_norm(grads: &Grads) -> f64 {
    let squares = trained(grads.layout()).map(|tensor| {
        let chunks: Vec<_> = pieces(tensor.range(), CHUNK).collect();
        let partial: Vec<f64> = chunks.into_par_iter().map(|chunk| touched_squares(grads, chunk)).collect();
        partial.iter().sum::<f64>()
    });
    squares.sum::<f64>().sqrt()
}

/// [`sum_of_squares`] of a section, without what has not been touched: the same bits, because its
/// partial sums are 0.
fn touched_squares(grads: &Grads, range: Range<usize>) -> f64 {
    let touched = pieces(range, SQUARES).filter(|part| !grads.is_untouched(part.clone()));
    touched.fold(0.0, |total, part| total + sum_of_squares(&grads.values()[part]))
}

/// A range in pieces of `size`, the last of which may be shorter.
fn pieces(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(size).map(move |start| start..range.end.min(start + size))
}

/// The factor that clips gradients of norm `norm` to `max_norm`.
pub fn clip_scale(norm: f64, max_norm: f64) -> f32 {
    (max_norm / (norm + 1e-6)).min(1.0) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compared with the update in PyTorch's documentation, in f64.
        #[test]
        fn updates_agree_with_f64(
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
            let mut m = [0.0f64; 9];
            let mut v = [0.0f64; 9];
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
                    let corrected_m = m[i] / (1.0 - 0.9f64.powi(t));
                    let corrected_v = v[i] / (1.0 - 0.999f64.powi(t));
                    expected[i] -= learning_rate * corrected_m / (corrected_v.sqrt() + 1e-8);
                }
            }
            for (i, (&p, &expected)) in params.values().iter().zip(&expected).enumerate() {
                let moved = gradients.len() as f64 * learning_rate;
                let error = (f64::from(p) - expected).abs();
                prop_assert!(error <= 1e-6 + 1e-4 * moved, "parameter {i}: {p}, expected {expected}");
            }
            prop_assert_eq!(&params.values()[7..], &start[7..], "not trained, not decayed");
        }
    }

    /// A word that has not occurred for long: its m has decayed to 0, its v has not.
    #[test]
    fn a_loaded_second_moment_decays_without_a_first() {
        let mut layout = Layout::default();
        layout.push_table("words", [4, 2]);
        let layout = Arc::new(layout);
        let mut optimizer = AdamW::new(&layout, 0.0, 1e-8);
        optimizer.v.values_mut().fill(0.5);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("optimizer.safetensors");
        optimizer.save(&path).unwrap();
        let mut loaded = AdamW::new(&layout, 0.0, 1e-8);
        loaded.load(&path, 3).unwrap();
        let grads = Grads::zeros(layout.clone());
        loaded.update(&mut Params::zeros(layout), &grads, 0.1, 1.0);
        assert!(loaded.v.values().iter().all(|&v| v == 0.999 * 0.5), "{:?}", loaded.v.values());
    }

    #[test]
    fn moments_never_become_subnormal() {
        let mut p = [1.0];
        let mut m = [1.0];
        let mut v = [1e-30];
        let update = AdamWUpdate { gradient_scale: 1.0, keep: 1.0, step_size: 0.0, root_correction: 1.0, eps: 1e-8 };
        for _ in 0..20_000 {
            update.apply(&mut p, &[0.0], &mut m, &mut v);
            assert!(!m[0].is_subnormal() && !v[0].is_subnormal());
        }
        assert_eq!((m, v), ([0.0], [0.0]));
    }
}
