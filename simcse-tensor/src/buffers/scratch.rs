//! Each thread's scratch memory, kept between calls.

use std::cell::RefCell;

use crate::buffers::pages::Aligned;

/// A new buffer is larger than needed by one part in `SPARE`. Batches vary in length, and without a
/// margin, each one that is slightly longer than all before would allocate again.
const SPARE: usize = 8;

thread_local! {
    // A stack with one buffer for each level of nesting; usually one or two.
    static FREE: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// Lends `f` a slice of `len` unspecified values, whose buffer this thread keeps for the next call.
/// Calls may nest.
pub(crate) fn with<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // While `f` runs, its buffer is not in the stack. `f` may wait for rayon, which then runs
    // another task on this thread in the meantime, and that task may call this function too: it
    // must neither get this buffer nor find the stack borrowed. If the buffer on top is too small,
    // it is dropped, and a larger one takes its place: the stack does not collect buffers of every
    // size.
    let free = FREE.with_borrow_mut(Vec::pop).filter(|buffer| buffer.len() >= len);
    let mut buffer = free.unwrap_or_else(|| Aligned::zeros(len + len / SPARE, std::iter::empty()));
    let result = f(&mut buffer[..len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}
