//! A small vector trait: every kernel is written once over [`Simd`], and instruction sets merely
//! instantiate it.
//!
//! This room knows registers, lanes and the processor it runs on, and lends kernels their scratch
//! memory. It must not know what the numbers mean: no shapes, no operations, no matrix products.

#[cfg(target_arch = "aarch64")]
mod arm;
mod dispatch;
mod isa;
pub(crate) mod math;
mod portable;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(crate) use arm::Neon;
pub(crate) use dispatch::dispatch;
pub use isa::Isa;
pub(crate) use isa::has_bf16;
pub(crate) use portable::Portable;
pub(crate) use vector::{Kernel, KernelOn, Simd, SimdBf16};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(test)]
#[path = "tests/simd.rs"]
mod tests;
