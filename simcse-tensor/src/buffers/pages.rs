//! Large buffers on huge pages: touched first in a 512th of the page faults, and found by few entries of the TLB. And pages
//! that nobody uses any more.
//!
//! Buffers begin with a cache line, for a vector that crosses two of them is loaded as two.

#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};

/// Values in a cache line.
pub(crate) const LINE: usize = 64 / size_of::<f32>();

/// Where in a buffer the first whole cache line begins.
pub(crate) fn first_line(buffer: &[f32]) -> usize {
    buffer.as_ptr().align_offset(LINE * size_of::<f32>())
}

/// Values of which the first begins a cache line, on huge pages where the system has them to give.
#[derive(Debug)]
pub(crate) struct Aligned {
    buffer: Vec<f32>,
    start: usize,
}

impl Aligned {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = vec![0.0; len + LINE]; // of untouched pages, if it is large
        advise(&buffer);
        let start = first_line(&buffer);
        buffer.truncate(start + len);
        Self { buffer, start }
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len());
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

/// An empty vector with room for `len` values, on huge pages where the system has them to give.
pub(crate) fn with_capacity(len: usize) -> Vec<f32> {
    let buffer = Vec::with_capacity(len);
    advise(&buffer);
    buffer
}

/// Asks for huge pages under the whole ones of a buffer; a system that has none loses nothing.
#[cfg(target_os = "linux")]
fn advise(buffer: &Vec<f32>) {
    const HUGE: usize = 2 << 20; // of x86-64 and most others
    let start = buffer.as_ptr().addr().next_multiple_of(HUGE);
    let end = (buffer.as_ptr().addr() + buffer.capacity() * size_of::<f32>()) / HUGE * HUGE;
    if start < end {
        // SAFETY: the range lies inside the buffer's memory, whose contents the advice does not change.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
    }
}

/// Gives pages back to the system that the allocator keeps for later, where it can be asked to.
pub fn give_back_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: glibc's allocator may be trimmed at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &Vec<f32>) {}
