//! Random negatives: rows of unit length whose direction is uniform, `g/‖g‖` with `g ~ N(0, I)`.
//!
//! Source: the Gaussian noise of GS-InfoNCE (Wu et al. 2022, "Smoothed Contrastive Learning for
//! Unsupervised Sentence Embedding"), of which a loss with cosines sees the direction alone.
//!
//! Like a dropout mask, noise is a function of its coordinates: the columns `4·b..4·b + 4` of row
//! `r` come from the block of Philox at the counter `(b, r, SITE · 2¹⁶, batch)`, two from each pair
//! of words (Box and Muller 1958). So the first columns of a wide row are those of a narrow one
//! with the same coordinates, up to its length.

use ndarray::Array2;
use rayon::prelude::*;

use crate::ops::elementwise::flat_mut;
use crate::rng::Philox;

/// Where dropout's counters have the number of a place in the model: one that no model has.
const SITE: u32 = u16::MAX as u32;

/// Random negatives of every anchor in a batch.
///
/// ```
/// use simcse_tensor::Noise;
/// use simcse_tensor::rng::Philox;
///
/// let noise = Noise { count: 3, weight: 1.0, philox: Philox::new(42), batch: 7 };
/// let rows = noise.rows(5);
/// assert_eq!(rows.dim(), (3, 5));
/// assert_eq!(rows, noise.rows(5));
/// assert!(rows.outer_iter().all(|row| (row.dot(&row) - 1.0).abs() < 1e-6));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// The number of random negatives, `M`.
    pub count: usize,
    /// How many negatives each of them counts as: the paper's λ.
    pub weight: f32,
    /// The run's generator.
    pub philox: Philox,
    /// The number of the batch in its run.
    pub batch: u32,
}

impl Noise {
    /// The random negatives, (M, C), for embeddings of `width` values.
    pub fn rows(&self, width: usize) -> Array2<f32> {
        let mut rows = Array2::zeros((self.count, width));
        self.write(&mut rows);
        rows
    }

    /// Writes the random negatives, (M, C).
    pub(crate) fn write(&self, rows: &mut Array2<f32>) {
        let width = rows.ncols();
        flat_mut(rows).par_chunks_exact_mut(width).enumerate().for_each(|(row, values)| {
            let mut square = 0.0;
            for (block, values) in values.chunks_mut(4).enumerate() {
                let words = self.philox.block([block as u32, row as u32, SITE << 16, self.batch]);
                for (value, normal) in values.iter_mut().zip(normals(words)) {
                    square += normal * normal;
                    *value = normal as f32;
                }
            }
            let length = square.sqrt();
            values.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        });
    }
}

/// Four normal numbers from four random words. Half a unit is added to the words of the radius,
/// because the logarithm of 0 is not finite.
fn normals(words: [u32; 4]) -> [f64; 4] {
    const UNIT: f64 = 1.0 / 4_294_967_296.0;
    let pair = |radius: u32, angle: u32| {
        let radius = (-2.0 * ((f64::from(radius) + 0.5) * UNIT).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * f64::from(angle) * UNIT).sin_cos();
        [radius * cos, radius * sin]
    };
    let [[a, b], [c, d]] = [pair(words[0], words[1]), pair(words[2], words[3])];
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column of uniform directions has mean 0 and variance 1/C, and two columns are
    /// uncorrelated: over 20,000 rows, five standard errors.
    #[test]
    fn directions_are_uniform() {
        const ROWS: usize = 20_000;
        const WIDTH: usize = 6;
        let rows = Noise { count: ROWS, weight: 1.0, philox: Philox::new(3), batch: 0 }.rows(WIDTH);
        let mean = |f: &dyn Fn(&[f32]) -> f32| {
            rows.outer_iter().map(|row| f64::from(f(row.as_slice().unwrap()))).sum::<f64>() / ROWS as f64
        };
        let bound = 5.0 / (ROWS as f64).sqrt();
        for i in 0..WIDTH {
            assert!(mean(&|row| row[i]).abs() < bound / (WIDTH as f64).sqrt());
            assert!((mean(&|row| row[i] * row[i]) - 1.0 / WIDTH as f64).abs() < bound / WIDTH as f64 * 1.3);
            for j in 0..i {
                assert!(mean(&|row| row[i] * row[j]).abs() < bound / WIDTH as f64);
            }
        }
    }

    #[test]
    fn every_batch_and_row_has_its_own() {
        let of = |batch| Noise { count: 2, weight: 1.0, philox: Philox::new(3), batch }.rows(5);
        assert_ne!(of(0), of(1));
        assert_ne!(of(0).row(0), of(0).row(1));
    }

    #[test]
    fn a_narrow_row_is_the_direction_of_a_wide_ones_first_columns() {
        let noise = Noise { count: 1, weight: 1.0, philox: Philox::new(3), batch: 0 };
        let wide = noise.rows(10);
        let narrow = noise.rows(6);
        let first: Vec<_> = wide.iter().take(6).copied().collect();
        let length = first.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(narrow.iter().zip(first).all(|(narrow, wide)| (narrow - wide / length).abs() < 1e-6));
    }
}
