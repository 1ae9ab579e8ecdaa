//! Evaluation sets: how similarities of their texts become figures.
//!
//! This room knows what is judged. It must not know who judges: embeddings and baselines are all
//! the same to it.

pub(crate) mod bm25_order;
pub(crate) mod labels;
pub(crate) mod open;
pub(crate) mod positives;
pub(crate) mod rerank_figures;
pub(crate) mod reranking;
pub(crate) mod retrieval;
pub(crate) mod senteval;
pub(crate) mod sts;
pub(crate) mod triplets;

pub use bm25_order::Bm25Scores;
pub use labels::Labels;
pub use open::{OpenOptions, open};
pub use positives::Positives;
pub use reranking::{Query, Reranking, Skipped};
pub use retrieval::Retrieval;
pub use senteval::{Aggregation, SentEval};
pub use sts::{Pair, Sts};
pub use triplets::Triplets;
