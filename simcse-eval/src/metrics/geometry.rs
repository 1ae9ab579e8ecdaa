//! How embeddings lie on the unit sphere, in f64.
//!
//! # Panics
//! Every function panics if its matrices differ in shape, or if there are fewer rows than it says.

use nalgebra::{DMatrix, SymmetricEigen};
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

/// How many directions the rows spread over: the exponential of the entropy of the singular values
/// of `x`, divided by their sum; between 1 (all rows are multiples of one another) and the smaller
/// side of `x`. 0 if all rows are zero. Roy & Vetterli 2007, "The effective rank".
#[must_use]
pub fn effective_rank(x: ArrayView2<f32>) -> f64 {
    // Singular values are the roots of the eigenvalues of xᵀx and of xxᵀ, whichever is smaller.
    // Rounding in f32 would pass for directions of its own.
    let x = x.mapv(f64::from);
    let product = if x.nrows() < x.ncols() { x.dot(&x.t()) } else { x.t().dot(&x) };
    let values: Vec<f64> = matrix(&product).symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).collect();
    let sum: f64 = values.iter().sum();
    if sum == 0.0 {
        return 0.0;
    }
    let shares = values.iter().map(|value| value / sum).filter(|&share| share > 0.0);
    (-shares.map(|share| share * share.ln()).sum::<f64>()).exp()
}

/// The coordinates of the rows along their two directions of largest variance (PCA): two for each
/// row of `x`, around their mean. Of each direction, the row that is farthest from the mean has a
/// positive coordinate.
#[must_use]
pub fn principal_coordinates(x: ArrayView2<f32>) -> Vec<[f64; 2]> {
    let x = x.mapv(f64::from);
    let Some(mean) = x.mean_axis(Axis(0)) else { return Vec::new() };
    let x = &x - &mean;
    // An eigenvector of xxᵀ times the root of its eigenvalue: the product of x with a direction.
    let SymmetricEigen { eigenvalues, eigenvectors } = SymmetricEigen::new(matrix(&x.dot(&x.t())));
    let mut order: Vec<usize> = (0..x.nrows()).collect();
    order.sort_by(|&a, &b| eigenvalues[b].total_cmp(&eigenvalues[a]));
    let along = |direction: Option<&usize>| -> Vec<f64> {
        let Some(&direction) = direction else { return vec![0.0; x.nrows()] };
        let axis = eigenvectors.column(direction) * eigenvalues[direction].max(0.0).sqrt();
        let farthest = axis.iter().copied().fold(0.0, |far: f64, at| if at.abs() > far.abs() { at } else { far });
        axis.iter().map(|at| at * farthest.signum()).collect()
    };
    let (first, second) = (along(order.first()), along(order.get(1)));
    first.into_iter().zip(second).map(|(x, y)| [x, y]).collect()
}

fn matrix(x: &Array2<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(x.nrows(), x.ncols(), |row, column| x[[row, column]])
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

    /// PyTorch: `s = torch.linalg.svdvals(x); p = s / s.sum(); torch.exp(-(p * p.log()).sum())`, in
    /// f64.
    const RANK: f64 = 2.795_306_498_462_993;

    #[test]
    fn effective_rank_is_that_of_the_definition() {
        let x = array![[0.5, 1.0, -0.25, 0.0], [1.5, -0.5, 0.75, 2.0], [-1.0, 0.25, 0.5, 1.0]];
        assert!((effective_rank(x.view()) - RANK).abs() < 1e-9, "{}", effective_rank(x.view()));
        let transposed = x.t();
        assert!((effective_rank(transposed) - RANK).abs() < 1e-9);
    }

    #[test]
    fn effective_rank_counts_directions() {
        let eye = Array2::<f32>::eye(5);
        assert!((effective_rank(eye.view()) - 5.0).abs() < 1e-9);
        let same = Array2::from_shape_fn((40, 8), |(_, column)| (column as f32 + 1.0) / 14.282_857);
        assert!((effective_rank(same.view()) - 1.0).abs() < 1e-4, "{}", effective_rank(same.view()));
        assert_eq!(effective_rank(Array2::zeros((3, 2)).view()), 0.0);
    }

    #[test]
    fn principal_coordinates_keep_the_distances_of_points_in_a_plane() {
        let plane = array![[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]];
        let points: Array2<f32> = array![[1.0, 2.0], [-1.0, 0.5], [0.0, -2.0], [4.0, 1.0]];
        let x = points.dot(&plane);
        let found = principal_coordinates(x.view());
        for i in 0..4 {
            for j in 0..4 {
                let expected: f64 = (&x.row(i) - &x.row(j)).iter().map(|d| f64::from(d * d)).sum();
                let on_map = (0..2).map(|axis| (found[i][axis] - found[j][axis]).powi(2)).sum::<f64>();
                assert!((on_map - expected).abs() < 1e-4 * expected.max(1.0), "{on_map}, expected {expected}");
            }
        }
        let spread = |axis: usize| found.iter().map(|at| at[axis] * at[axis]).sum::<f64>();
        assert!(spread(0) > spread(1));
        assert_eq!(principal_coordinates(Array2::zeros((2, 1)).view()), [[0.0, 0.0]; 2]);
    }

    #[test]
    fn opposite_points_are_as_uniform_as_two_can_be() {
        assert_eq!(uniformity(array![[1.0, 0.0], [-1.0, 0.0]].view()), -8.0);
    }
}
