//! A bias of attention's scores that depends on the distance of two tokens: the score of query `i`
//! and key `j` of head `h` gets `table[bucket(j − i), h]` (Raffel et al. 2020, section 2.1).
//!
//! transformers: `MPNetEncoder.compute_position_bias`; T5 has the same buckets.
//!
//! Layers share the table (B, H). A gradient that each of them added to the table's would be summed
//! in an order that depends on where a batch is cut. So each sentence has a copy of the table, a
//! row of `y` (S, B·H): layers add up the gradients of a sentence's copy, and the copies are summed
//! here, one partial sum per block of sentences, as all gradients of parameters are.

use ndarray::Array2;

use crate::gemm::row_sums::add_row_sums;
use crate::ops::context::Context;
use crate::params::{Grads, Slot};
use crate::simd::{Simd, math};

/// What is fixed about relative attention biases.
#[derive(Debug)]
pub struct RelativeBias;

impl RelativeBias {
    /// `B`, the number of buckets: half for keys before their query, half for the others.
    pub const BUCKETS: usize = 32;

    /// The distance from which on all keys are in the same bucket.
    pub const LAST_DISTANCE: isize = 91;

    /// The bucket of a key that is `offset` tokens after its query: one bucket for each distance
    /// below 8, then ever wider ones, and the last from [`LAST_DISTANCE`](Self::LAST_DISTANCE) on.
    pub fn bucket(offset: isize) -> usize {
        const HALF: usize = RelativeBias::BUCKETS / 2;
        const EXACT: usize = HALF / 2;
        let distance = offset.unsigned_abs();
        // 8 + log(n/8)/log(128/8)·8 is 8 + log₂(n²/64), without rounding.
        let bucket = match distance {
            ..EXACT => distance,
            _ => (EXACT + (distance * distance / (EXACT * EXACT)).ilog2() as usize).min(HALF - 1),
        };
        if offset > 0 { HALF + bucket } else { bucket }
    }
}

/// Writes the table to each row of `y` (S, B·H).
pub(crate) fn forward(context: Context, table: Slot, y: &mut Array2<f32>) {
    let table = context.params.slice(table);
    y.rows_mut().into_iter().for_each(|mut y| y.as_slice_mut().expect("a row of a buffer").copy_from_slice(table));
}

/// `dtable += Σ_s dy[s]`, with one partial sum per block of sentences.
pub(crate) fn backward(context: Context, table: Slot, dy: &Array2<f32>, grads: &mut Grads) {
    add_row_sums(dy.t(), &context.rows.block_ends(), grads.slice_mut(table));
}

/// The number of values in [`diagonals`] of `tokens` tokens.
pub(crate) fn diagonals_len(tokens: usize) -> usize {
    2 * tokens
}

/// The bias of head `h`, times `factor`, for every distance between two of `tokens` tokens, the
/// lowest offset first. `table` (B, H) is one sentence's.
pub(crate) fn diagonals(table: &[f32], h: usize, tokens: usize, factor: f32, to: &mut [f32]) {
    let heads = table.len() / RelativeBias::BUCKETS;
    for (to, offset) in to.iter_mut().zip(1 - tokens as isize..tokens as isize) {
        *to = table[RelativeBias::bucket(offset) * heads + h] * factor;
    }
}

/// The part of [`diagonals`] that belongs to all keys of query `i`.
fn of_query(i: usize, tokens: usize) -> std::ops::Range<usize> {
    tokens - 1 - i..2 * tokens - 1 - i
}

/// Adds the bias to one query's row of scores (T).
#[inline(always)]
pub(crate) fn add_to_scores<S: Simd>(s: S, diagonals: &[f32], i: usize, scores: &mut [f32]) {
    let bias = &diagonals[of_query(i, scores.len())];
    math::zip(s, bias, scores, |bias, score| s.add(score, bias));
}

/// Adds the gradient of one query's row of scores (T) to that of the diagonals.
#[inline(always)]
pub(crate) fn add_gradient<S: Simd>(s: S, dscores: &[f32], i: usize, ddiagonals: &mut [f32]) {
    let to = &mut ddiagonals[of_query(i, dscores.len())];
    math::zip(s, dscores, to, |gradient, to| s.add(to, gradient));
}

/// Adds the gradient of the diagonals, times `factor`, to head `h`'s column of a sentence's
/// `dtable` (B, H).
pub(crate) fn collect_gradient(ddiagonals: &[f32], h: usize, tokens: usize, factor: f32, dtable: &mut [f32]) {
    let heads = dtable.len() / RelativeBias::BUCKETS;
    for (gradient, offset) in ddiagonals.iter().zip(1 - tokens as isize..tokens as isize) {
        dtable[RelativeBias::bucket(offset) * heads + h] += gradient * factor;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::RelativeBias;
    use crate::ops::attention::tests::oracle;
    use crate::ops::testing::{Case, check, sentences};
    use crate::rng::Philox;
    use crate::{Attention, Dropout, Rows};

    /// Where a new bucket begins, as transformers' `relative_position_bucket` has it for distances
    /// up to 600.
    #[test]
    fn buckets_are_those_of_the_reference() {
        let begins = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91];
        assert_eq!(begins.last(), Some(&RelativeBias::LAST_DISTANCE));
        for distance in 0..600 {
            let expected = begins.iter().filter(|&&begin| begin <= distance).count() - 1;
            assert_eq!(RelativeBias::bucket(-distance), expected, "before, {distance}");
            if distance > 0 {
                assert_eq!(RelativeBias::bucket(distance), 16 + expected, "after, {distance}");
            }
        }
    }

    /// The scores' bias of one head of a sentence, (T, T).
    fn bias(table: &Array2<f64>, h: usize, tokens: usize) -> Array2<f64> {
        Array2::from_shape_fn((tokens, tokens), |(i, j)| table[[RelativeBias::bucket(j as isize - i as isize), h]])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        /// Two layers share a table.
        #[test]
        fn agrees_with_f64(
            rows in sentences(),
            heads in 1..4usize,
            size in prop_oneof![1..6usize, Just(17)],
            drop: bool,
            seed: u64,
        ) {
            let inputs = vec![(rows.tokens(), 3 * heads * size); 2];
            let dropout = drop.then(|| Dropout { rate: 0.3, philox: Philox::new(seed), step: 1, site: 2 });
            let op = Attention { heads, dropout, ..Attention::default() };
            check(
                &Case { rows: rows.clone(), inputs, params: vec![(RelativeBias::BUCKETS, heads)], seed },
                |tape, x, table| {
                    let bias = tape.relative_bias(table[0]);
                    let [a, b] = [x[0], x[1]].map(|x| tape.attention(x, Some(bias), op.clone()));
                    tape.weighted_sum(vec![(a, 0.75), (b, 0.25)])
                },
                |x, table| {
                    let bias = |h: usize, tokens: usize| bias(&table[0], h, tokens);
                    let [a, b] = [&x[0], &x[1]].map(|x| oracle(x, &rows, size, bias, &op));
                    0.75 * a + 0.25 * b
                },
            );
        }
    }

    /// The gradient's sum has the order of the blocks, wherever a batch is cut.
    #[test]
    fn copies_are_summed_block_by_block() {
        let lengths = [9, 9, 9, 9, 9];
        let rows = Rows::new(lengths, vec![0; 5]);
        assert_eq!(rows.with_lengths([1; 5]).block_ends(), [2, 4, 5]);
    }
}
