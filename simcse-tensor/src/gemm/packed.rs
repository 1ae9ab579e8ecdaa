//! A matrix that is packed once, as the right operand of many products.

use ndarray::ArrayView2;

use crate::buffers::pages::Aligned;
use crate::gemm::addend::Addend;
use crate::gemm::blocked;
use crate::gemm::choice::{WithKernel, with_kernel};
use crate::gemm::micro_kernel::MicroKernel;
use crate::precision::Precision;

/// A matrix B (K × N) as the micro-kernel of this processor reads it.
///
/// A product of few rows spends most of its time on packing B: it reads and writes all of it, and
/// then reads it once more.
#[derive(Debug)]
pub(crate) struct PackedMatrix {
    precision: Precision,
    k: usize,
    n: usize,
    words: Aligned,
}

impl PackedMatrix {
    /// Packs `b`, rounded to `precision`; `None` if products are computed without packing here. The
    /// rows or the columns of `b` must be contiguous.
    pub(crate) fn new(precision: Precision, b: ArrayView2<f32>) -> Option<Self> {
        let (k, n) = b.dim();
        let words = with_kernel(precision, Pack(b))?;
        Some(Self { precision, k, n, words })
    }

    /// `C = addend + A·B` with A (M × K): the same bits as [`gemm`](crate::gemm()) with one partial
    /// sum over K.
    ///
    /// # Panics
    /// If the shapes do not agree, or neither rows nor columns of A are contiguous.
    pub(crate) fn product(&self, a: ArrayView2<f32>, addend: Addend, c: &mut [f32]) {
        let (m, k) = a.dim();
        assert_eq!(k, self.k, "packed product: A is {m} × {k}, B is {} × {}", self.k, self.n);
        assert_eq!(c.len(), m * self.n, "packed product: C has {} values, A·B is {m} × {}", c.len(), self.n);
        if m * self.n == 0 || k == 0 {
            return addend.write(c, self.n.max(1));
        }
        with_kernel(self.precision, Multiply { a, b: self, addend, c });
    }
}

struct Pack<'a>(ArrayView2<'a, f32>);

impl WithKernel for Pack<'_> {
    type Output = Option<Aligned>;

    fn blocked<M: MicroKernel>(self) -> Self::Output {
        Some(blocked::pack::<M>(self.0))
    }

    fn portable(self) -> Self::Output {
        None
    }
}

struct Multiply<'a> {
    a: ArrayView2<'a, f32>,
    b: &'a PackedMatrix,
    addend: Addend<'a>,
    c: &'a mut [f32],
}

impl WithKernel for Multiply<'_> {
    type Output = ();

    fn blocked<M: MicroKernel>(self) {
        blocked::product_with_packed::<M>(self.a, &self.b.words, self.addend, self.c);
    }

    fn portable(self) {
        unreachable!("nothing is packed for the portable product");
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::gemm::gemm;

    proptest! {
        /// Also where K or N is larger than a block.
        #[test]
        fn gives_the_same_bits_as_packing_each_time(
            m in 0..40usize, k in 0..1200usize, n in 0..300usize, transposed: bool, seed: u32,
        ) {
            let of = |rows, columns, phase: f32| {
                Array2::from_shape_fn((rows, columns), |(i, j)| {
                    ((i * 31 + j * 7) as f32 * 0.37 + phase + (seed % 1000) as f32).sin()
                })
            };
            let a = of(m, k, 0.1);
            let b = if transposed { of(n, k, 0.2).reversed_axes() } else { of(k, n, 0.2) };
            let bias: Vec<f32> = (0..n).map(|j| j as f32).collect();
            for precision in [Precision::F32, Precision::Bf16].into_iter().filter(|precision| precision.is_available()) {
                let Some(packed) = PackedMatrix::new(precision, b.view()) else { continue };
                for addend in [Addend::Zero, Addend::Bias(&bias), Addend::Existing] {
                    let [mut expected, mut found] = [0, 1].map(|_| vec![0.5; m * n]);
                    gemm(precision, a.view(), b.view(), addend, &[k], &mut expected);
                    packed.product(a.view(), addend, &mut found);
                    prop_assert_eq!(&expected, &found);
                }
            }
        }
    }
}
