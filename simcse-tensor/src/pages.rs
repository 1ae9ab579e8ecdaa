//! Large buffers on huge pages: touched first in a 512th of the page faults, and found by few entries of the TLB. And pages
//! that nobody uses any more.

#![allow(unsafe_code)]

/// An empty vector with room for `len` values, on huge pages where the system has them to give.
pub(crate) fn with_capacity(len: usize) -> Vec<f32> {
    let buffer = Vec::with_capacity(len);
    advise(&buffer);
    buffer
}

/// `len` zeros, likewise.
pub(crate) fn zeros(len: usize) -> Vec<f32> {
    let buffer = vec![0.0; len]; // of untouched pages, if it is large
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
