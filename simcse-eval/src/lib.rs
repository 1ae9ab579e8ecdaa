//! Scores sentence encoders: reranking (AskUbuntu and others), semantic textual similarity, and the
//! metrics that they use.
//!
//! A data set is read into an [`EvaluationSet`], such as [`Reranking`] or [`Sts`]. It scores a
//! [`SentenceEncoder`](simcse_model::SentenceEncoder), or any other [`Similarity`]:
//!
//! ```
//! # use simcse_model::{Architecture, ModelConfig, ModelDirectory};
//! # use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
//! use simcse_eval::{EvaluationSet, Reranking, Split};
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
//! println!("{scores}"); // MAP 1.0000, MRR@10 1.0000, …
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Figures are fractions between 0 and 1 (correlations between −1 and 1), never percentages.

pub mod data;
pub mod metrics;
pub mod sets;
pub mod similarity;
pub mod statistics;
pub mod unlabeled;

mod baselines;
mod error;
mod scores;
mod search;
mod set;

pub use baselines::{Baseline, baselines};
pub use data::{ColumnList, Columns, HeldOut, RowOptions, SentEvalTask, Split, StsOptions, Titles};
pub use error::Error;
pub use metrics::MetricError;
pub use scores::{Figure, Scores, Unit};
pub use search::index::{Description, Index, IndexModel, IndexWriter, Record, Source};
pub use search::mining::{Mined, Mining, Sampling, Triplet};
pub use search::nearest::{Filter, Search, nearest};
pub use search::paraphrases::{Pair, communities, paraphrases};
pub use search::quantization::{Quantized, Ranges, ValueType};
pub use search::vectors::{Storage, Vectors};
pub use set::{EvaluationSet, LeftOut, SetKind};
pub use sets::{Aggregation, Bm25Scores, Labels, Positives, Reranking, Retrieval, SentEval, Sts, Triplets};
pub use similarity::{Cosine, Embedder, Encoded, Given, Hit, Lexical, Role, Similarity, WordEmbeddings};
pub use statistics::{Interval, Sample};
pub use unlabeled::{Counterparts, Neighbor, Picture, Probe, ProbeScores, Unlabeled, UnlabeledScores};
