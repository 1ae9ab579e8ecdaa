//! Where the sums of a product go: C, tile by tile.

#![allow(unsafe_code)]

use crate::buffers::pages::LINE;
use crate::gemm::addend::Addend;
use crate::gemm::micro_kernel::Accumulators;
use crate::simd::Simd;

/// C, row-major, written by several tasks, each of which has its own part.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    c: *mut f32,
    width: usize,
}

// SAFETY: only tiles write, and their users promise that no two tiles share an element.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    pub(crate) fn new(c: &mut [f32], width: usize) -> Self {
        Self { c: c.as_mut_ptr(), width }
    }
}

/// A tile of C: `rows` starting at row `i`, `columns` starting at column `j`.
pub(crate) struct Tile {
    pub(crate) target: Target,
    pub(crate) i: usize,
    pub(crate) j: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Tile {
    #[inline(always)]
    fn row(&self, row: usize) -> *mut f32 {
        self.target.c.wrapping_add((self.i + row) * self.target.width + self.j)
    }

    /// Prefetches the tile's cache lines.
    #[inline(always)]
    pub(crate) fn prefetch<S: Simd>(&self, s: S) {
        for row in 0..self.rows {
            for column in (0..self.columns).step_by(LINE) {
                s.prefetch_l2(self.row(row).wrapping_add(column));
            }
        }
    }

    /// Writes `addend + sums`; rows of `sums` are `stride` values apart.
    ///
    /// # Safety
    /// The tile is inside C, and nothing else accesses its elements.
    #[inline(always)]
    pub(crate) unsafe fn update<S: Simd>(&self, s: S, sums: &Accumulators, stride: usize, addend: Addend) {
        let whole = self.columns.is_multiple_of(S::LANES);
        let load = |from: &[f32]| if whole { s.load(from) } else { s.load_padded(from, 0.0) };
        for row in 0..self.rows {
            // SAFETY: by the caller's promise.
            let c = unsafe { std::slice::from_raw_parts_mut(self.row(row), self.columns) };
            for v in (0..self.columns).step_by(S::LANES) {
                let sum = s.load(&sums.0[row * stride + v..]);
                let sum = match addend {
                    Addend::Zero => sum,
                    Addend::Bias(bias) => s.add(load(&bias[self.j + v..]), sum),
                    Addend::Existing => s.add(load(&c[v..]), sum),
                };
                if whole {
                    s.store(sum, &mut c[v..]);
                } else {
                    s.store_fitting(sum, &mut c[v..]);
                }
            }
        }
    }
}
