//! AMX: products of tiles, 16 rows of 64 bytes each (Intel's "Architecture Instruction Set Extensions Programming Reference",
//! chapter on AMX). The compiler does not know these instructions yet, so they stand here as assembly.
//!
//! `tdpbf16ps` adds to each f32 of a tile C the products of a row of A, 32 bf16 values, with a column of B, whose rows hold
//! pairs of neighbors along K. It counts denormals as 0.

#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use x86_64_linux::*;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod x86_64_linux {
    use std::arch::asm;

    use crate::gemm::prefetch::Prefetch;

    /// Sets this thread's eight tiles up as 16 rows of 64 bytes each.
    ///
    /// # Safety
    /// [`is_present`] was true.
    pub(crate) unsafe fn configure() {
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            bytes_per_row: [u16; 16],
            rows: [u8; 16],
        }
        let (mut bytes_per_row, mut rows) = ([0; 16], [0; 16]);
        bytes_per_row[..8].fill(64);
        rows[..8].fill(16);
        let configuration = Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row, rows };
        // SAFETY: the processor has the instruction, and reads 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
    }

    /// Gives this thread's tiles up, so that the system need not save them.
    ///
    /// # Safety
    /// [`is_present`] was true.
    pub(crate) unsafe fn release() {
        // SAFETY: the processor has the instruction.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }

    /// `c = A·B` for 32 × 32 values of C, row-major, in four tiles. `a` has two strips of 16 rows, each `steps` tiles one behind
    /// the other; `b` has `16·steps` rows of 32 words. Of `next`, up to four cache lines are asked for with each step.
    ///
    /// # Safety
    /// The thread's tiles are [configured](configure), the pointers are good for `2·steps` tiles of 1 KiB and 4 KiB.
    #[inline(always)]
    pub(crate) unsafe fn multiply(steps: usize, a: *const f32, b: *const f32, next: Prefetch, c: *mut f32) {
        const TILE: usize = 1024; // bytes
        // SAFETY: by the caller's promise. No code but this uses the tiles, which the compiler does not know of.
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
                row = in(reg) 64usize,
                two_rows = in(reg) 128usize,
                options(nostack)
            );
        }
    }
}
