//! Sums of table rows: `y[i] = Σ_t table_t[index_t[i]]`.
//!
//! PyTorch: `word_embeddings(input_ids) + position_embeddings(position_ids)`, and the like. Each
//! table (V, C), each index (N), `y` (N, C).

use std::sync::Arc;

use ndarray::Array2;
use rayon::prelude::*;

use crate::ops::elementwise::{flat, flat_mut};
use crate::params::{Grads, Params, Slot};

/// A table, and the row of it that each token uses.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The table, (V, C).
    pub table: Slot,
    /// The table's row for each token, (N).
    pub index: Arc<[u32]>,
    /// A row that gets no gradient. PyTorch: `padding_idx` of `nn.Embedding`.
    pub padding: Option<u32>,
}

/// Writes `y` (N, C).
pub(crate) fn forward(lookups: &[Lookup], params: &Params, y: &mut Array2<f32>) {
    let width = y.ncols();
    flat_mut(y).par_chunks_mut(width).enumerate().for_each(|(i, y)| {
        y.fill(0.0);
        for Lookup { table, index, .. } in lookups {
            let row = &params.slice(*table)[index[i] as usize * width..][..width];
            y.iter_mut().zip(row).for_each(|(y, x)| *y += x);
        }
    });
}

/// `dtable_t[index_t[i]] += dy[i]`, in the order of `i`, except for the padding row.
pub(crate) fn backward(lookups: &[Lookup], dy: &Array2<f32>, grads: &mut Grads) {
    let width = dy.ncols();
    for Lookup { table, index, padding } in lookups {
        // Many tokens share a row, so threads cannot simply divide the tokens: two would write to
        // one row, and the order of its sum, hence its bits, would depend on timing. Instead the
        // tokens are sorted by their row. The sort is stable, so the tokens of a row stay in their
        // order in the batch, and one task adds up all of them.
        let mut tokens: Vec<u32> = (0..index.len() as u32).filter(|&i| Some(index[i as usize]) != *padding).collect();
        tokens.sort_by_key(|&i| index[i as usize]);
        let groups = tokens.chunk_by(|&i, &j| index[i as usize] == index[j as usize]);

        // The groups come in ascending order of rows. Rows without a token stay untouched.
        let rows = groups.clone().map(|tokens| table.row(index[tokens[0] as usize] as usize));
        let tasks: Vec<_> = groups.clone().zip(grads.sections_mut(rows)).collect();
        tasks.into_par_iter().for_each(|(tokens, drow)| {
            for &i in tokens {
                let dy = &flat(dy)[i as usize * width..][..width];
                drow.iter_mut().zip(dy).for_each(|(drow, dy)| *drow += dy);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::Array2;
    use proptest::prelude::*;

    use super::Lookup;
    use crate::ops::testing::{Case, check, sentences};
    use crate::{Grads, Layout};

    proptest! {
        #[test]
        fn agrees_with_f64(
            rows in sentences(),
            width in 1..9usize,
            tables in prop::collection::vec(1..9u32, 1..4),
            seed: u64,
        ) {
            let tokens = rows.tokens();
            let draw = |table: u32, i: usize| (i as u32).wrapping_mul(2_654_435_761).rotate_left(table) % table;
            let index: Vec<Arc<[u32]>> = tables.iter().map(|&t| (0..tokens).map(|i| draw(t, i)).collect()).collect();
            let params = tables.iter().map(|&table| (table as usize, width)).collect();
            check(
                &Case { rows, inputs: vec![], params, seed },
                |tape, _, p| {
                    let lookups = p.iter().zip(&index);
                    let lookups =
                        lookups.map(|(&table, index)| Lookup { table, index: index.clone(), padding: None });
                    tape.embedding(lookups.collect())
                },
                |_, p| {
                    Array2::from_shape_fn((tokens, width), |(i, c)| {
                        p.iter().zip(&index).map(|(table, index)| table[[index[i] as usize, c]]).sum()
                    })
                },
            );
        }
    }

    #[test]
    fn the_padding_row_gets_no_gradient() {
        let mut layout = Layout::default();
        let table = layout.push("", &[3, 1], true, true);
        let mut grads = Grads::zeros(Arc::new(layout));
        let lookup = Lookup { table, index: [2, 1, 0, 1, 2].into(), padding: Some(1) };
        super::backward(&[lookup], &Array2::ones((5, 1)), &mut grads);
        assert_eq!(grads.values(), [1.0, 0.0, 2.0]);
    }
}
