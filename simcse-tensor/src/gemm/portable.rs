//! The product for any processor: the same sums, computed by the crate matrixmultiply.

#![allow(unsafe_code)]

use ndarray::{ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::gemm::addend::Addend;
use crate::gemm::block_sizes::KC;
use crate::gemm::blocked::k_blocks;

/// The rows of C in a task.
const MC: usize = 96;

/// Words of our scratch memory for a B of K × N: none. What matrixmultiply packs into is its own,
/// a few hundred kilobytes a thread.
pub(super) fn scratch(_k: usize, _n: usize) -> usize {
    0
}

/// The product by the crate matrixmultiply, which is called once for each block of K.
pub(super) fn gemm(a: ArrayView2<f32>, b: ArrayView2<f32>, addend: Addend, k_ends: &[usize], c: &mut [f32]) {
    let n = b.ncols();
    let blocks = k_blocks(k_ends, KC);
    c.par_chunks_mut(MC * n).zip(a.axis_chunks_iter(Axis(0), MC).into_par_iter()).for_each(|(c, a)| {
        addend.write(c, n);
        for block in &blocks {
            let (a, b) = (a.slice(s![.., block.clone()]), b.slice(s![block.clone(), ..]));
            let (sa, sb) = (a.strides(), b.strides());
            // SAFETY: the pointers and strides are those of views of the shapes given; C is
            // row-major.
            unsafe {
                let (pa, pb, pc) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                matrixmultiply::sgemm(
                    a.nrows(),
                    block.len(),
                    n,
                    1.0,
                    pa,
                    sa[0],
                    sa[1],
                    pb,
                    sb[0],
                    sb[1],
                    1.0,
                    pc,
                    n as isize,
                    1,
                );
            }
        }
    });
}
