//! Embeddings scaled to unit length, so that their dot products are cosine similarities.

use ndarray::{Array2, ArrayView2, Axis};

/// The smallest norm to divide by. PyTorch: the default `eps` of `normalize`.
const SMALLEST_NORM: f32 = 1e-12;

/// Rows of `embeddings`, (S, C), scaled to unit length in f32; rows of zeros stay zero.
///
/// PyTorch: `torch.nn.functional.normalize(x, dim=1)`, which sentence-transformers' `cos_sim`
/// applies to both sides.
#[must_use]
pub fn unit_rows(embeddings: ArrayView2<f32>) -> Array2<f32> {
    let mut unit = embeddings.to_owned();
    for mut row in unit.axis_iter_mut(Axis(0)) {
        let norm = row.dot(&row).sqrt().max(SMALLEST_NORM);
        row /= norm;
    }
    unit
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_of_zeros_stay() {
        assert_eq!(unit_rows(array![[3.0, 4.0], [0.0, 0.0]].view()), array![[0.6, 0.8], [0.0, 0.0]]);
    }
}
