//! Which micro-kernel computes a product: that of the processor and the precision.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::gemm::instances;
use crate::gemm::micro_kernel::MicroKernel;
use crate::named::Named;
use crate::precision::Precision;
use crate::simd::Isa;

/// Something to do with the micro-kernel that is chosen.
pub(super) trait WithKernel {
    type Output;

    /// With a micro-kernel.
    fn blocked<M: MicroKernel>(self) -> Self::Output;

    /// Without one: with the product for any processor.
    fn portable(self) -> Self::Output;
}

/// Does `work` with the micro-kernel of this processor for operands of `precision`.
///
/// # Panics
/// If the precision is not available.
pub(super) fn with_kernel<W: WithKernel>(precision: Precision, work: W) -> W::Output {
    match (Isa::detected(), precision) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        (Isa::Amx, Precision::Bf16) => work.blocked::<instances::AmxBf16>(),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, Precision::Bf16) => work.blocked::<instances::Avx512Bf16>(),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Amx, Precision::F32) => work.blocked::<instances::Avx512F32>(),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, Precision::F32) => work.blocked::<instances::Avx2F32>(),
        #[cfg(target_arch = "aarch64")]
        (Isa::Neon, Precision::F32) => work.blocked::<instances::NeonF32>(),
        (_, Precision::F32) => work.portable(),
        (isa, Precision::Bf16) => panic!("gemm: no bf16 products on {}", isa.name()),
    }
}
