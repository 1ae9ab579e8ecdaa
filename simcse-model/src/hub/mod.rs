//! Models by name: from the Hugging Face cache on this disk, or from the hub into that cache, as
//! Python does it.
//!
//! ```no_run
//! use simcse_model::SentenceEncoder;
//! use simcse_model::hub::{self, DownloadEvent};
//!
//! # fn main() -> simcse_model::Result<()> {
//! // In one line, without progress:
//! let encoder = SentenceEncoder::load("distilroberta-base")?;
//!
//! // The same, with progress:
//! let dir = hub::resolve("distilroberta-base", &mut |progress| match progress {
//!     DownloadEvent::Bytes { file, bytes, .. } => eprint!("\r{file}: {bytes} bytes"),
//!     DownloadEvent::Notice(text) => eprintln!("{text}"),
//! })?;
//! let encoder = SentenceEncoder::load_directory(&dir)?;
//! # Ok(())
//! # }
//! ```
//!
//! A name is `owner/name` or `name`, with an optional `@revision`: a branch, a tag or a commit. A
//! model that the cache has completely is used without any request, so a branch is looked up only
//! once; delete its file in `refs/` to look it up again.
//!
//! The layout of the cache and the settings are those of huggingface_hub and sentence-transformers,
//! so either finds what the other has downloaded: `HF_HOME`, `HF_HUB_CACHE`,
//! `SENTENCE_TRANSFORMERS_HOME`, `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`, `HF_ENDPOINT`,
//! `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`, `HF_HUB_DOWNLOAD_TIMEOUT`, and
//! beyond those `SSL_CERT_FILE`, `HTTPS_PROXY` and `NO_PROXY`.
//!
//! Requests need the cargo feature `hub`. Without it there is no network code at all; the cache is
//! still read, and the error for what it lacks says so.
//!
//! This room knows names, the cache, HTTP, and which files make up a model. Of a model it may read
//! `modules.json` and the index of its shards, and nothing else; it must not know what an encoder
//! or a run is, nor how progress is shown.

// Without the feature, the settings and errors of requests have no use.
#![cfg_attr(not(feature = "hub"), allow(dead_code))]

mod cache;
#[cfg(feature = "hub")]
mod cache_write;
mod config;
#[cfg(feature = "hub")]
mod download;
mod download_file;
#[cfg(feature = "hub")]
mod download_model;
pub(crate) mod error;
mod files;
#[cfg(feature = "hub")]
mod http;
mod name;
mod progress;
pub(crate) mod resolve;
#[cfg(test)]
mod tests;
#[cfg(feature = "hub")]
mod url;

pub use config::user_cache_dir;
pub use download_file::{DatasetFile, download_file};
pub use error::{HubError, NoRequests};
pub use name::repository;
pub use progress::DownloadEvent;
pub use resolve::{resolve, resolve_cached};
