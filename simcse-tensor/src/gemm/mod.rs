//! `C = A·B`, `C = A·B + bias` and `C += A·B` with f32 sums, for the products of training: `y = x·Wᵀ + b`, `dx = dy·W`,
//! `dW += dyᵀ·x`.
//!
//! Blocking after BLIS (Van Zee and van de Geijn 2015), with A and B exchanged, for C is row-major here: a [`MicroKernel`] keeps
//! `MR × NR` sums in registers over `KC` words; a micro-panel of A (`MR × KC`) stays in L1, a block of B (`KC × NC`) in L2, from
//! which it streams while the next block is asked for. Unlike BLIS, all of B is packed before the first product (up to
//! `PACKED_B` words at a time), so that threads meet only there; each then packs the rows of A that it multiplies, `MC` at a time.
//!
//! Every element of C is a sum over blocks of K whose borders the caller fixes, each block's products added in order:
//! its bits depend neither on its place in C, nor on the other rows and columns, nor on the number of threads.

mod addend;
#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod blocked;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod micro_kernel;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod packing;
mod portable;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod prefetch;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod tile;
pub(crate) mod words;

use ndarray::ArrayView2;

use crate::named::Named;
use crate::precision::Precision;
use crate::simd::Isa;

pub use addend::Addend;

/// `C = addend + A·B` with A (M × K) and B (K × N), of contiguous rows or columns and rounded to `precision`, and C (M × N)
/// row-major.
///
/// A partial sum over K ends at each of `k_ends` (ascending, the last one K), and is added to C there; runs longer than
/// the cache block are cut into equal parts.
///
/// # Panics
/// If the shapes do not agree, neither rows nor columns are contiguous, or the precision is not available.
pub fn gemm(
    precision: Precision,
    a: ArrayView2<f32>,
    b: ArrayView2<f32>,
    addend: Addend,
    k_ends: &[usize],
    c: &mut [f32],
) {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    assert_eq!(k, b.nrows(), "gemm: A is {m} × {k}, B is {} × {n}", b.nrows());
    assert_eq!(c.len(), m * n, "gemm: C has {} values, A·B is {m} × {n}", c.len());
    assert_eq!(k_ends.last().copied().unwrap_or(0), k, "gemm: blocks of K end at {k_ends:?}, K is {k}");
    if let Addend::Bias(bias) = addend {
        assert_eq!(bias.len(), n, "gemm: the bias has {} values, A·B is {m} × {n}", bias.len());
    }
    if m * n == 0 || k == 0 {
        return addend.write(c, n.max(1));
    }
    match (Isa::detected(), precision) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        (Isa::Amx, Precision::Bf16) => blocked::gemm::<micro_kernel::AmxBf16>(a, b, addend, k_ends, c),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, Precision::Bf16) => blocked::gemm::<micro_kernel::Avx512Bf16>(a, b, addend, k_ends, c),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Amx, Precision::F32) => blocked::gemm::<micro_kernel::Avx512F32>(a, b, addend, k_ends, c),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, Precision::F32) => blocked::gemm::<micro_kernel::Avx2F32>(a, b, addend, k_ends, c),
        (_, Precision::F32) => portable::gemm(a, b, addend, k_ends, c),
        (isa, Precision::Bf16) => panic!("gemm: no products of bf16 on {}", isa.name()),
    }
}

/// The bytes of scratch memory that [`gemm`] holds for a B of K × N, on all threads together.
pub fn gemm_scratch_bytes(precision: Precision, k: usize, n: usize) -> usize {
    let words = match (Isa::detected(), precision) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        (Isa::Amx, Precision::Bf16) => blocked::scratch::<micro_kernel::AmxBf16>(k, n),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, Precision::Bf16) => blocked::scratch::<micro_kernel::Avx512Bf16>(k, n),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Amx, Precision::F32) => blocked::scratch::<micro_kernel::Avx512F32>(k, n),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, Precision::F32) => blocked::scratch::<micro_kernel::Avx2F32>(k, n),
        _ => 0, // matrixmultiply's own, a few hundred kilobytes
    };
    words * size_of::<f32>()
}

#[cfg(test)]
#[path = "tests/gemm.rs"]
mod tests;
