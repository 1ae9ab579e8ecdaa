//! AMX: products of tiles, which have 16 rows of 64 bytes each (Intel's "Architecture Instruction
//! Set Extensions Programming Reference", chapter on AMX). The compiler's stable intrinsics do not
//! cover these instructions yet, so they are written as assembly.
//!
//! `tdpbf16ps` multiplies a tile of A, 16 × 32 bf16 values, with a tile of B, 32 × 16 values, and
//! adds to a tile of C, 16 × 16 f32. B's rows hold pairs of values that are neighbors along K: a
//! row of the tile is 16 columns of two values each. Denormals count as 0.

#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use x86_64_linux::*;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod x86_64_linux {
    use std::arch::asm;

    use crate::gemm::prefetch::Prefetch;

    /// Configures this thread's eight tiles as 16 rows of 64 bytes each.
    ///
    /// # Safety
    /// The detected instruction set is [`Isa::Amx`](crate::Isa::Amx).
    pub(crate) unsafe fn configure() {
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            bytes_per_row: [u16; 16],
            rows: [u8; 16],
        }
        // The format has room for sixteen tiles, palette 1 has eight.
        let mut bytes_per_row = [0; 16];
        bytes_per_row[..8].fill(64);
        let mut rows = [0; 16];
        rows[..8].fill(16);
        let configuration = Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row, rows };
        // SAFETY: the processor has the instruction, which reads 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
    }

    /// Releases this thread's tiles, so that the system need not save 8 KiB of them at every
    /// context switch.
    ///
    /// # Safety
    /// The detected instruction set is [`Isa::Amx`](crate::Isa::Amx).
    pub(crate) unsafe fn release() {
        // SAFETY: the processor has the instruction.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }

    /// `c = A·B` for 32 × 32 values of C, row-major. `a` is two strips of 16 rows, each of `steps`
    /// consecutive tiles; `b` has `16·steps` rows of 32 words. Each step prefetches four cache
    /// lines of `next`.
    ///
    /// The eight tiles are used as
    ///
    /// ```text
    ///                 tmm6  tmm7      B: 16 rows of words × 32 columns
    /// A: 16 rows tmm4 tmm0  tmm1
    ///    16 rows tmm5 tmm2  tmm3      C
    /// ```
    ///
    /// so that each tile that is loaded is multiplied twice, and four products, which do not wait
    /// for one another, are under way at a time. Loads are placed just before their first use,
    /// between products, and prefetches in front of both: a step then issues something to every
    /// unit.
    ///
    /// # Safety
    /// The thread's tiles are [configured](configure); `a` is valid for reads of `2·steps` tiles of
    /// 1 KiB, `b` for `2·steps` as well, and `c` for writes of 4 KiB.
    #[inline(always)]
    pub(crate) unsafe fn multiply(steps: usize, a: *const f32, b: *const f32, next: Prefetch, c: *mut f32) {
        const TILE: usize = 1024; // bytes
        // SAFETY: by the caller's promise. Only this code uses tiles, which the compiler does not
        // know.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "prefetcht1 [{next}]",
                "prefetcht1 [{next} + 64]",
                "prefetcht1 [{next} + 128]",
                "prefetcht1 [{next} + 192]",
                "tileloadd tmm4, [{a} + {row}]",
                "tileloadd tmm6, [{b} + {two_rows}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {two_rows} + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{a2} + {row}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, 1024",
                "add {a2}, 1024",
                "add {b}, 2048",
                "add {next}, {share}",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{c} + {two_rows}], tmm0",
                "tilestored [{c} + {two_rows} + 64], tmm1",
                "tilestored [{c} + {two_rows} + 2048], tmm2",
                "tilestored [{c} + {two_rows} + 2112], tmm3",
                a = inout(reg) a => _,
                a2 = inout(reg) a.byte_add(steps * TILE) => _,
                b = inout(reg) b => _,
                next = inout(reg) next.address => _,
                share = in(reg) next.words_per_step * size_of::<f32>(),
                steps = inout(reg) steps => _,
                c = in(reg) c,
                // The distances between a tile's rows in memory: A is packed tile by tile; B and C
                // have two tiles next to each other.
                row = in(reg) 64usize,
                two_rows = in(reg) 128usize,
                options(nostack)
            );
        }
    }
}
