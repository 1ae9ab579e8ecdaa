//! What the processor can do at most: the multiply-adds of [`dispatch_words`]' instruction set on registers alone.
//!
//! `CHAINS` sums that do not wait for one another keep both ports of a core busy; nothing is loaded or stored.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::simd::Simd;
use crate::words::{Precision, WordKernel, Words, dispatch_words};

/// Latency (4 to 6 cycles) times ports (2); with two operands they fit the sixteen registers of AVX2.
const CHAINS: usize = 12;
/// Multiply-adds of each chain between two looks at the clock.
const RUN: usize = 20_000;
/// How long a round takes.
const ROUND: Duration = Duration::from_millis(50);
const ROUNDS: usize = 6;

/// FLOP per second (a multiply-add is two) of the products that `precision` is computed with, on all threads of the pool at once:
/// the best of several rounds, after 0.3 s. On the portable path it is that of its plain arrays, which the crate matrixmultiply, with
/// instructions of its own choice, may exceed.
///
/// # Panics
/// If the precision is not available.
pub fn peak_flops(precision: Precision) -> f64 {
    let round = || rayon::broadcast(|_| thread_flops(precision)).into_iter().sum();
    (0..ROUNDS).map(|_| round()).fold(0.0, f64::max)
}

/// FLOP per second of this thread over one round.
fn thread_flops(precision: Precision) -> f64 {
    let (started, mut done) = (Instant::now(), 0.0);
    while started.elapsed() < ROUND {
        dispatch_words(precision, MultiplyAdds { done: &mut done });
    }
    2.0 * done / started.elapsed().as_secs_f64()
}

/// Adds the multiply-adds it did to `done`.
struct MultiplyAdds<'a> {
    done: &'a mut f64,
}

impl WordKernel for MultiplyAdds<'_> {
    #[inline(always)]
    fn run<S: Simd, W: Words<S>>(self, s: S, _: &mut [f32]) {
        let (a, b) = (s.splat(black_box(1.0)), s.splat(black_box(0.5)));
        let mut sums = [s.splat(black_box(0.0)); CHAINS];
        for _ in 0..RUN {
            for sum in &mut sums {
                *sum = W::multiply_add(s, a, b, *sum);
            }
        }
        let total = sums.into_iter().fold(s.splat(0.0), |total, sum| s.add(total, sum));
        black_box(s.sum(total));
        *self.done += (RUN * CHAINS * S::LANES * W::DEPTH) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A core of any processor of this century does more than 0.1 and less than 1,000 GFLOP/s.
    #[test]
    fn is_of_the_right_size() {
        for precision in [Precision::F32, Precision::Bf16].into_iter().filter(|precision| precision.is_available()) {
            let flops = thread_flops(precision);
            assert!((1e8..1e12).contains(&flops), "{precision}: {flops} FLOP/s");
        }
    }
}
