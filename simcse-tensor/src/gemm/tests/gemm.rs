use ndarray::{Array2, ShapeBuilder};
use proptest::prelude::*;

use super::block_sizes::KC;
use super::blocked::k_blocks;
use super::*;

fn matrix(rows: usize, cols: usize, transposed: bool) -> impl Strategy<Value = Array2<f32>> {
    prop::collection::vec(-1.0f32..1.0, rows * cols)
        .prop_map(move |v| Array2::from_shape_vec((rows, cols).set_f(transposed), v).unwrap())
}

fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
    let side = prop_oneof![0..40usize, Just(96), Just(97), Just(200)];
    let depth = prop_oneof![0..40usize, Just(KC), Just(KC + 1), Just(2 * KC + 3)];
    (side.clone(), depth, side)
}

fn case() -> impl Strategy<Value = (Array2<f32>, Array2<f32>, Vec<usize>)> {
    (sizes(), any::<(bool, bool)>(), 1..50usize).prop_flat_map(|((m, k, n), (ta, tb), run)| {
        let ends = (0..k).step_by(run).skip(1).chain([k]).collect();
        (matrix(m, k, ta), matrix(k, n, tb), Just(ends))
    })
}

fn precision() -> impl Strategy<Value = Precision> {
    prop_oneof![Just(Precision::F32), Just(Precision::Bf16)]
        .prop_filter("needs a processor with bf16 instructions", |precision| precision.is_available())
}

/// `x` as an operand, by the definition of bf16: the upper half of an f32, rounded to nearest even.
fn operand(precision: Precision, x: f32) -> f64 {
    let bits = x.to_bits();
    f64::from(match precision {
        Precision::F32 => x,
        Precision::Bf16 => f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000),
    })
}

/// One element of `A·B` in f64, and the sum of the products' magnitudes, which bounds the error.
fn oracle(precision: Precision, a: &Array2<f32>, b: &Array2<f32>, i: usize, j: usize) -> (f64, f64) {
    let products = (0..a.ncols()).map(|k| operand(precision, a[[i, k]]) * operand(precision, b[[k, j]]));
    products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()))
}

proptest! {
    #[test]
    fn equals_the_naive_product(
        (a, b, ends) in case(),
        precision in precision(),
        mode in 0..3,
        by_matrixmultiply: bool,
    ) {
        let m = a.nrows();
        let n = b.ncols();
        let bias: Vec<f32> = (0..n).map(|j| j as f32 / 7.0).collect();
        let (addend, before) = match mode {
            0 => (Addend::Zero, f32::NAN),
            1 => (Addend::Bias(&bias), f32::NAN),
            _ => (Addend::Existing, 0.5),
        };
        let mut c = vec![before; m * n];
        if precision == Precision::F32 && by_matrixmultiply && m * n * a.ncols() > 0 {
            portable::gemm(a.view(), b.view(), addend, &ends, &mut c);
        } else {
            gemm(precision, a.view(), b.view(), addend, &ends, &mut c);
        }
        for (at, &c) in c.iter().enumerate() {
            let [i, j] = [at / n, at % n];
            let (sum, size) = oracle(precision, &a, &b, i, j);
            let expected = sum + match mode { 0 => 0.0, 1 => f64::from(bias[j]), _ => 0.5 };
            let error = (f64::from(c) - expected).abs();
            prop_assert!(error <= 1e-6 * (size + 1.0 + expected.abs()), "C[{i}, {j}] = {c}, expected {expected}");
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_sizes_of_blocks(
        (a, b, ends) in case(),
        precision in precision(),
        (mc, nc, packed_b) in (0..100usize, 0..100usize, 0..100_000usize),
    ) {
        let mut expected = vec![0.5; a.nrows() * b.ncols()];
        let mut found = expected.clone();
        gemm(precision, a.view(), b.view(), Addend::Existing, &ends, &mut expected);
        let sizes = BlockSizes { mc, nc, packed_b };
        gemm_in_blocks(precision, sizes, a.view(), b.view(), Addend::Existing, &ends, &mut found);
        prop_assert_eq!(found, expected);
    }

    /// Sums of A's rows, which come with the same C: one after another in each range of K.
    #[test]
    fn row_sums_have_one_partial_sum_per_range(
        (a, b, ends) in case(),
        precision in precision(),
        threads in 1..4usize,
    ) {
        let by_columns = a.t().as_standard_layout().into_owned();
        let mut expected = vec![0.5; a.nrows()];
        for (row, expected) in a.rows().into_iter().zip(&mut expected) {
            for k in k_blocks(&ends, a.ncols().max(1)) {
                *expected += k.fold(0.0, |sum, k| sum + row[k]);
            }
        }
        let [mut c, mut with_sums] = [0, 1].map(|_| vec![0.5; a.nrows() * b.ncols()]);
        gemm(precision, by_columns.t(), b.view(), Addend::Existing, &ends, &mut c);
        let mut sums = vec![0.5; a.nrows()];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let existing = Addend::Existing;
            gemm_with_row_sums(precision, by_columns.t(), b.view(), existing, &ends, &mut sums, &mut with_sums);
        });
        prop_assert_eq!(sums, expected);
        prop_assert_eq!(with_sums, c);
    }

    /// The bits of a row of C depend on that row of A alone, and K may be split over several calls.
    #[test]
    fn bits_depend_on_the_row_alone((a, b, ends) in case(), precision in precision(), threads in 1..4usize) {
        let m = a.nrows();
        let n = b.ncols();
        let mut whole = vec![0.0; m * n];
        gemm(precision, a.view(), b.view(), Addend::Existing, &ends, &mut whole);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for i in (0..m).step_by(17) {
            let mut row = vec![f32::NAN; n];
            pool.install(|| gemm(precision, a.slice(ndarray::s![i..=i, ..]), b.view(), Addend::Zero, &ends, &mut row));
            prop_assert_eq!(&row[..], &whole[i * n..][..n]);
        }
        let mut pieces = vec![0.0; m * n];
        let depth = if precision == Precision::F32 { 1 } else { 2 };
        for k in k_blocks(&ends, KC * depth) {
            let (a, b) = (a.slice(ndarray::s![.., k.clone()]), b.slice(ndarray::s![k.clone(), ..]));
            gemm(precision, a, b, Addend::Existing, &[k.len()], &mut pieces);
        }
        prop_assert_eq!(pieces, whole);
    }
}
