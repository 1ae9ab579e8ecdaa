//! What a product prefetches for the next one.

/// Memory that a tile's product brings closer, to be found in L2 by a later one: `words_per_step` words with each step
/// along K, from `address` on. The address need not be valid.
#[derive(Clone, Copy)]
pub(crate) struct Prefetch {
    pub(crate) address: *const f32,
    pub(crate) words_per_step: usize,
}
