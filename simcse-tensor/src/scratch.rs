//! Working memory of a thread, kept between calls.

use std::cell::RefCell;

use crate::pages;

/// A slice's buffer is larger by one part in so many: batches vary in length.
const SPARE: usize = 8;
/// Values in a cache line, at whose beginning each slice begins.
const LINE: usize = 16;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Lends `f` a slice of `len` unspecified values that this thread keeps for the next call. Calls may nest.
pub(crate) fn with<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // The buffer is taken out while `f` runs: rayon may run another task on this thread in the meantime.
    let mut buffer = FREE.with_borrow_mut(|free| free.pop().unwrap_or_default());
    if buffer.len() < len + LINE {
        buffer = pages::zeros(len + len / SPARE + LINE);
    }
    let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>());
    let result = f(&mut buffer[start..start + len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}
