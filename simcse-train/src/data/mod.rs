//! The sentences of a run, and which of them meet in a batch.
//!
//! This room knows text files and indices. It must not know tokens, models or settings.

pub mod batches;
pub mod sentences;
pub mod steps;
