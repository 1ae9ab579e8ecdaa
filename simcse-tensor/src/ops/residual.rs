//! A residual connection without normalization: `y = r + m ⊙ x`, with a dropout mask `m` or all
//! ones.
//!
//! PyTorch: `r + dropout(x)`. All matrices (N, C). Where LayerNorm follows at once and nothing else
//! reads the sum, [`layer_norm`](crate::ops::layer_norm) does both in one pass.

use ndarray::Array2;

use crate::ops::dropout::{self, Dropout};
use crate::ops::elementwise::{add, flat, flat_mut};
use crate::rows::Rows;

/// Overwrites `x` with `y`.
pub(crate) fn forward(dropout: Option<&Dropout>, x: &mut Array2<f32>, residual: &Array2<f32>, rows: &Rows) {
    if let Some(dropout) = dropout {
        dropout::forward(x, dropout, rows);
    }
    add(flat(residual), flat_mut(x));
}

/// Writes `dx = m ⊙ dy`; `dr` is `dy` itself.
pub(crate) fn backward(dropout: Option<&Dropout>, dy: &Array2<f32>, dx: &mut Array2<f32>, rows: &Rows) {
    dx.assign(dy);
    if let Some(dropout) = dropout {
        dropout::backward(dx, dropout, rows);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Dropout;
    use crate::ops::testing::{Case, check, sentences};
    use crate::rng::Philox;

    proptest! {
        /// The sum is read twice, as by a layer that normalizes its input and adds to it.
        #[test]
        fn agrees_with_f64(rows in sentences(), width in 1..20usize, with_dropout: bool, seed: u64) {
            let dropout = with_dropout.then(|| Dropout { rate: 0.3, philox: Philox::new(seed), step: 1, site: 2 });
            let mask = Dropout::matrix(dropout.as_ref(), &rows, width);
            let inputs = vec![(rows.tokens(), width); 3];
            check(
                &Case { rows, inputs, params: vec![], seed },
                |tape, x, _| {
                    let sum = tape.residual(x[0], x[1], dropout);
                    tape.residual(x[2], sum, None)
                },
                |x, _| &x[0] * &mask + &x[1] + &x[2],
            );
        }
    }
}
