//! Unsupervised SimCSE training: sentences, contrastive loss, AdamW, checkpoints and the loop.

pub mod batches;
pub mod data;
mod lines;
pub mod schedule;
