//! How large the blocks of a product are: as large as the processor's caches hold.
//!
//! Blocks along K have the same length everywhere, because the bits of a sum depend on it. The
//! other sizes change nothing but speed.

use crate::gemm::caches::Caches;
use crate::gemm::micro_kernel::MicroKernel;

/// The most words along K in a block.
pub(super) const KC: usize = 512;

/// The sizes of a product's blocks, except along K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSizes {
    /// BLIS's `MC`: the most rows of A that a task packs at a time. `MC × KC` words share L2 with
    /// the block of B.
    pub mc: usize,
    /// BLIS's `NC`: the columns of a block of B. `KC × NC` words stay in L2.
    pub nc: usize,
    /// The most words of B that are packed at a time, unless a single block along K has more.
    pub packed_b: usize,
}

impl BlockSizes {
    /// Those for a micro-kernel on this processor.
    pub(super) fn of<M: MicroKernel>() -> Self {
        Self::for_caches::<M>(Caches::detected())
    }

    /// These, rounded up to whole tiles.
    pub(super) fn in_tiles<M: MicroKernel>(self) -> Self {
        const MOST: usize = 1 << 20;
        let mc = self.mc.clamp(1, MOST).next_multiple_of(M::MR);
        let nc = self.nc.clamp(1, MOST).next_multiple_of(M::NR);
        Self { mc, nc, ..self }
    }

    /// Those for a micro-kernel and caches: half of L2 for A, a quarter for B, and the rest for C
    /// and what is prefetched. The bench `blocks` compares them with others.
    fn for_caches<M: MicroKernel>(caches: Caches) -> Self {
        const WORD: usize = size_of::<f32>();
        // On a core with 2 MiB, sizes that use them were within 5% of these (docs/speed.md).
        const MOST_L2: usize = 1 << 20;
        // More is no faster, and takes memory.
        const MOST_PACKED_B: usize = 16 << 20;
        let l2 = caches.l2.min(MOST_L2);
        let panels_of_a = l2 / 2 / (WORD * KC * M::MR_PACKED);
        let panels_of_b = l2 / 4 / (WORD * KC * M::NR);
        Self {
            mc: panels_of_a.max(1) * M::MR,
            nc: panels_of_b.max(1) * M::NR,
            // Half, because A and C pass through L3, too.
            packed_b: (caches.l3 / 2).min(MOST_PACKED_B) / WORD,
        }
    }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;
    use crate::gemm::instances::{Avx2F32, Avx512F32};

    fn on<M: MicroKernel>(l2_kib: usize, l3_mib: usize) -> BlockSizes {
        BlockSizes::for_caches::<M>(Caches { l2: l2_kib << 10, l3: l3_mib << 20 })
    }

    #[test]
    fn are_as_large_as_the_caches_hold() {
        let sizes = |mc, nc, packed_b_mib: usize| BlockSizes { mc, nc, packed_b: packed_b_mib << 18 };
        assert_eq!(on::<Avx512F32>(1024, 32), sizes(224, 128, 16));
        assert_eq!(on::<Avx512F32>(512, 16), sizes(112, 64, 8));
        assert_eq!(on::<Avx512F32>(2048, 260), sizes(224, 128, 16));
        assert_eq!(on::<Avx2F32>(1280, 12), sizes(192, 128, 6));
        assert_eq!(on::<Avx2F32>(256, 6), sizes(48, 32, 3));
        assert_eq!(on::<Avx2F32>(0, 0), BlockSizes { mc: 6, nc: 16, packed_b: 0 });
        assert_eq!(on::<Avx2F32>(1, 1), BlockSizes { mc: 6, nc: 16, packed_b: 1 << 17 });
    }
}
