use std::sync::Arc;

use ndarray::{Array2, s};
use proptest::prelude::*;

use crate::ops::testing::{Case, check, sentences};
use crate::rng::Philox;
use crate::{Attention, Dropout, Rotary, Rows};

/// `bias(h, T)` (T, T) is added to the scores of head `h`; a head has `size` values.
pub(crate) fn oracle(
    qkv: &Array2<f64>,
    rows: &Rows,
    size: usize,
    bias: impl Fn(usize, usize) -> Array2<f64>,
    op: &Attention,
) -> Array2<f64> {
    let mut o = Array2::zeros((rows.tokens(), op.heads * size));
    for (sentence, range) in rows.iter().enumerate() {
        let tokens = range.len();
        for h in 0..op.heads {
            let part = |i| qkv.slice(s![range.clone(), (i * op.heads + h) * size..(i * op.heads + h + 1) * size]);
            let [q, k] =
                [0, 1].map(|i| if op.rotary.is_some() { rotated(part(i).to_owned()) } else { part(i).to_owned() });
            let mut p = q.dot(&k.t()) / (size as f64).sqrt() + bias(h, tokens);
            p.mapv_inplace(f64::exp);
            let window = op.window.unwrap_or(tokens);
            p.indexed_iter_mut().filter(|((i, j), _)| i.abs_diff(*j) > window).for_each(|(_, p)| *p = 0.0);
            p.outer_iter_mut().for_each(|mut row| row /= row.sum());
            if let Some(dropout) = op.dropout {
                // A query's columns in the mask are all keys, or the places of its window.
                let columns = tokens.min(2 * window + 1);
                let mut mask = vec![0.0; tokens * columns];
                dropout.mask(rows.stream(sentence), h, &mut mask);
                for ((i, j), p) in p.indexed_iter_mut().filter(|((i, j), _)| i.abs_diff(*j) <= window) {
                    let column = if columns == tokens { j } else { j + window - i };
                    *p *= f64::from(mask[i * columns + column]);
                }
            }
            o.slice_mut(s![range.clone(), h * size..(h + 1) * size]).assign(&p.dot(&part(2)));
        }
    }
    o
}

const THETA: f64 = 100.0;

/// Value `d` and value `d + D/2` of row `t` as a complex number, times `e^(i·t·θ^(−2d/D))`.
fn rotated(x: Array2<f64>) -> Array2<f64> {
    let size = x.ncols();
    Array2::from_shape_fn(x.dim(), |(t, c)| {
        let d = c % (size / 2);
        let (sine, cosine) = (t as f64 / THETA.powf((2 * d) as f64 / size as f64)).sin_cos();
        let [a, b] = [x[[t, d]], x[[t, d + size / 2]]];
        if c < size / 2 { a * cosine - b * sine } else { a * sine + b * cosine }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Blocks of queries are eight long in tests: sentences have up to three.
    #[test]
    fn agrees_with_f64(
        rows in sentences(),
        heads in 1..4usize,
        size in prop_oneof![1..6usize, Just(8), Just(17), Just(20)],
        window in prop_oneof![Just(None), (0..10usize).prop_map(Some)],
        rotates: bool,
        drop: bool,
        seed: u64,
    ) {
        let inputs = vec![(rows.tokens(), 3 * heads * size)];
        let rotary = (rotates && size % 2 == 0).then(|| Arc::new(Rotary::new(THETA as f32, size, 20)));
        let dropout = drop.then(|| Dropout { rate: 0.3, philox: Philox::new(seed), step: 1, site: 2 });
        let op = Attention { heads, window, rotary, dropout };
        check(
            &Case { rows: rows.clone(), inputs, params: vec![], seed },
            |tape, x, _| tape.attention(x[0], None, op.clone()),
            |x, _| oracle(&x[0], &rows, size, |_, tokens| Array2::zeros((tokens, tokens)), &op),
        );
    }
}

/// The mask of keys by place in the window is drawn block by block, each from where it begins.
#[test]
fn the_mask_of_a_long_sentence_is_one_row() {
    let dropout = Dropout { rate: 0.5, philox: Philox::new(7), step: 1, site: 2 };
    for (window, seed) in [(None, 1), (Some(3), 2), (Some(40), 3)] {
        let rows = Arc::new(Rows::new([75, 1, 33], vec![4, 5, 6]));
        let op = Attention { heads: 2, window, dropout: Some(dropout), ..Attention::default() };
        check(
            &Case { rows: rows.clone(), inputs: vec![(rows.tokens(), 6)], params: vec![], seed },
            |tape, x, _| tape.attention(x[0], None, op.clone()),
            |x, _| oracle(&x[0], &rows, 1, |_, tokens| Array2::zeros((tokens, tokens)), &op),
        );
    }
}
