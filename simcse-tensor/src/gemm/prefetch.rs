//! What one product prefetches for a later one.

/// Memory that the product of one tile brings into L2, for a later tile to find there:
/// `words_per_step` words in each step along K, starting at `address`. The address need not be
/// valid.
#[derive(Clone, Copy)]
pub(crate) struct Prefetch {
    pub(crate) address: *const f32,
    pub(crate) words_per_step: usize,
}
