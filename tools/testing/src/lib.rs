//! The system's allocator, observed. It becomes the allocator of every program that links this
//! crate.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Observed;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Observed = Observed;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Observed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `pointer` came from `alloc`, and so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What some work did with memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The most bytes held at once, in addition to those held before.
    pub peak: usize,
    /// The bytes held at the end, in addition to those held before.
    pub kept: isize,
    /// The largest single allocation.
    pub largest: usize,
}

/// Runs `work`, and returns its result and the memory that it took. The whole process is observed,
/// so only one observation may run at a time.
pub fn observe<T>(work: impl FnOnce() -> T) -> (T, Memory) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    LARGEST.store(0, Relaxed);
    let result = work();
    let peak = PEAK.load(Relaxed) - before;
    let kept = LIVE.load(Relaxed).wrapping_sub(before).cast_signed();
    (result, Memory { peak, kept, largest: LARGEST.load(Relaxed) })
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn memory_is_counted() {
        // Large enough that what the test harness allocates in the meantime does not matter.
        const LARGE: usize = 10 << 20;
        let near = |found: isize, expected: usize| found.abs_diff(expected as isize) < LARGE / 100;
        let (kept, memory) = observe(|| {
            drop(black_box(vec![0_u8; 3 * LARGE]));
            black_box(vec![0_u8; LARGE])
        });
        assert!(near(memory.peak as isize, 3 * LARGE) && near(memory.kept, LARGE), "{memory:?}");
        assert_eq!(memory.largest, 3 * LARGE);
        let ((), memory) = observe(|| drop(kept));
        assert!(near(memory.peak as isize, 0) && near(-memory.kept, LARGE) && memory.largest < LARGE, "{memory:?}");
    }
}
