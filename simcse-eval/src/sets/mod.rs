//! Evaluation sets: how similarities of their texts become figures.
//!
//! This room knows what is judged. It must not know who judges: embeddings and baselines are all
//! the same to it.

pub(crate) mod bm25_order;
pub(crate) mod rerank_figures;
pub(crate) mod reranking;
pub(crate) mod sts;

pub use bm25_order::Bm25Scores;
pub use reranking::{Query, Reranking, Skipped};
pub use sts::{Pair, Sts};
