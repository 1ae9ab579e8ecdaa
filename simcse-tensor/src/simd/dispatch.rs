//! Runs a kernel's instance for this processor.

#[cfg(target_arch = "aarch64")]
use crate::simd::arm::Neon;
use crate::simd::isa::Isa;
use crate::simd::portable::Portable;
use crate::simd::vector::{Kernel, Simd};
#[cfg(target_arch = "x86_64")]
use crate::simd::x86::{Avx2, Avx512};

/// Runs a kernel on the detected instruction set.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match Isa::detected() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => Avx512::<false>::call(kernel),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::call(kernel),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::call(kernel),
        _ => Portable::call(kernel),
    }
}
