//! Residual, dropout and layer normalization (Ba et al. 2016): `s = r + m ⊙ x`,
//! `y = γ(s − μ)/σ + β`, `σ² = var(s) + ε`.
//!
//! PyTorch: `layer_norm(r + dropout(x), (C,), γ, β, ε)`. All matrices (N, C), μ and 1/σ (N), γ and
//! β (C). There may be no residual, no dropout, and no β.

use ndarray::Array2;
use rayon::prelude::*;

use crate::buffers::scratch;
use crate::ops::context::Context;
use crate::ops::dropout::Dropout;
use crate::ops::elementwise::{add, flat, flat_mut};
use crate::params::{Grads, Slot};
use crate::rows::Rows;
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// Where γ (C) and β (C), if there is one, are in the parameters; and ε.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// γ.
    pub gamma: Slot,
    /// β; 0 if there is none.
    pub beta: Option<Slot>,
    /// Added to the variance.
    pub eps: f32,
}

/// The normalization, and the dropout of `x`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) norm: Norm,
    pub(crate) dropout: Option<Dropout>,
}

/// The statistics of one row: μ and 1/σ.
pub(crate) type RowStatistics = [f32; 2];

/// Overwrites `x` with `s`; writes `y` and each row's statistics.
pub(crate) fn forward(
    context: Context,
    op: &LayerNorm,
    x: &mut Array2<f32>,
    residual: Option<&Array2<f32>>,
    statistics: &mut [RowStatistics],
    y: &mut Array2<f32>,
) {
    // One sentence is too little work for a task of its own.
    const SENTENCES_PER_TASK: usize = 4;
    let Context { params, rows, .. } = context;
    let width = x.ncols();
    let x = rows.split_sentences(flat_mut(x), width);
    let y = rows.split_sentences(flat_mut(y), width);
    let statistics = rows.split_sentences(statistics, 1);
    let tasks: Vec<_> = x.into_iter().zip(y).zip(statistics).zip(rows.iter()).enumerate().collect();
    let tasks = tasks.into_par_iter().with_min_len(SENTENCES_PER_TASK);
    tasks.for_each(|(sentence, (((x, y), statistics), range))| {
        dispatch(Forward {
            op,
            stream: rows.stream(sentence),
            residual: residual.map(|r| &flat(r)[range.start * width..range.end * width]),
            gamma: params.slice(op.norm.gamma),
            beta: op.norm.beta.map(|beta| params.slice(beta)),
            x,
            statistics,
            y,
        });
    });
}

/// One sentence.
struct Forward<'a> {
    op: &'a LayerNorm,
    stream: u32,
    residual: Option<&'a [f32]>,
    gamma: &'a [f32],
    beta: Option<&'a [f32]>,
    x: &'a mut [f32],
    statistics: &'a mut [RowStatistics],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    fn scratch(&self, _: usize) -> usize {
        self.gamma.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, mask: &mut [f32]) {
        let width = self.gamma.len();
        let per_column = 1.0 / width as f32;
        for (position, x) in self.x.chunks_exact_mut(width).enumerate() {
            if let Some(dropout) = &self.op.dropout {
                dropout.mask_with(s, self.stream, position, mask);
                math::zip(s, mask, x, |m, x| s.mul(m, x));
            }
            if let Some(residual) = self.residual {
                math::zip(s, &residual[position * width..][..width], x, |r, x| s.add(r, x));
            }

            // The mean is computed twice. The first sum is rounded in proportion to |s|, so s − μ
            // keeps a small offset, the same in every column. In a row without variance that offset
            // would be all there is, and 1/σ = 1/√ε, which is 10⁶ for BERT, would blow it up. The
            // mean of the differences is exactly this offset, and subtracting it leaves zeros.
            let rough = math::sum(s, x, x, |x, _| x) * per_column;
            let y = &mut self.y[position * width..][..width];
            let subtrahend = s.splat(rough);
            math::zip(s, x, y, |x, _| s.sub(x, subtrahend));
            let offset = math::sum(s, y, y, |y, _| y) * per_column;
            let subtrahend = s.splat(offset);
            math::map(s, y, |y| s.sub(y, subtrahend));
            let mean = rough + offset;

            let variance = math::sum(s, y, y, |y, _| s.mul(y, y)) * per_column;
            let rstd = 1.0 / (variance + self.op.norm.eps).sqrt();
            let r = s.splat(rstd);
            math::zip(s, self.gamma, y, |gamma, y| s.mul(s.mul(y, r), gamma));
            if let Some(beta) = self.beta {
                math::zip(s, beta, y, |beta, y| s.add(y, beta));
            }
            self.statistics[position] = [mean, rstd];
        }
    }
}

/// Given `sum`, the `s` of the forward: overwrites `dy` with `ds = dr`, writes `dx = m ⊙ ds`, and
/// adds to `dγ = Σ_i dy[i] ⊙ x̂[i]` and `dβ = Σ_i dy[i]`, with one partial sum per block of
/// sentences.
///
/// With `x̂ = (s − μ)/σ` and `g = γ ⊙ dy`: `ds = (g − mean(g) − x̂·mean(g ⊙ x̂))/σ`.
pub(crate) fn backward(
    context: Context,
    op: &LayerNorm,
    sum: &Array2<f32>,
    statistics: &[RowStatistics],
    dy: &mut Array2<f32>,
    dx: Option<&mut Array2<f32>>,
    grads: &mut Grads,
) {
    let Context { params, rows, .. } = context;
    let width = sum.ncols();
    let dy = rows.split_blocks(flat_mut(dy), width);
    let mut dx: Vec<Option<&mut [f32]>> = match dx {
        Some(dx) => rows.split_blocks(flat_mut(dx), width).into_iter().map(Some).collect(),
        None => dy.iter().map(|_| None).collect(),
    };
    // Each block's task writes partial sums of its own, which are then added in the order of
    // blocks: neither the number of threads nor their timing can change the bits.
    scratch::with(2 * width * dy.len(), |partials| {
        partials.fill(0.0);
        let tasks: Vec<_> = rows.blocks().zip(dy).zip(&mut dx).zip(partials.chunks_exact_mut(2 * width)).collect();
        tasks.into_par_iter().for_each(|(((block, dy), dx), partial)| {
            let (dgamma, dbeta) = partial.split_at_mut(width);
            dispatch(Backward {
                op,
                rows,
                block,
                sum: flat(sum),
                gamma: params.slice(op.norm.gamma),
                statistics,
                dy,
                dx: dx.as_deref_mut(),
                dgamma,
                dbeta,
            });
        });
        for partial in partials.chunks_exact(2 * width) {
            let (dgamma, dbeta) = partial.split_at(width);
            add(dgamma, grads.slice_mut(op.norm.gamma));
            if let Some(beta) = op.norm.beta {
                add(dbeta, grads.slice_mut(beta));
            }
        }
    });
}

/// One block of sentences.
struct Backward<'a> {
    op: &'a LayerNorm,
    rows: &'a Rows,
    block: std::ops::Range<usize>,
    sum: &'a [f32],
    gamma: &'a [f32],
    statistics: &'a [RowStatistics],
    dy: &'a mut [f32],
    dx: Option<&'a mut [f32]>,
    dgamma: &'a mut [f32],
    dbeta: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    fn scratch(&self, _: usize) -> usize {
        self.gamma.len()
    }

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S, normalized: &mut [f32]) {
        let width = self.gamma.len();
        let per_column = 1.0 / width as f32;
        let first = self.rows.span(&self.block).start;
        for sentence in self.block.clone() {
            for (position, i) in self.rows.sentence(sentence).enumerate() {
                let dy = &mut self.dy[(i - first) * width..][..width];
                let [mean, rstd] = self.statistics[i];
                let mu = s.splat(mean);
                let r = s.splat(rstd);
                let sum = &self.sum[i * width..][..width];

                // One pass reads the row, adds to dγ and dβ, and keeps x̂ in scratch memory and g
                // in the place of dy; a second one needs both means and combines them.
                let mut total_g = s.splat(0.0);
                let mut total_gx = s.splat(0.0);
                for c in (0..width).step_by(S::LANES) {
                    let x = s.mul(s.sub(s.load_padded(&sum[c..], 0.0), mu), r);
                    let d = s.load_padded(&dy[c..], 0.0);
                    let g = s.mul(s.load_padded(&self.gamma[c..], 0.0), d);
                    total_g = s.add(total_g, g);
                    total_gx = s.fma(g, x, total_gx);
                    s.store_fitting(s.fma(d, x, s.load_padded(&self.dgamma[c..], 0.0)), &mut self.dgamma[c..]);
                    s.store_fitting(s.add(d, s.load_padded(&self.dbeta[c..], 0.0)), &mut self.dbeta[c..]);
                    s.store_fitting(x, &mut normalized[c..]);
                    s.store_fitting(g, &mut dy[c..]);
                }
                let mean_g = s.splat(s.sum(total_g) * per_column);
                let mean_gx = s.splat(s.sum(total_gx) * per_column);
                math::zip(s, normalized, dy, |x, g| s.mul(r, s.sub(s.sub(g, mean_g), s.mul(x, mean_gx))));

                if let Some(dx) = &mut self.dx {
                    let dx = &mut dx[(i - first) * width..][..width];
                    match &self.op.dropout {
                        Some(dropout) => {
                            dropout.mask_with(s, self.rows.stream(sentence), position, dx);
                            math::zip(s, dy, dx, |ds, m| s.mul(m, ds));
                        }
                        None => dx.copy_from_slice(dy),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};
    use proptest::prelude::*;

    use crate::ops::testing::{Case, check, sentences};
    use crate::rng::Philox;
    use crate::{Dropout, Norm};

    const EPS: f64 = 1e-3; // large enough that an epsilon in the wrong place shows

    fn oracle(sum: &Array2<f64>, gamma: &Array2<f64>, beta: &Array2<f64>) -> Array2<f64> {
        let mut y = sum.clone();
        for mut row in y.axis_iter_mut(Axis(0)) {
            let mean = row.mean().unwrap();
            let variance = row.mapv(|x| (x - mean).powi(2)).mean().unwrap();
            row.mapv_inplace(|x| (x - mean) / (variance + EPS).sqrt());
        }
        y * gamma.t() + beta.t()
    }

    proptest! {
        #[test]
        fn agrees_with_f64(
            rows in sentences(),
            width in 1..20usize,
            with_residual: bool,
            with_dropout: bool,
            with_beta: bool,
            seed: u64,
        ) {
            let shape = (rows.tokens(), width);
            let dropout = with_dropout.then(|| Dropout { rate: 0.3, philox: Philox::new(seed), step: 1, site: 2 });
            let mask = Dropout::matrix(dropout.as_ref(), &rows, width);
            let inputs = vec![shape; 1 + usize::from(with_residual)];
            check(
                &Case { rows, inputs, params: vec![(width, 1); 1 + usize::from(with_beta)], seed },
                |tape, x, p| {
                    let norm = Norm { gamma: p[0], beta: p.get(1).copied(), eps: EPS as f32 };
                    tape.layer_norm(x[0], x.get(1).copied(), dropout, norm)
                },
                |x, p| {
                    let residual = x.get(1).cloned().unwrap_or_else(|| Array2::zeros(shape));
                    let beta = p.get(1).cloned().unwrap_or_else(|| Array2::zeros((width, 1)));
                    oracle(&(residual + &x[0] * &mask), &p[0], &beta)
                },
            );
        }
    }
}
