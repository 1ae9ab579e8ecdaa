//! Search: the rows of a corpus that are most similar to a query, exactly.
//!
//! | file | what it knows |
//! |---|---|
//! | `vectors.rs` | unit vectors in memory, as f32, f16 or int8 |
//! | `index.rs` | a corpus on disk |
//! | `mining.rs` | hard negatives |
//! | `nearest.rs` | the best rows for queries, a block at a time |
//! | `paraphrases.rs` | pairs of similar rows, and communities of them |
//! | `quantization.rs` | embeddings with smaller values, as files have them |
//!
//! This room knows numbers and the files of an index. It must not know models.

pub(crate) mod index;
pub(crate) mod mining;
pub(crate) mod nearest;
pub(crate) mod paraphrases;
pub(crate) mod quantization;
pub(crate) mod vectors;
