//! Large buffers on huge pages, aligned to cache lines; and returning unused pages to the system.
//!
//! On pages of 2 MiB, first touching a buffer takes one page fault where pages of 4 KiB take 512,
//! and few TLB entries cover it. Alignment matters because a vector of 64 bytes that is not aligned
//! touches two cache lines with every load.

#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut, Range};

/// The number of values in a cache line.
pub(crate) const LINE: usize = 64 / size_of::<f32>();

/// The index of the first value in a buffer that starts a cache line.
pub(crate) fn first_line(buffer: &[f32]) -> usize {
    buffer.as_ptr().align_offset(LINE * size_of::<f32>())
}

/// Values of which the first one starts a cache line, on huge pages where the system provides them.
#[derive(Debug)]
pub(crate) struct Aligned {
    buffer: Vec<f32>,
    start: usize,
}

impl Aligned {
    /// `len` zeros. The `sparse` sections, in ascending order, are on small pages: most of them may
    /// never be touched, and a huge page takes its memory whole.
    pub(crate) fn zeros(len: usize, sparse: impl Iterator<Item = Range<usize>>) -> Self {
        // A large buffer comes zeroed from the system, as pages that nobody has touched, so the
        // advice still applies to them.
        let mut buffer = vec![0.0; len + LINE];
        let start = first_line(&buffer);
        buffer.truncate(start + len);
        let mut dense = start;
        for Range { start: from, end: to } in sparse {
            advise(&buffer[dense..start + from], Pages::Huge);
            advise(&buffer[start + from..start + to], Pages::Small);
            dense = start + to;
        }
        advise(&buffer[dense..], Pages::Huge);
        Self { buffer, start }
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len(), std::iter::empty());
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[self.start..]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[self.start..]
    }
}

/// An empty vector with room for `len` values, on huge pages where the system provides them.
pub(crate) fn with_capacity(len: usize) -> Vec<f32> {
    let mut buffer = Vec::with_capacity(len);
    advise(buffer.spare_capacity_mut(), Pages::Huge);
    buffer
}

#[derive(Clone, Copy)]
enum Pages {
    Huge,
    Small,
}

/// Asks the system for pages of a kind wherever a whole huge one fits inside a buffer. Failure is
/// harmless.
#[cfg(target_os = "linux")]
fn advise<T>(buffer: &[T], pages: Pages) {
    const HUGE: usize = 2 << 20; // of x86-64 and most others
    let range = buffer.as_ptr_range();
    let start = range.start.addr().next_multiple_of(HUGE);
    let end = range.end.addr() / HUGE * HUGE;
    let advice = match pages {
        Pages::Huge => libc::MADV_HUGEPAGE,
        Pages::Small => libc::MADV_NOHUGEPAGE,
    };
    if start < end {
        // SAFETY: the range is inside the buffer's memory, whose contents the advice does not
        // change.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, advice) };
    }
}

/// Other systems have no such advice.
#[cfg(not(target_os = "linux"))]
fn advise<T>(_: &[T], _: Pages) {}

/// Returns pages to the system that the allocator keeps for later, where the allocator can do that
/// (glibc's can).
pub fn give_back_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: glibc's allocator may be trimmed at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
