//! The softmax of rows: `pᵢ = e^(scale·xᵢ − h) / Σⱼ e^(scale·xⱼ − h)`, `h = maxⱼ scale·xⱼ`.
//!
//! PyTorch: `torch.softmax(scale * x, dim=1)`. Attention and the loss apply the same function to
//! their own rows, inside their own kernels.

use ndarray::Array2;
use rayon::prelude::*;

use crate::ops::elementwise::{CHUNK, flat_mut};
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// `x ← softmax(scale·x)`, row by row.
///
/// The absolute error is below 10⁻⁶; the relative error is below 6·10⁻⁶ where |scale·x| is at most
/// 20. A value below e^−87 times its row's largest becomes 0.
///
/// ```
/// use ndarray::array;
///
/// let mut x = array![[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 100.0]];
/// simcse_tensor::softmax(20.0, &mut x);
/// assert_eq!(x, array![[0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 1.0]]);
/// ```
///
/// # Panics
/// If the matrix is not row-major without gaps.
pub fn softmax(scale: f32, x: &mut Array2<f32>) {
    let width = x.ncols().max(1);
    let rows_per_task = (CHUNK / width).max(1);
    flat_mut(x).par_chunks_mut(rows_per_task * width).for_each(|rows| dispatch(Softmax { scale, width, rows }));
}

struct Softmax<'a> {
    scale: f32,
    width: usize,
    rows: &'a mut [f32],
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) {
        for row in self.rows.chunks_exact_mut(self.width) {
            math::softmax(s, self.scale, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::Portable;

    proptest! {
        #[test]
        fn agrees_with_f64(x in prop::collection::vec(-1f32..1.0, 1..600), rows in 1..4usize, portable: bool) {
            const SCALE: f32 = 20.0;
            let width = x.len().div_ceil(rows);
            let before = Array2::from_shape_fn((rows, width), |(i, j)| x[(i * width + j) % x.len()]);
            let mut p = before.clone();
            if portable {
                Portable::call(Softmax { scale: SCALE, width, rows: flat_mut(&mut p) });
            } else {
                softmax(SCALE, &mut p);
            }
            for (x, p) in before.outer_iter().zip(p.outer_iter()) {
                let e = x.mapv(|x| (f64::from(SCALE) * f64::from(x)).exp());
                let total = e.sum();
                for (e, p) in e.iter().zip(p) {
                    let p = f64::from(*p);
                    let expected = e / total;
                    prop_assert!((p - expected).abs() <= 6e-6 * expected, "{p}, expected {expected}");
                }
            }
        }
    }
}
