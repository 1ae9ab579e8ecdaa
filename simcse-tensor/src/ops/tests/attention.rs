use ndarray::{Array2, s};
use proptest::prelude::*;

use crate::ops::testing::{Case, check, sentences};
use crate::rng::Philox;
use crate::{Dropout, Rows};

/// `bias(h, T)` (T, T) is added to the scores of head `h`.
pub(crate) fn oracle(
    qkv: &Array2<f64>,
    rows: &Rows,
    heads: usize,
    size: usize,
    bias: impl Fn(usize, usize) -> Array2<f64>,
    dropout: Option<Dropout>,
) -> Array2<f64> {
    let mut o = Array2::zeros((rows.tokens(), heads * size));
    for (sentence, range) in rows.iter().enumerate() {
        for h in 0..heads {
            let part = |i| qkv.slice(s![range.clone(), (i * heads + h) * size..(i * heads + h + 1) * size]);
            let mut p = part(0).dot(&part(1).t()) / (size as f64).sqrt() + bias(h, range.len());
            p.mapv_inplace(f64::exp);
            p.outer_iter_mut().for_each(|mut row| row /= row.sum());
            if let Some(dropout) = dropout {
                let mut mask = vec![0.0; range.len() * range.len()];
                dropout.mask(rows.stream(sentence), h, &mut mask);
                p.iter_mut().zip(mask).for_each(|(p, m)| *p *= f64::from(m));
            }
            o.slice_mut(s![range.clone(), h * size..(h + 1) * size]).assign(&p.dot(&part(2)));
        }
    }
    o
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn agrees_with_f64(
        rows in sentences(),
        heads in 1..4usize,
        size in prop_oneof![1..6usize, Just(8), Just(17)],
        drop: bool,
        seed: u64,
    ) {
        let inputs = vec![(rows.tokens(), 3 * heads * size)];
        let dropout = drop.then(|| Dropout { rate: 0.3, philox: Philox::new(seed), step: 1, site: 2 });
        check(
            &Case { rows: rows.clone(), inputs, params: vec![], seed },
            |tape, x, _| tape.attention(x[0], heads, None, dropout),
            |x, _| oracle(&x[0], &rows, heads, size, |_, tokens| Array2::zeros((tokens, tokens)), dropout),
        );
    }
}
