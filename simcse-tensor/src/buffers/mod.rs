//! Memory that goes round: aligned buffers on huge pages, the tape's buffer pool, a thread's scratch memory.
//!
//! This room knows the allocator and the system's pages. It must not know who borrows a buffer or what for.

pub(crate) mod pages;
pub(crate) mod pool;
pub(crate) mod scratch;
