//! Working memory of a thread, kept between calls.

use std::cell::RefCell;

use crate::buffers::pages::Aligned;

/// A slice's buffer is larger by one part in so many: batches vary in length.
const SPARE: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// Lends `f` a slice of `len` unspecified values that this thread keeps for the next call. Calls may nest.
pub(crate) fn with<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // The buffer is taken out while `f` runs: rayon may run another task on this thread in the meantime.
    let free = FREE.with_borrow_mut(Vec::pop).filter(|buffer| buffer.len() >= len);
    let mut buffer = free.unwrap_or_else(|| Aligned::zeros(len + len / SPARE));
    let result = f(&mut buffer[..len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}
