//! Rotary positions: queries and keys are rotated by angles in proportion to their position, so
//! that their product depends on their distance (Su et al. 2021, "RoFormer").
//!
//! transformers: `apply_rotary_pos_emb`: value `d` of a head and value `d + D/2` are the two
//! coordinates that are rotated by `position·θ^(−2d/D)`.

use crate::simd::Simd;

/// The angles of every position, as their cosines and sines.
///
/// ```
/// use simcse_tensor::Rotary;
///
/// // ModernBERT's local attention: heads of 64 values, sentences of up to 512 tokens.
/// let rotary = Rotary::new(10_000.0, 64, 512);
/// assert_eq!(rotary.positions(), 512);
/// ```
#[derive(Clone, Debug)]
pub struct Rotary {
    half: usize, // D/2
    /// (T, D): a position's cosines, then its sines.
    table: Vec<f32>,
}

/// Which way to rotate: a gradient goes back the way its values came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

impl Rotary {
    /// The angles for heads of `size` values (D), and for positions below `positions`. Frequencies
    /// and angles are rounded to f32, as transformers does.
    ///
    /// # Panics
    /// If `size` is odd.
    pub fn new(theta: f32, size: usize, positions: usize) -> Self {
        assert!(size.is_multiple_of(2), "rotary: a head of {size} values has no halves");
        let half = size / 2;
        let frequencies = Self::frequencies(theta, size);
        let angles = |position: usize| frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency));
        let row = |position| angles(position).map(f64::cos).chain(angles(position).map(f64::sin));
        Self { half, table: (0..positions).flat_map(row).map(|value| value as f32).collect() }
    }

    /// By which angle each pair of a head's values is rotated from one position to the next, (D/2).
    pub fn frequencies(theta: f32, size: usize) -> Vec<f32> {
        let power = |d: usize| f64::from(theta).powf(f64::from((2 * d) as f32 / size as f32)) as f32;
        (0..size / 2).map(|d| 1.0 / power(d)).collect()
    }

    /// The number of values in a head (D).
    pub(crate) fn size(&self) -> usize {
        2 * self.half
    }

    /// The number of positions.
    pub fn positions(&self) -> usize {
        self.table.len() / (2 * self.half).max(1)
    }

    /// Rotates the rows of one head's (T, D), which are `stride` values apart, in place.
    #[inline(always)]
    pub(super) fn rotate<S: Simd>(&self, s: S, direction: Direction, x: &mut [f32], stride: usize) {
        let half = self.half;
        let sign = s.splat(if direction == Direction::Forward { 1.0 } else { -1.0 });
        for (x, angles) in x.chunks_exact_mut(stride).zip(self.table.chunks_exact(2 * half)) {
            let (first, second) = x[..2 * half].split_at_mut(half);
            let (cosines, sines) = angles.split_at(half);
            for d in (0..half).step_by(S::LANES) {
                let [a, b] = [&first[d..], &second[d..]].map(|x| s.load_padded(x, 0.0));
                let [cosine, sine] = [&cosines[d..], &sines[d..]].map(|angle| s.load_padded(angle, 0.0));
                let sine = s.mul(sine, sign);
                s.store_fitting(s.sub(s.mul(a, cosine), s.mul(b, sine)), &mut first[d..]);
                s.store_fitting(s.fma(b, cosine, s.mul(a, sine)), &mut second[d..]);
            }
        }
    }
}
