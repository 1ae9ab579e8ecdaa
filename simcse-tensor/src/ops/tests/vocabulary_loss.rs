use ndarray::Array2;
use proptest::prelude::*;

use super::*;
use crate::ops::testing::sentences;
use crate::rng::Philox;

fn random(rows: usize, cols: usize, seed: u64, stream: u32) -> Array2<f32> {
    let philox = Philox::new(seed);
    Array2::from_shape_fn((rows, cols), |(i, j)| {
        philox.block([i as u32, j as u32, stream, 0])[0] as f32 / u32::MAX as f32 * 2.0 - 1.0
    })
}

/// The losses of all rows in f64.
fn oracle(x: &Array2<f64>, embeddings: &Array2<f64>, bias: &Array2<f64>, labels: &[u32]) -> Vec<f64> {
    let logits = x.dot(&embeddings.t()) + bias.t();
    let of_row = |(row, &label): (ndarray::ArrayView1<f64>, &u32)| {
        row.iter().map(|logit| logit.exp()).sum::<f64>().ln() - row[label as usize]
    };
    logits.rows().into_iter().zip(labels).map(of_row).collect()
}

/// Partial sums of the gradients end where blocks do, so a batch that is cut there has the same
/// bits.
#[test]
fn chunks_do_not_depend_on_what_was_in_front() {
    let rows = Rows::new([12, 24, 3, 20, 2, 30, 5, 4], vec![0; 8]);
    let ends = |rows: &Rows| {
        let ends = |chunk: Chunk| chunk.ends.into_iter().map(move |end| chunk.rows.start + end).collect::<Vec<_>>();
        chunks(rows, 10).into_iter().flat_map(ends).collect::<Vec<_>>()
    };
    let blocks: Vec<_> = rows.blocks().collect();
    assert!(blocks.len() > 4);
    let lengths: Vec<_> = rows.iter().map(|sentence| sentence.len()).collect();
    let cut = blocks[2].start;
    let [front, back] = [&lengths[..cut], &lengths[cut..]].map(|l| Rows::new(l.iter().copied(), vec![0; l.len()]));
    let expected: Vec<_> = ends(&front).into_iter().chain(ends(&back).iter().map(|end| end + front.tokens())).collect();
    assert_eq!(ends(&rows), expected);
    assert!(chunks(&rows, 10).iter().all(|chunk| chunk.rows.len() <= 10));
}

proptest! {
    #[test]
    fn agrees_with_f64(
        rows in sentences(),
        (vocabulary, width) in (1..12usize, 1..6usize),
        scale in 0.1f32..2.0,
        seed: u64,
    ) {
        let count = rows.tokens();
        let values =
            [random(count, width, seed, 0), random(vocabulary, width, seed, 1), random(vocabulary, 1, seed, 2)];
        let labels: Vec<u32> = (0..count as u32).map(|i| (i * 7 + seed as u32 % 5) % vocabulary as u32).collect();
        let [x, embeddings, bias] = &values;
        let bias: Vec<f32> = bias.iter().copied().collect();
        let loss = VocabularyLoss {
            embeddings: embeddings.view(),
            bias: &bias,
            labels: &labels,
            scale,
            precision: Precision::F32,
        };
        let mut found = [Array2::from_elem(x.dim(), f32::NAN), Array2::ones(embeddings.dim()), Array2::ones((vocabulary, 1))];
        let [dx, dembeddings, dbias] = &mut found;
        let mut predictions = Predictions::default();
        loss.forward_backward(x, &rows, dx, flat_mut(dembeddings), flat_mut(dbias), &mut predictions);
        let mut again = Predictions::default();
        loss.forward(x, &rows, &mut again);
        prop_assert_eq!(again, predictions);

        let f64s = |values: &[Array2<f32>; 3]| values.each_ref().map(|matrix| matrix.mapv(f64::from));
        let sum = |values: &[Array2<f64>; 3]| oracle(&values[0], &values[1], &values[2], &labels).iter().sum::<f64>();
        let mut exact = f64s(&values);
        prop_assert!((predictions.sum - sum(&exact)).abs() < 1e-5 * (1.0 + count as f64));
        let logits = exact[0].dot(&exact[1].t()) + exact[2].t();
        let right = |(row, &label): (ndarray::ArrayView1<f64>, &u32)| row.iter().all(|&x| x <= row[label as usize]);
        prop_assert_eq!(predictions.correct, logits.rows().into_iter().zip(&labels).filter(|&pair| right(pair)).count());

        for matrix in 0..3 {
            let added = if matrix == 0 { 0.0 } else { 1.0 }; // what was there before
            for at in ndarray::indices(exact[matrix].dim()) {
                const H: f64 = 1e-5;
                let before = exact[matrix][at];
                exact[matrix][at] = before + H;
                let above = sum(&exact);
                exact[matrix][at] = before - H;
                let numeric = f64::from(scale) * (above - sum(&exact)) / (2.0 * H);
                exact[matrix][at] = before;
                let error = (f64::from(found[matrix][at]) - added - numeric).abs();
                prop_assert!(error < 3e-5 * (1.0 + numeric.abs()), "matrix {}, {:?}", matrix, at);
            }
        }
    }
}
