//! Dropout whose mask is a function of its coordinates: `y = x ⊙ m`, where `m = 0` with probability
//! `rate` and `1/(1 − rate)` otherwise.
//!
//! PyTorch: `torch.nn.functional.dropout(x, p=rate, training=True)`, with another generator.
//!
//! A mask is never stored: forward and backward each draw it. Column `c` of a row keeps its value
//! if its 16 random bits are at least `round(65536 · rate)`. The bits come from Philox4x32-10 under
//! the run's seed, at the counter `(block, stream, site · 2¹⁶ + position, step)`: the sentence's
//! stream, the place in the model, the token's position in its sentence, the training step.
//!
//! In each group of 128 columns, column `16·q + l` takes the `q`-th 16 bits (words in order, low
//! half first) of block `l` of the group's 16 blocks.
//!
//! Why 16 bits: ten rounds of Philox are what a mask costs, and a block's 128 bits then serve eight
//! columns. A rate is resolved to 1/65536, which is far finer than anyone can tune it.
//!
//! Why this layout: a vector instruction computes one block per lane, for consecutive counters, so
//! a register holds the same word of neighboring blocks. With the columns of a block next to each
//! other, every mask would have to be transposed; this way, the low halves of a register are the
//! bits of neighboring columns, and so are the high halves. A group has as many blocks as the
//! widest vector has lanes, and narrower ones compute it in parts: the mask is the same on every
//! instruction set.

use rayon::prelude::*;

use crate::ops::elementwise::flat_mut;
use crate::rng::{M, Philox};
use crate::rows::Rows;
use crate::simd::math;
use crate::simd::{Kernel, Simd, dispatch};

/// The number of random blocks in a group.
const GROUP_BLOCKS: usize = 16;
/// The number of columns in a group.
pub(crate) const GROUP: usize = 8 * GROUP_BLOCKS;

/// The rate of dropout, and where and when its mask is drawn.
///
/// ```
/// use simcse_tensor::Dropout;
/// use simcse_tensor::rng::Philox;
///
/// let dropout = Dropout { rate: 0.5, philox: Philox::new(42), step: 1, site: 0 };
/// let [mut mask, mut again] = [[0.0; 1000]; 2];
/// dropout.mask(7, 0, &mut mask); // stream 7, token 0
/// dropout.mask(7, 0, &mut again);
/// assert_eq!(mask, again);
/// assert!(mask.iter().all(|&m| m == 0.0 || m == 2.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability that a value is dropped, in `0..1`, resolved to 1/65536.
    pub rate: f32,
    /// The run's generator.
    pub philox: Philox,
    /// The training step.
    pub step: u32,
    /// The place in the model; each place has its own number.
    pub site: u16,
}

impl Dropout {
    /// Writes the mask of one row: 0 or `1/(1 − rate)` for each column; 1 for every column of the
    /// stream [`Rows::UNDROPPED`].
    ///
    /// # Panics
    /// If `position` is 65,536 or more.
    pub fn mask(&self, stream: u32, position: usize, mask: &mut [f32]) {
        dispatch(Mask { dropout: self, stream, position, mask });
    }

    /// The masks of all rows in f64; all ones if `dropout` is `None`.
    #[cfg(test)]
    pub(crate) fn matrix(dropout: Option<&Self>, rows: &Rows, width: usize) -> ndarray::Array2<f64> {
        let mut matrix = ndarray::Array2::from_elem((rows.tokens(), width), 1.0);
        for (sentence, range) in rows.iter().enumerate() {
            for (position, row) in range.enumerate() {
                let mut mask = vec![1.0; width];
                dropout.inspect(|dropout| dropout.mask(rows.stream(sentence), position, &mut mask));
                matrix.row_mut(row).iter_mut().zip(mask).for_each(|(to, m)| *to = f64::from(m));
            }
        }
        matrix
    }

    /// [`mask`](Self::mask) inside a kernel.
    #[inline(always)]
    pub(crate) fn mask_with<S: Simd>(&self, s: S, stream: u32, position: usize, mask: &mut [f32]) {
        self.mask_from(s, stream, position, 0, mask);
    }

    /// [`mask`](Self::mask) inside a kernel, from column `first` on, where a group begins.
    #[inline(always)]
    pub(crate) fn mask_from<S: Simd>(&self, s: S, stream: u32, position: usize, first: usize, mask: &mut [f32]) {
        debug_assert!(first.is_multiple_of(GROUP), "dropout: column {first} begins no group");
        let position = u16::try_from(position).expect("dropout: a position is below 65,536");
        if stream == Rows::UNDROPPED {
            return mask.fill(1.0);
        }
        let threshold = s.splat_u32((self.rate * 65536.0).round() as u32);
        let dropped = s.splat(0.0);
        let kept = s.splat(1.0 / (1.0 - self.rate));
        let keys = self.philox.round_keys();
        let counter = [stream, u32::from(self.site) << 16 | u32::from(position), self.step];
        for (g, group) in (first / GROUP..).zip(mask.chunks_mut(GROUP)) {
            for l in (0..GROUP_BLOCKS).step_by(S::LANES) {
                let block = s.add_u32(s.splat_u32((g * GROUP_BLOCKS + l) as u32), s.lane_index());
                for (w, word) in philox_lanes(s, keys, block, counter).into_iter().enumerate() {
                    let (low, high) = s.halves(word);
                    for (q, bits) in [(2 * w, low), (2 * w + 1, high)] {
                        // The last group of a row may be narrower.
                        if let Some(to) = group.get_mut(q * GROUP_BLOCKS + l..) {
                            s.store_fitting(s.where_less_u32(bits, threshold, dropped, kept), to);
                        }
                    }
                }
            }
        }
    }
}

/// [`Philox::block`] of as many counters as a vector has lanes: `block` holds their first words,
/// `rest` the other three, which they share.
#[inline(always)]
fn philox_lanes<S: Simd>(s: S, keys: [[u32; 2]; 10], block: S::U32, rest: [u32; 3]) -> [S::U32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = [block, s.splat_u32(rest[0]), s.splat_u32(rest[1]), s.splat_u32(rest[2])];
    for [k0, k1] in keys {
        let (high0, low0) = s.mul_wide(c0, s.splat_u32(M[0]));
        let (high1, low1) = s.mul_wide(c2, s.splat_u32(M[1]));
        c0 = s.xor(s.xor(high1, c1), s.splat_u32(k0));
        c1 = low1;
        c2 = s.xor(s.xor(high0, c3), s.splat_u32(k1));
        c3 = low0;
    }
    [c0, c1, c2, c3]
}

struct Mask<'a> {
    dropout: &'a Dropout,
    stream: u32,
    position: usize,
    mask: &'a mut [f32],
}

impl Kernel for Mask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) {
        self.dropout.mask_with(s, self.stream, self.position, self.mask);
    }
}

/// `x ← x ⊙ m`; `x` (N, C).
pub(crate) fn forward(x: &mut ndarray::Array2<f32>, dropout: &Dropout, rows: &Rows) {
    let width = x.ncols();
    rows.split_sentences(flat_mut(x), width).into_par_iter().enumerate().for_each(|(sentence, x)| {
        dispatch(Apply { dropout, stream: rows.stream(sentence), width, x });
    });
}

/// `dy ← dy ⊙ m`: dropout is linear in `x`, so its backward is the same function.
pub(crate) fn backward(dy: &mut ndarray::Array2<f32>, dropout: &Dropout, rows: &Rows) {
    forward(dy, dropout, rows);
}

/// One sentence.
struct Apply<'a> {
    dropout: &'a Dropout,
    stream: u32,
    width: usize,
    x: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    fn scratch(&self, _: usize) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, s: S, mask: &mut [f32]) {
        for (position, x) in self.x.chunks_exact_mut(self.width).enumerate() {
            self.dropout.mask_with(s, self.stream, position, mask);
            math::zip(s, mask, x, |m, x| s.mul(m, x));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::Portable;

    /// The definition, one column at a time.
    fn keeps(dropout: &Dropout, stream: u32, position: usize, column: usize) -> bool {
        let (group, q, l) = (column / 128, column % 128 / 16, column % 16);
        let counter = [(16 * group + l) as u32, stream, u32::from(dropout.site) << 16 | position as u32, dropout.step];
        let word = dropout.philox.block(counter)[q / 2];
        (word >> (16 * (q % 2)) & 0xffff) >= (dropout.rate * 65536.0).round() as u32
    }

    #[test]
    fn one_stream_has_no_dropout() {
        let dropout = Dropout { rate: 0.5, philox: Philox::new(7), step: 3, site: 5 };
        let mut mask = [0.0; 300];
        dropout.mask(Rows::UNDROPPED, 2, &mut mask);
        assert_eq!(mask, [1.0; 300]);
    }

    proptest! {
        #[test]
        fn a_mask_is_as_defined(
            rate in 0.0f32..0.9,
            (seed, step, site) in any::<(u64, u32, u16)>(),
            stream in 0..Rows::UNDROPPED,
            position in 0..512usize,
            width in 0..700usize,
        ) {
            let dropout = Dropout { rate, philox: Philox::new(seed), step, site };
            let mut mask = vec![f32::NAN; width];
            let mut portable = mask.clone();
            dropout.mask(stream, position, &mut mask);
            dropout.mask_with(Portable, stream, position, &mut portable);
            prop_assert_eq!(&mask, &portable);
            for (column, &m) in mask.iter().enumerate() {
                let expected = if keeps(&dropout, stream, position, column) { 1.0 / (1.0 - rate) } else { 0.0 };
                prop_assert_eq!(m, expected, "column {}", column);
            }
        }

        #[test]
        fn every_row_of_every_sentence_has_its_own_mask(lengths in prop::collection::vec(0..6usize, 0..40), width in 1..150usize) {
            let dropout = Dropout { rate: 0.3, philox: Philox::new(7), step: 3, site: 5 };
            let streams = (0..lengths.len() as u32).map(|s| s ^ 1).collect();
            let rows = Rows::new(lengths.iter().copied(), streams);
            let mut x = ndarray::Array2::from_elem((rows.tokens(), width), 2.0);
            forward(&mut x, &dropout, &rows);
            for (sentence, range) in rows.iter().enumerate() {
                for (position, row) in range.enumerate() {
                    let mut mask = vec![0.0; width];
                    dropout.mask(rows.stream(sentence), position, &mut mask);
                    prop_assert!(x.row(row).iter().zip(&mask).all(|(&x, &m)| x == 2.0 * m));
                }
            }
            let mut dx = ndarray::Array2::from_elem((rows.tokens(), width), 2.0);
            backward(&mut dx, &dropout, &rows);
            prop_assert_eq!(dx, x);
        }
    }
}
