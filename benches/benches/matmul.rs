//! The three products of training at the models' shapes: `y = x·Wᵀ`, `dx = dy·W`, `dW += dyᵀ·x`, ours beside a naive loop,
//! the crate matrixmultiply and the crate gemm, one thread each. Criterion's `elem/s` are multiply-adds: two FLOP each.
#![allow(missing_docs, unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array2, ArrayView2};
use simcse_benches::{SHAPES, difference, matrix, title_lengths};
use simcse_tensor::{Init, Precision, gemm};

fn ours(a: ArrayView2<f32>, b: ArrayView2<f32>, c: &mut [f32]) {
    gemm(Precision::F32, a, b, Init::Zero, &[a.ncols()], c);
}

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
    let ((m, k), n) = (a.dim(), b.ncols());
    let (sa, sb) = (a.strides(), b.strides());
    // SAFETY: pointers and strides are those of the views; C is m × n.
    unsafe {
        let (a, b) = (a.as_ptr(), b.as_ptr());
        matrixmultiply::sgemm(m, k, n, 1.0, a, sa[0], sa[1], b, sb[0], sb[1], 0.0, c.as_mut_ptr(), n as isize, 1);
    }
}

fn by_gemm(a: ArrayView2<f32>, b: ArrayView2<f32>, c: &mut [f32]) {
    let ((m, k), n) = (a.dim(), b.ncols());
    let (sa, sb) = (a.strides(), b.strides());
    // SAFETY: pointers and strides are those of the views; C is m × n.
    unsafe {
        let (a, b, none) = (a.as_ptr(), b.as_ptr(), gemm::Parallelism::None);
        let c = c.as_mut_ptr();
        gemm::gemm(
            m, n, k, c, 1, n as isize, false, a, sa[1], sa[0], b, sb[1], sb[0], 0.0, 1.0, false, false, false, none,
        );
    }
}

type Product = fn(ArrayView2<f32>, ArrayView2<f32>, &mut [f32]);

fn matmul(criterion: &mut Criterion) {
    let tokens: usize = title_lengths(256).iter().sum();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    for shape in SHAPES {
        for (layer, out, input) in [
            ("qkv", 3 * shape.hidden, shape.hidden),
            ("intermediate", shape.intermediate, shape.hidden),
            ("output", shape.hidden, shape.intermediate),
        ] {
            let (x, w, dy) = (matrix(tokens, input), matrix(out, input), matrix(tokens, out));
            for (form, a, b) in
                [("y=xWt", x.view(), w.t()), ("dx=dyW", dy.view(), w.view()), ("dW=dytx", dy.t(), x.view())]
            {
                let mut group = criterion.benchmark_group(format!("matmul/{}/{layer}/{form}", shape.name));
                group.throughput(Throughput::Elements((a.nrows() * a.ncols() * b.ncols()) as u64));
                group.sample_size(10);
                let mut c = Array2::<f32>::zeros((a.nrows(), b.ncols()));
                let c = c.as_slice_mut().expect("row-major");
                let products: [(&str, Product); 4] =
                    [("ours", ours), ("matrixmultiply", by_matrixmultiply), ("gemm", by_gemm), ("naive", naive)];
                check(&products, a, b);
                for (name, product) in products {
                    group.bench_function(name, |bench| {
                        pool.install(|| bench.iter(|| product(black_box(a), black_box(b), c)));
                    });
                }
            }
        }
    }
}

/// All give the same product, on its first rows.
fn check(products: &[(&str, Product)], a: ArrayView2<f32>, b: ArrayView2<f32>) {
    let a = a.slice(ndarray::s![..a.nrows().min(13), ..]);
    let mut expected = vec![0.0; a.nrows() * b.ncols()];
    naive(a, b, &mut expected);
    for (name, product) in products {
        let mut c = vec![f32::NAN; expected.len()];
        product(a, b, &mut c);
        assert!(difference(&c, &expected) < 1e-4, "{name} differs by {}", difference(&c, &expected));
    }
}

criterion_group!(benches, matmul);
criterion_main!(benches);
