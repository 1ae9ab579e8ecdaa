//! Counter-based random numbers: randomness as a function, not a state.
//!
//! Philox4x32-10 of Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3": a bijection
//! of a 128-bit counter `c` under a 64-bit key `k`. Each of the ten rounds is
//!
//! ```text
//! (hi0, lo0) = M0·c0,  (hi1, lo1) = M1·c2
//! c ← (hi1 ⊕ c1 ⊕ k0, lo1, hi0 ⊕ c3 ⊕ k1, lo0),  k ← (k0 + W0, k1 + W1)
//! ```
//!
//! A random number is therefore a function of its coordinates (a step, a sentence, a column), and
//! does not depend on which thread draws it, in what order, or in which run of the program:
//!
//! ```
//! use simcse_tensor::rng::Philox;
//!
//! let philox = Philox::new(42);
//! let [step, sentence, column] = [7, 3, 0];
//! let words = philox.block([column, sentence, step, 0]);
//! assert_eq!(words, Philox::new(42).block([column, sentence, step, 0]));
//! assert_ne!(words, philox.block([column, sentence, step + 1, 0]));
//! ```
//!
//! This file knows integers. It must not know what is drawn with them.

/// The multipliers of a round's two products.
pub(crate) const M: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// The Weyl increments of the key: the golden ratio and √3 − 1, as 32-bit fractions.
const W: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The Philox4x32-10 generator with a given key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// A generator whose key is the two halves of `seed`, low half first.
    pub fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32] }
    }

    /// Four random words for one counter.
    #[inline]
    pub fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        let [mut c0, mut c1, mut c2, mut c3] = counter;
        for [k0, k1] in self.round_keys() {
            let product0 = u64::from(M[0]) * u64::from(c0);
            let product1 = u64::from(M[1]) * u64::from(c2);
            c0 = (product1 >> 32) as u32 ^ c1 ^ k0;
            c1 = product1 as u32;
            c2 = (product0 >> 32) as u32 ^ c3 ^ k1;
            c3 = product0 as u32;
        }
        [c0, c1, c2, c3]
    }

    /// The keys of the ten rounds.
    #[inline]
    pub(crate) fn round_keys(&self) -> [[u32; 2]; ROUNDS] {
        std::array::from_fn(|round| [0, 1].map(|i| self.key[i].wrapping_add(W[i].wrapping_mul(round as u32))))
    }
}

/// A random word as a number from 0 to below 1.
pub fn share(word: u32) -> f64 {
    f64::from(word) / 2f64.powi(32)
}

#[cfg(test)]
mod tests {
    use super::Philox;

    /// The known-answer vectors of Random123's `kat_vectors`, philox4x32 with 10 rounds.
    #[test]
    fn agrees_with_random123() {
        let ones = u32::MAX;
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let cases = [
            ([0; 4], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [ones, ones], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (counter, key, expected) in cases {
            let seed = u64::from(key[0]) | u64::from(key[1]) << 32;
            assert_eq!(Philox::new(seed).block(counter), expected);
        }
    }
}
