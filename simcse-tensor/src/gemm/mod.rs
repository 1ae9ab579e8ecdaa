//! `C = A·B`, `C = A·B + bias` and `C += A·B` with f32 sums, for the products of training:
//! `y = x·Wᵀ + b`, `dx = dy·W`, `dW += dyᵀ·x`.
//!
//! This room knows matrices, caches and threads. It must not know what its operands are, nor
//! anything of sentences, parameters or the tape.
//!
//! Blocking follows BLIS (Van Zee and van de Geijn 2015), with A and B exchanged because C is
//! row-major here: a micro-kernel keeps `MR × NR` sums in registers over `KC` words; a micro-panel
//! of A (`MR × KC`) stays in L1, a block of B (`KC × NC`) in L2, from which it streams while the
//! next block is prefetched. Unlike in BLIS, all of B is packed before the first product (at most
//! half of L3, and 16 MiB, at a time), so that threads wait for one another only there; each then
//! packs the rows of A that it multiplies, `MC` at a time. [`BlockSizes`] fits all of these to the
//! caches.
//!
//! Every element of C is a sum over blocks of K whose boundaries the caller fixes, and each block's
//! products are added in order. The bits of an element depend neither on its position in C, nor on
//! the other rows and columns, nor on the number of threads.

mod addend;
#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
mod block_sizes;
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
mod blocked;
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
mod caches;
mod choice;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod instances;
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
mod micro_kernel;
pub(crate) mod packed;
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
mod packing;
mod portable;
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
mod prefetch;
pub(crate) mod row_sums;
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
mod tile;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) mod words;

use ndarray::ArrayView2;

use crate::gemm::choice::{WithKernel, with_kernel};
use crate::gemm::micro_kernel::MicroKernel;
use crate::gemm::row_sums::add_row_sums;
use crate::precision::Precision;

pub use addend::Addend;
pub use block_sizes::BlockSizes;

/// `C = addend + A·B` with A (M × K) and B (K × N), rounded to `precision`, and C (M × N)
/// row-major. The rows or the columns of A must be contiguous, and so must those of B.
///
/// A partial sum over K ends at each of `k_ends` (ascending, the last one is K), where it is added
/// to C; ranges longer than a cache block are cut into equal parts.
///
/// ```
/// use ndarray::array;
/// use simcse_tensor::{Addend, Precision, gemm};
///
/// let x = array![[1.0, 2.0], [3.0, 4.0]];
/// let weight = array![[1.0, 1.0], [0.0, 1.0], [2.0, 0.0]];
/// let mut y = [f32::NAN; 6];
/// let bias = Addend::Bias(&[0.5, 0.0, 0.0]);
/// gemm(Precision::F32, x.view(), weight.t(), bias, &[2], &mut y);
/// assert_eq!(y, [3.5, 2.0, 2.0, 7.5, 4.0, 6.0]);
/// ```
///
/// # Panics
/// If the shapes do not agree, neither rows nor columns are contiguous, or the precision is not
/// available.
pub fn gemm(
    precision: Precision,
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    addend: Addend,
    k_ends: &[usize],
    c: &mut [f32],
) {
    Product { sizes: None, a, b, addend, k_ends, row_sums: None, c }.compute(precision);
}

/// [`gemm`], and `row_sums[m] += Σ_k a[m][k]` from the values of A before they are rounded, with
/// the same partial sums over K as C. The columns of A must be contiguous.
///
/// # Panics
/// As [`gemm`]; if there are not as many sums as rows of A, or its columns are not contiguous.
pub(crate) fn gemm_with_row_sums(
    precision: Precision,
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    addend: Addend,
    k_ends: &[usize],
    row_sums: &mut [f32],
    c: &mut [f32],
) {
    Product { sizes: None, a, b, addend, k_ends, row_sums: Some(row_sums), c }.compute(precision);
}

/// [`gemm`] with blocks of the given sizes instead of those that suit this processor's caches: the
/// same bits, for benches and tests. They are rounded up to whole tiles; products without blocks
/// ignore them.
///
/// # Panics
/// As [`gemm`].
pub fn gemm_in_blocks(
    precision: Precision,
    sizes: BlockSizes,
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    addend: Addend,
    k_ends: &[usize],
    c: &mut [f32],
) {
    Product { sizes: Some(sizes), a, b, addend, k_ends, row_sums: None, c }.compute(precision);
}

/// The sizes of blocks that suit this processor's caches; `None` if products have no blocks here.
///
/// # Panics
/// If the precision is not available.
pub fn block_sizes(precision: Precision) -> Option<BlockSizes> {
    with_kernel(precision, Sizes)
}

/// The bytes of scratch memory that [`gemm`] needs for a B of K × N, on all threads together.
pub fn gemm_scratch_bytes(precision: Precision, k: usize, n: usize) -> usize {
    with_kernel(precision, Scratch { k, n }) * size_of::<f32>()
}

/// The arguments of [`gemm`] and its variants.
struct Product<'a> {
    sizes: Option<BlockSizes>,
    a: ArrayView2<'a, f32>,
    b: ArrayView2<'a, f32>,
    addend: Addend<'a>,
    k_ends: &'a [usize],
    row_sums: Option<&'a mut [f32]>,
    c: &'a mut [f32],
}

impl Product<'_> {
    fn compute(self, precision: Precision) {
        let (m, k) = self.a.dim();
        let n = self.b.ncols();
        assert_eq!(k, self.b.nrows(), "gemm: A is {m} × {k}, B is {} × {n}", self.b.nrows());
        assert_eq!(self.c.len(), m * n, "gemm: C has {} values, A·B is {m} × {n}", self.c.len());
        let last = self.k_ends.last().copied().unwrap_or(0);
        assert_eq!(last, k, "gemm: blocks of K end at {:?}, K is {k}", self.k_ends);
        if let Addend::Bias(bias) = self.addend {
            assert_eq!(bias.len(), n, "gemm: the bias has {} values, A·B is {m} × {n}", bias.len());
        }
        if let Some(sums) = &self.row_sums {
            assert_eq!(sums.len(), m, "gemm: there are {} sums of rows, A is {m} × {k}", sums.len());
        }
        if m * n == 0 || k == 0 {
            if let Some(sums) = self.row_sums {
                add_row_sums(self.a, self.k_ends, sums);
            }
            return self.addend.write(self.c, n.max(1));
        }
        with_kernel(precision, self);
    }
}

impl WithKernel for Product<'_> {
    type Output = ();

    fn blocked<M: MicroKernel>(self) {
        let sizes = self.sizes.map_or_else(BlockSizes::of::<M>, BlockSizes::in_tiles::<M>);
        blocked::gemm::<M>(sizes, self.a, self.b, self.addend, self.k_ends, self.row_sums, self.c);
    }

    fn portable(self) {
        portable::gemm(self.a, self.b, self.addend, self.k_ends, self.c);
        if let Some(sums) = self.row_sums {
            add_row_sums(self.a, self.k_ends, sums);
        }
    }
}

struct Sizes;

impl WithKernel for Sizes {
    type Output = Option<BlockSizes>;

    fn blocked<M: MicroKernel>(self) -> Self::Output {
        Some(BlockSizes::of::<M>())
    }

    fn portable(self) -> Self::Output {
        None
    }
}

/// The words of scratch memory for a B of K × N.
struct Scratch {
    k: usize,
    n: usize,
}

impl WithKernel for Scratch {
    type Output = usize;

    fn blocked<M: MicroKernel>(self) -> usize {
        blocked::scratch::<M>(self.k, self.n)
    }

    fn portable(self) -> usize {
        portable::scratch(self.k, self.n)
    }
}

#[cfg(test)]
#[path = "tests/gemm.rs"]
mod tests;
