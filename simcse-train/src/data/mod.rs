//! The examples of a run, which of them meet in a batch, and which batches a step takes.
//!
//! This room knows text files, indices and random orders. It must not know tokens, models or
//! settings.

pub mod batches;
pub mod builder;
pub mod examples;
pub mod steps;

mod epoch_cache;
mod equal_texts;
mod equals;
