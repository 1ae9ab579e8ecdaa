//! The processor's peak: how many multiply-adds per second it does with operands in registers.
//!
//! [`CHAINS`] sums that do not depend on one another keep all ports of a core busy; nothing is
//! loaded or stored. The instructions are those that the matrix products use.
//!
//! This file knows instructions and clocks. It must not know what they are used for.

#![allow(unsafe_code)]

use std::hint::black_box;
use std::time::{Duration, Instant};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::gemm::amx;
#[cfg(target_arch = "x86_64")]
use crate::gemm::words::TwoBf16;
use crate::gemm::words::{OneF32, Words};
use crate::named::Named;
use crate::precision::Precision;
#[cfg(target_arch = "aarch64")]
use crate::simd::Neon;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Isa, KernelOn, Portable, Simd};

/// At least latency (4 to 6 cycles) times ports (2), so that no port waits for a sum; together with
/// the two operands they still fit into the sixteen registers of AVX2.
const CHAINS: usize = 12;
/// Multiply-adds of each chain between two looks at the clock.
const RUN: usize = 20_000;
/// How long a round takes.
const ROUND: Duration = Duration::from_millis(50);
const ROUNDS: usize = 6;

/// The peak in FLOP per second (a multiply-add counts as two) of products in `precision`, on all
/// threads of the current rayon pool at once: the best of several rounds, which take 0.3 s.
///
/// On the portable path this is the peak of plain arrays; the crate matrixmultiply, which chooses
/// its own instructions, may exceed it.
///
/// # Panics
/// If the precision is not available.
pub fn peak_flops(precision: Precision) -> f64 {
    let round = || rayon::broadcast(|_| thread_flops(precision)).into_iter().sum();
    (0..ROUNDS).map(|_| round()).fold(0.0, f64::max)
}

/// The FLOP per second of this thread over one round.
fn thread_flops(precision: Precision) -> f64 {
    let started = Instant::now();
    let mut done = 0.0;
    while started.elapsed() < ROUND {
        done += multiply_adds(precision);
    }
    2.0 * done / started.elapsed().as_secs_f64()
}

/// Does some multiply-adds and returns their number.
fn multiply_adds(precision: Precision) -> f64 {
    match (Isa::detected(), precision) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        (Isa::Amx, Precision::Bf16) => on_tiles(),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, Precision::Bf16) => Avx512::<true>::call(OnVectors(TwoBf16)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Amx, Precision::F32) => Avx512::<false>::call(OnVectors(OneF32)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, Precision::F32) => Avx2::call(OnVectors(OneF32)),
        #[cfg(target_arch = "aarch64")]
        (Isa::Neon, Precision::F32) => Neon::call(OnVectors(OneF32)),
        (_, Precision::F32) => Portable::call(OnVectors(OneF32)),
        (isa, Precision::Bf16) => panic!("peak: no bf16 products on {}", isa.name()),
    }
}

struct OnVectors<W>(W);

impl<S: Simd, W: Words<S>> KernelOn<S> for OnVectors<W> {
    type Output = f64;

    fn scratch(&self) -> usize {
        0
    }

    #[inline(always)]
    fn run(self, s: S, _: &mut [f32]) -> f64 {
        // Opaque values, or the compiler would compute the sums itself.
        let a = s.splat(black_box(1.0));
        let b = s.splat(black_box(0.5));
        let mut sums = [s.splat(black_box(0.0)); CHAINS];
        for _ in 0..RUN {
            for sum in &mut sums {
                *sum = W::multiply_add(s, a, b, *sum);
            }
        }
        let total = sums.into_iter().fold(s.splat(0.0), |total, sum| s.add(total, sum));
        black_box(s.sum(total));
        (RUN * CHAINS * S::LANES * W::DEPTH) as f64
    }
}

/// On AMX: each instruction multiplies 16 × 32 values by 32 × 16.
///
/// Two tiles of A times two of B are four independent sums, as in the product's own inner loop.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn on_tiles() -> f64 {
    // SAFETY: `Isa::detected` found AMX. The assembly touches nothing but tiles and its counter,
    // and no other code of this thread uses tiles in between.
    unsafe {
        amx::configure();
        std::arch::asm!(
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {runs}",
            "jnz 2b",
            runs = inout(reg) RUN => _,
            options(nostack, nomem)
        );
        amx::release();
    }
    (RUN * 4 * 16 * 32 * 16) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any core of this century does between 0.1 and 100,000 GFLOP/s.
    #[test]
    fn peak_is_plausible() {
        for precision in [Precision::F32, Precision::Bf16].into_iter().filter(|precision| precision.is_available()) {
            let flops = thread_flops(precision);
            assert!((1e8..1e14).contains(&flops), "{}: {flops} FLOP/s", precision.name());
        }
    }
}
