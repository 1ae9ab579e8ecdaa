//! How embeddings lie on the unit sphere, in f64.
//!
//! # Panics
//! Every function panics if its matrices differ in shape, or if there are fewer rows than it says.

use ndarray::{Array2, ArrayView2, Axis};

/// Mean squared distance of the two embeddings of a sentence, whose rows are of unit length:
/// `mean ‖x − y‖²`, between 0 and 4. Lower is better. Wang & Isola 2020, `ℓ_align` with α = 2.
///
/// There must be at least one row.
#[must_use]
pub fn alignment(x: ArrayView2<f32>, y: ArrayView2<f32>) -> f64 {
    assert_eq!(x.dim(), y.dim(), "two embeddings of each sentence");
    assert_ne!(x.nrows(), 0, "an alignment needs sentences");
    let squared = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
    x.iter().zip(y).map(squared).sum::<f64>() / x.nrows() as f64
}

/// How evenly embeddings of unit length cover the sphere: `ln mean exp(−2 ‖x − y‖²)` over all pairs
/// of different rows, between −8 and 0. Lower is better. Wang & Isola 2020, `ℓ_uniform` with t = 2.
///
/// There must be at least two rows.
#[must_use]
pub fn uniformity(x: ArrayView2<f32>) -> f64 {
    assert!(x.nrows() > 1, "uniformity needs pairs of sentences");
    // ‖x − y‖² = 2 − 2 cos for vectors of unit length.
    let potential = |cosine: f32| (-4.0 + 4.0 * f64::from(cosine)).exp();
    mean_of_pairs(x, potential).ln()
}

/// Mean cosine similarity of all pairs of different rows, which are of unit length. Near 1, the
/// embeddings have collapsed to a point.
///
/// There must be at least two rows.
#[must_use]
pub fn mean_cosine(x: ArrayView2<f32>) -> f64 {
    assert!(x.nrows() > 1, "a mean cosine needs pairs of sentences");
    mean_of_pairs(x, f64::from)
}

/// The mean of `value(cosine)` over all pairs of different rows.
fn mean_of_pairs(x: ArrayView2<f32>, value: impl Fn(f32) -> f64) -> f64 {
    let cosines = x.dot(&x.t());
    let rows = x.nrows();
    let above = (0..rows).flat_map(|i| (i + 1..rows).map(move |j| (i, j)));
    let sum: f64 = above.map(|(i, j)| value(cosines[[i, j]])).sum();
    sum / (rows * (rows - 1) / 2) as f64
}

/// For each row of `x`, the reciprocal rank of the same row of `y` among all rows of `y` by cosine
/// similarity; all rows are of unit length. Rows of `y` that are as similar rank before it.
#[must_use]
pub fn reciprocal_ranks(x: ArrayView2<f32>, y: ArrayView2<f32>) -> Vec<f64> {
    assert_eq!(x.dim(), y.dim(), "two embeddings of each sentence");
    let cosines: Array2<f32> = x.dot(&y.t());
    let rank = |(own, row): (usize, ndarray::ArrayView1<f32>)| row.iter().filter(|&&other| other >= row[own]).count();
    cosines.axis_iter(Axis(0)).enumerate().map(rank).map(|rank| 1.0 / rank.max(1) as f64).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use ndarray_rand::RandomExt;
    use ndarray_rand::rand::SeedableRng;
    use ndarray_rand::rand::rngs::StdRng;
    use ndarray_rand::rand_distr::StandardNormal;

    use super::*;
    use crate::metrics::unit_rows::unit_rows;

    fn random(seed: u64) -> Array2<f32> {
        let drawn = Array2::random_using((7, 5), StandardNormal, &mut StdRng::seed_from_u64(seed));
        unit_rows(drawn.view())
    }

    #[test]
    fn figures_are_those_of_the_definitions() {
        let x = random(1);
        let y = random(2);
        let distance = |a: usize, b: &Array2<f32>, c: usize| -> f64 {
            (0..5).map(|k| (f64::from(x[[a, k]]) - f64::from(b[[c, k]])).powi(2)).sum()
        };
        let expected = (0..7).map(|i| distance(i, &y, i)).sum::<f64>() / 7.0;
        assert!((alignment(x.view(), y.view()) - expected).abs() < 1e-12);

        let pairs: Vec<(usize, usize)> =
            (0..7).flat_map(|i| (0..7).map(move |j| (i, j))).filter(|(i, j)| i != j).collect();
        let potential: f64 = pairs.iter().map(|&(i, j)| (-2.0 * distance(i, &x, j)).exp()).sum::<f64>() / 42.0;
        assert!((uniformity(x.view()) - potential.ln()).abs() < 1e-5);
        let cosine: f64 = pairs.iter().map(|&(i, j)| 1.0 - distance(i, &x, j) / 2.0).sum::<f64>() / 42.0;
        assert!((mean_cosine(x.view()) - cosine).abs() < 1e-6);

        for (i, found) in reciprocal_ranks(x.view(), y.view()).into_iter().enumerate() {
            let nearer = (0..7).filter(|&j| distance(i, &y, j) <= distance(i, &y, i)).count();
            assert_eq!(found, 1.0 / nearer as f64);
        }
    }

    #[test]
    fn collapsed_embeddings_have_figures() {
        let same = Array2::from_shape_fn((4, 2), |(_, column)| if column == 0 { 1.0 } else { 0.0 });
        assert_eq!(alignment(same.view(), same.view()), 0.0);
        assert_eq!(uniformity(same.view()), 0.0);
        assert_eq!(mean_cosine(same.view()), 1.0);
        assert_eq!(reciprocal_ranks(same.view(), same.view()), [0.25; 4]);
        let zeros = Array2::zeros((3, 2));
        assert_eq!(reciprocal_ranks(zeros.view(), zeros.view()), [1.0 / 3.0; 3]);
    }

    #[test]
    fn opposite_points_are_as_uniform_as_two_can_be() {
        assert_eq!(uniformity(array![[1.0, 0.0], [-1.0, 0.0]].view()), -8.0);
    }
}
