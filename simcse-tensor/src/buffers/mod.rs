//! Memory that is reused: aligned buffers on huge pages, the tape's buffer pool, each thread's
//! scratch memory.
//!
//! This room knows the allocator and the system's pages. It must not know who uses a buffer, or
//! what for.

pub(crate) mod pages;
pub(crate) mod pool;
pub(crate) mod scratch;
