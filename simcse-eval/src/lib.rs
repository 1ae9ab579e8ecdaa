//! Scores sentence encoders: reranking (AskUbuntu and others), semantic textual similarity, and the
//! metrics that they use.
//!
//! A data set is read into a [`Reranking`] or an [`Sts`]; both score a
//! [`SentenceEncoder`](simcse_model::SentenceEncoder), or embeddings made by anything else:
//!
//! ```
//! # use simcse_model::{Architecture, ModelConfig, ModelDirectory};
//! # use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
//! use simcse_eval::{Reranking, Split};
//! # let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "slow", "boot", "wifi"];
//! # let config = ModelConfig {
//! #     vocab_size: words.len(),
//! #     hidden_size: 16,
//! #     num_hidden_layers: 1,
//! #     num_attention_heads: 2,
//! #     intermediate_size: 32,
//! #     ..ModelConfig::defaults(Architecture::Bert)
//! # };
//! # let tokenizer = Tokenizer::word_piece(&words, true)?;
//! # let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16)?;
//! # let encoder = SentenceEncoder::random(directory, 42);
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("dev.jsonl");
//! # let text = r#"{"query": "slow boot", "positive": ["boot"], "negative": ["wifi"]}"#;
//! # std::fs::write(&path, text)?;
//!
//! let set = Reranking::read(&path, Split::Dev)?;
//! let scores = set.evaluate(&encoder)?;
//!
//! println!("MAP {:.4} over {} queries", scores.map, scores.queries);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Figures are fractions between 0 and 1 (correlations between −1 and 1), never percentages.

pub mod data;
pub mod lexical;
pub mod metrics;
pub mod reranking;
pub mod sts;
pub mod unlabeled;

mod error;
mod rerank_scores;

pub use data::{Columns, HeldOut, Split, StsOptions, Titles};
pub use error::Error;
pub use metrics::MetricError;
pub use rerank_scores::{Bm25Scores, RerankScores};
pub use reranking::Reranking;
pub use sts::{Sts, StsScores};
pub use unlabeled::{Unlabeled, UnlabeledScores};
