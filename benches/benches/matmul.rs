//! The three products of training at the models' shapes, `y = x·Wᵀ`, `dx = dy·W` and `dW += dyᵀ·x`:
//! ours compared with the crates matrixmultiply and gemm and with a naive loop, on one thread each.

#![allow(missing_docs, unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::{ArrayView2, s};
use simcse_benches::{Amount, Bench, SHAPES, Shape, check, matrix, peak, precisions, titles};
use simcse_tensor::{Addend, Named, Precision, gemm};

/// How many rows of C the naive loop computes. All of them would take longer than the other
/// implementations together.
const NAIVE_ROWS: usize = 24;

fn naive(a: ArrayView2<f32>, b: ArrayView2<f32>, c: &mut [f32]) {
    c.fill(0.0);
    for (i, c) in c.chunks_exact_mut(b.ncols()).enumerate() {
        for k in 0..a.ncols() {
            let a = a[[i, k]];
            c.iter_mut().zip(b.row(k)).for_each(|(c, b)| *c += a * b);
        }
    }
}

fn by_matrixmultiply(a: ArrayView2<f32>, b: ArrayView2<f32>, c: &mut [f32]) {
    let (m, k) = a.dim();
    let n = b.ncols();
    let [sa, sb] = [a.strides(), b.strides()];
    let [a, b] = [a.as_ptr(), b.as_ptr()];
    // SAFETY: pointers and strides are those of the views; C is m × n.
    unsafe {
        matrixmultiply::sgemm(m, k, n, 1.0, a, sa[0], sa[1], b, sb[0], sb[1], 0.0, c.as_mut_ptr(), n as isize, 1);
    }
}

fn by_gemm(a: ArrayView2<f32>, b: ArrayView2<f32>, c: &mut [f32]) {
    let (m, k) = a.dim();
    let n = b.ncols();
    let [sa, sb] = [a.strides(), b.strides()];
    let [a, b] = [a.as_ptr(), b.as_ptr()];
    let c = c.as_mut_ptr();
    let serial = gemm::Parallelism::None;
    // SAFETY: pointers and strides are those of the views; C is m × n.
    unsafe {
        gemm::gemm(
            m, n, k, c, 1, n as isize, false, a, sa[1], sa[0], b, sb[1], sb[0], 0.0, 1.0, false, false, false, serial,
        );
    }
}

/// The output and input widths of a layer's four linear maps.
fn linears(Shape { hidden: c, intermediate: f, .. }: Shape) -> [(&'static str, usize, usize); 4] {
    [("qkv", 3 * c, c), ("attention-output", c, c), ("intermediate", f, c), ("output", c, f)]
}

fn matmul(criterion: &mut Criterion) {
    let rows = titles(256);
    let peaks: Vec<_> = precisions().map(|precision| (precision, peak(precision, 1))).collect();
    for shape in SHAPES {
        for (layer, out, input) in linears(shape) {
            let x = matrix(rows.tokens(), input);
            let w = matrix(out, input);
            let dy = matrix(rows.tokens(), out);
            for (form, a, b, k_ends) in [
                ("y=xWt", x.view(), w.t(), vec![input]),
                ("dx=dyW", dy.view(), w.view(), vec![out]),
                ("dW=dytx", dy.t(), x.view(), rows.block_ends()),
            ] {
                let bench = Bench::new(criterion, format!("matmul/{}/{layer}/{form}", shape.name), 1);
                product(bench, &peaks, a, b, &k_ends);
            }
        }
    }
}

/// Benches all implementations of one product.
fn product(mut bench: Bench, peaks: &[(Precision, f64)], a: ArrayView2<f32>, b: ArrayView2<f32>, k_ends: &[usize]) {
    let flop = |rows: usize| (2 * rows * a.ncols() * b.ncols()) as f64;
    let f32_peak = peaks[0].1;
    let top = a.slice(s![..NAIVE_ROWS, ..]);
    let mut expected = vec![0.0; NAIVE_ROWS * b.ncols()];
    naive(top, b, &mut expected);

    let mut c = vec![0.0; a.nrows() * b.ncols()];
    let mut measure = |name: &str, tolerance, peak, product: &(dyn Fn(&mut [f32]) + Sync)| {
        c.fill(f32::NAN);
        product(&mut c);
        check(name, &c[..expected.len()], &expected, tolerance);
        bench.case(name, Amount::Flop(flop(a.nrows()), peak), || product(black_box(&mut c)));
    };
    for &(precision, peak) in peaks {
        let tolerance = if precision == Precision::F32 { 1e-4 } else { 2e-2 };
        measure(precision.name(), tolerance, peak, &|c| gemm(precision, a, b, Addend::Zero, k_ends, c));
    }
    measure("matrixmultiply", 1e-4, f32_peak, &|c| by_matrixmultiply(a, b, c));
    measure("gemm", 1e-4, f32_peak, &|c| by_gemm(a, b, c));
    bench.case("naive", Amount::Flop(flop(NAIVE_ROWS), f32_peak), || naive(top, b, black_box(&mut expected)));
}

criterion_group!(benches, matmul);
criterion_main!(benches);
