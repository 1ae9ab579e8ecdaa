//! Data sets as they are published: what their files look like and how to read them.
//!
//! This room knows files, lines and fields. It must not know metrics, embeddings or encoders: what
//! it reads is turned into something to score by `reranking` and `sts`.
//!
//! | data set | layout |
//! |---|---|
//! | AskUbuntu | a directory, see [`Split`] and [`Titles`] |
//! | any reranking set | JSON lines `{"query": "…", "positive": ["…"], "negative": ["…"]}` |
//!
//! ```
//! use simcse_eval::HeldOut;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("dev.jsonl");
//! # std::fs::write(&path, r#"{"query": "slow boot", "positive": ["boot is slow"], "negative": []}"#)?;
//!
//! // What a training run must not see, because a model is scored on it.
//! let held_out = HeldOut::read(&path)?;
//! assert!(held_out.contains("", "boot is slow"));
//! assert!(!held_out.contains("", "boot is fast"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod askubuntu;
pub(crate) mod held_out;
pub(crate) mod samples;
pub(crate) mod split;
pub(crate) mod texts;

pub use askubuntu::Titles;
pub use held_out::HeldOut;
pub use split::Split;
