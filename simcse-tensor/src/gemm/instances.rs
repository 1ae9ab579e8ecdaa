//! The micro-kernels that there are: which vectors, which words, and tiles of which
//! size.

#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use ndarray::ArrayView2;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::gemm::amx;
use crate::gemm::micro_kernel::Vectors;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::gemm::micro_kernel::{Accumulators, MicroKernel};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::gemm::packing::pack;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::gemm::prefetch::Prefetch;
use crate::gemm::words::OneF32;
#[cfg(target_arch = "x86_64")]
use crate::gemm::words::TwoBf16;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::simd::Isa;
#[cfg(target_arch = "aarch64")]
use crate::simd::Neon;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};

/// f32 with NEON: 24 of its 32 registers for sums, four for a row of B.
#[cfg(target_arch = "aarch64")]
pub(crate) type NeonF32 = Vectors<Neon, OneF32, 6, 2>;
/// f32 with AVX2.
#[cfg(target_arch = "x86_64")]
pub(crate) type Avx2F32 = Vectors<Avx2, OneF32, 6, 2>;
/// f32 with AVX-512.
#[cfg(target_arch = "x86_64")]
pub(crate) type Avx512F32 = Vectors<Avx512<false>, OneF32, 14, 2>;
/// bf16 with AVX-512.
#[cfg(target_arch = "x86_64")]
pub(crate) type Avx512Bf16 = Vectors<Avx512<true>, TwoBf16, 14, 2>;

/// bf16 with AMX: four tiles of sums.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[derive(Clone, Copy)]
pub(crate) struct AmxBf16(());

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
impl MicroKernel for AmxBf16 {
    type S = Avx512<true>;
    type W = TwoBf16;
    const MR: usize = 32;
    const HEIGHTS: &'static [usize] = &[32];
    const NR: usize = 32;
    const MR_PACKED: usize = 32;
    const STEP: usize = 16;

    #[inline(always)]
    fn begin(_: Self::S) -> Self {
        // The value of AVX-512 does not prove AMX, so this checks.
        assert_eq!(Isa::detected(), Isa::Amx, "this processor does not have AMX");
        // SAFETY: asserted above.
        unsafe { amx::configure() };
        Self(())
    }

    #[inline(always)]
    fn end(self) {
        // SAFETY: `begin` found AMX.
        unsafe { amx::release() };
    }

    /// Into strips of 16 rows, tile after tile, as [`multiply`](amx::multiply)
    /// loads them. A tile holds 16 words of each row next to each other, unlike the panels of
    /// vectors.
    #[inline(always)]
    fn pack_a(s: Self::S, _: usize, from: ArrayView2<f32>, to: &mut [f32]) {
        pack::<Self::S, Self::W, true>(s, from, 16, Self::STEP, to);
    }

    #[inline(always)]
    unsafe fn multiply(
        self,
        _: usize,
        kc: usize,
        a: *const f32,
        b: *const f32,
        next: Prefetch,
        acc: &mut Accumulators,
    ) {
        // SAFETY: `begin` has configured the tiles; the caller promises the rest.
        unsafe { amx::multiply(kc / Self::STEP, a, b, next, acc.0.as_mut_ptr()) };
    }
}
