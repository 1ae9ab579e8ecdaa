//! One step's gradient: encode → objective → backward, on whole batches or in pieces.
//!
//! This room knows encoders, embeddings and objectives. It must not know files, settings or where
//! sentences come from: it is given token ids, dropout rates and an objective.

pub(crate) mod batch;
pub(crate) mod buffers;
pub(crate) mod gradient;
pub(crate) mod gradient_flow;
pub(crate) mod in_batch;
pub(crate) mod masked_lm;
pub(crate) mod masking;
pub(crate) mod objectives;
pub(crate) mod own_tokens;
pub(crate) mod pieces;

#[cfg(test)]
#[path = "tests/across_ranks.rs"]
mod tests;
