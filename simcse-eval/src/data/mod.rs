//! Data sets as they are published: what their files look like and how to read them.
//!
//! This room knows files, lines and fields. It must not know metrics, embeddings or encoders: what
//! it reads is turned into something to score by `sets`.
//!
//! A reranking set is an AskUbuntu directory, see [`Split`] and [`Titles`]; a table, `.csv` or
//! `.tsv`, with the columns `query`, `positive` and `negative`, or `query`, `document` and `label`
//! (0 or 1), in which the rows of a query belong together; or a file of JSON lines, plain or gzip,
//! in one of these layouts:
//!
//! | keys | what they hold |
//! |---|---|
//! | `query`, `positive`, `negative` | similar texts and others (sentence-transformers, MTEB) |
//! | `query`, `positive`, `documents` | similar texts, and all candidates with them among them |
//! | `query`, `documents`, `labels` | candidates, and a label for each, 0 or 1 |
//!
//! `positives` and `pos`, `negatives` and `neg`, `candidates`, `docs` and `passages`, and
//! `relevance` are other names of these keys. Each list of texts may be a single string.
//! [`Sts`](crate::Sts) lists the layouts of pairs of sentences.
//!
//! A retrieval set is a directory in BEIR's layout: `corpus.jsonl` and `queries.jsonl` with `_id`
//! and `text`, and `qrels/<split>.tsv` with query id, document id and score. [`SentEvalTask`] lists
//! the STS sets that a directory in SentEval's layout may have. Pairs, triplets and labels are rows
//! of a table with columns such as `anchor` and `positive`, or `text` and `label`; [`RowOptions`]
//! names others.
//!
//! ```
//! use simcse_eval::HeldOut;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("dev.jsonl");
//! # let text = r#"{"query": "slow boot", "positive": ["boot is slow"], "negative": []}"#;
//! # std::fs::write(&path, text)?;
//!
//! // What a training run must not see, because a model is scored on it.
//! let held_out = HeldOut::read(&path)?;
//! assert!(held_out.contains("", "boot is slow"));
//! assert!(!held_out.contains("", "boot is fast"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod askubuntu;
pub(crate) mod beir;
pub(crate) mod columns;
pub(crate) mod directories;
pub(crate) mod held_out;
pub(crate) mod labels;
pub(crate) mod pairs;
pub(crate) mod positives;
pub(crate) mod rows;
pub(crate) mod samples;
pub(crate) mod senteval;
pub(crate) mod split;
pub(crate) mod texts;
pub(crate) mod triplets;

pub use askubuntu::Titles;
pub use columns::Columns;
pub use held_out::HeldOut;
pub use pairs::StsOptions;
pub use rows::{ColumnList, RowOptions};
pub use senteval::SentEvalTask;
pub use split::Split;
