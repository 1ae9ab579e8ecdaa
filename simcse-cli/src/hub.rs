//! Models by name: from the Hugging Face cache on this disk, or from the hub into that cache, as Python does it.
//!
//! The cache's layout, names and settings are those of huggingface_hub and sentence-transformers, so what one has fetched
//! the other finds. A model that the cache holds completely is used without any request; a branch is therefore looked up
//! only once.

// The settings and errors of requests are there without a client too.
#![cfg_attr(not(feature = "hub"), allow(dead_code))]

mod askubuntu;
mod cache;
mod config;
#[cfg(feature = "hub")]
mod download;
mod error;
mod files;
#[cfg(feature = "hub")]
mod http;
mod name;
#[cfg(feature = "hub")]
mod remote;
#[cfg(test)]
mod tests;
#[cfg(feature = "hub")]
mod url;

use std::path::{Path, PathBuf};

pub(crate) use askubuntu::{default_askubuntu_dir, fetch_askubuntu};
pub(crate) use error::HubError;

use cache::{RepoCache, State};
use config::HubConfig;
use name::ModelName;

/// What happens while files are fetched.
#[derive(Debug)]
pub(crate) enum Progress<'a> {
    /// A file grows. Bytes may fall when a file has to begin again; at `bytes == total` it is there, but not yet checked.
    Bytes {
        /// The file's name in the repository.
        file: &'a str,
        /// How much of it is on this disk.
        bytes: u64,
        /// How much there is, if the server says so.
        total: Option<u64>,
    },
    /// Something the user should know: a retry, a wait, a doubt.
    Notice(&'a str),
}

/// The directory of a `--model` argument: an existing directory as it is; otherwise `owner/name` or `name`, with an
/// optional `@revision`, from the cache or the hub.
///
/// # Errors
///
/// A path or name that leads nowhere, a model that cannot be read here, or a hub or disk that refuses.
pub(crate) fn resolve(name: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, HubError> {
    resolve_with(&HubConfig::from_env(), name, progress)
}

/// [`resolve`] with settings that do not come from the environment.
fn resolve_with(config: &HubConfig, name: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, HubError> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let model = ModelName::parse(name)?;
    let cache = RepoCache::new(&config.cache_dir, &model.repo);
    let cached = cache.find(&model.revision);
    let state = cached.as_ref().map(|snapshot| snapshot.state()).transpose()?;
    let (usable, doubt) = match (cached, state) {
        (Some(snapshot), Some(State::Complete)) => return Ok(snapshot.dir),
        (Some(snapshot), Some(State::Unsure(file))) => (Some(snapshot.dir), file),
        (Some(snapshot), Some(State::Missing(_))) if config.closed().is_some() && snapshot.has(files::PICKLE) => {
            let sentence_model = snapshot.has(files::MODULES);
            return Err(HubError::OnlyPickle { repo: model.repo, revision: model.revision, sentence_model });
        }
        _ => (None, String::new()),
    };
    let fetched = match config.closed() {
        Some(closed) => Err(HubError::NotCached { what: model.to_string(), place: config.cache_dir.clone(), closed }),
        None => fetch(config, &model, &cache, progress),
    };
    match (fetched, usable) {
        (Err(error), Some(dir)) => {
            progress(Progress::Notice(&format!("using {model} as the cache has it, without {doubt}: {error}")));
            Ok(dir)
        }
        (fetched, _) => fetched,
    }
}

#[cfg(feature = "hub")]
use remote::fetch;

#[cfg(not(feature = "hub"))]
fn fetch(
    config: &HubConfig,
    model: &ModelName,
    _: &RepoCache,
    _: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let closed = error::Closed::NoClient;
    Err(HubError::NotCached { what: model.to_string(), place: config.cache_dir.clone(), closed })
}
