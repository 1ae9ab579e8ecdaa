//! Rows of unit length: `y = x / max(‖x‖, ε)`, `ε = 10⁻¹²`.
//!
//! PyTorch: `torch.nn.functional.normalize(x, p=2, dim=1)`. `x` and `y` (S, C).
//!
//! A batch has few such rows, so a plain loop in f64 costs nothing and needs no care about
//! overflow.

use ndarray::{Array2, Axis};

/// The least length to divide by.
const EPS: f64 = 1e-12;

/// Overwrites `x` with `y`; returns the lengths (S), no less than ε.
pub(crate) fn forward(x: &mut Array2<f32>) -> Vec<f32> {
    let normalize = |mut row: ndarray::ArrayViewMut1<f32>| {
        // In f64, 10³⁰ squared is finite.
        let square = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        let length = square.sqrt().max(EPS);
        row.mapv_inplace(|x| (f64::from(x) / length) as f32);
        length as f32
    };
    x.axis_iter_mut(Axis(0)).map(normalize).collect()
}

/// Overwrites `dy` with `dx = (dy − y·(y·dy))/‖x‖`. Up to ε the length is a constant, so
/// `dx = dy/ε`.
pub(crate) fn backward(y: &Array2<f32>, lengths: &[f32], dy: &mut Array2<f32>) {
    for ((y, mut dy), &length) in y.axis_iter(Axis(0)).zip(dy.axis_iter_mut(Axis(0))).zip(lengths) {
        let along = y.iter().zip(&dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum::<f64>();
        let along = if length > EPS as f32 { along } else { 0.0 };
        let length = f64::from(length);
        dy.zip_mut_with(&y, |dy, &y| *dy = ((f64::from(*dy) - f64::from(y) * along) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::Axis;
    use proptest::prelude::*;

    use crate::Rows;
    use crate::ops::testing::{Case, check};

    proptest! {
        #[test]
        fn agrees_with_f64(shape in (1..20usize, 1..9usize), seed: u64) {
            check(
                &Case { rows: Arc::new(Rows::default()), inputs: vec![shape], params: vec![], seed },
                |tape, x, _| tape.normalize(x[0]),
                |x, _| &x[0] / &x[0].map_axis(Axis(1), |row| row.dot(&row).sqrt()).insert_axis(Axis(1)),
            );
        }
    }
}
