//! From a model's name to its directory.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::hub::cache::{Completeness, RepoCache};
use crate::hub::config::HubConfig;
#[cfg(feature = "hub")]
use crate::hub::download_model::download_model;
use crate::hub::error::HubError;
use crate::hub::name::ModelName;
use crate::hub::progress::DownloadEvent;

/// The directory of a model: `model` itself if it is a directory; otherwise the snapshot of
/// `owner/name` or `name`, with an optional `@revision`, from the cache or the hub.
///
/// `progress` receives the progress of each download, and notices for the user.
///
/// ```
/// use std::path::Path;
///
/// let dir = simcse_model::hub::resolve(".", &mut |_| {})?;
/// assert_eq!(dir, Path::new("."));
/// # Ok::<(), simcse_model::Error>(())
/// ```
///
/// # Errors
/// [`Error::Hub`](crate::Error::Hub): a path or name that does not exist, a model that cannot be
/// read here, or what the hub or the file system refuses. Other errors are about a `modules.json`
/// or an index of shards.
pub fn resolve(model: impl AsRef<Path>, progress: &mut dyn FnMut(DownloadEvent<'_>)) -> Result<PathBuf> {
    let model = model.as_ref();
    if model.is_dir() {
        return Ok(model.to_owned());
    }
    match model.to_str() {
        Some(name) => resolve_name(&HubConfig::from_env(), name, progress),
        None => Err(HubError::NoSuchPath { name: model.to_string_lossy().into_owned() }.into()),
    }
}

/// [`resolve`] without any request: a directory, or a name that is in the cache.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_cached(model: impl AsRef<Path>) -> Result<PathBuf> {
    let model = model.as_ref();
    if model.is_dir() {
        return Ok(model.to_owned());
    }
    let config = HubConfig { offline: true, ..HubConfig::from_env() };
    resolve_name(&config, &model.to_string_lossy(), &mut |_| {})
}

/// [`resolve`] for what is not a directory, with settings that do not come from the environment.
pub(super) fn resolve_name(
    config: &HubConfig,
    name: &str,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<PathBuf> {
    let model = ModelName::parse(name)?;
    let cache = RepoCache::new(&config.cache_dir, &model.repo);
    let mut usable = None;
    if let Some(snapshot) = cache.find(&model.revision) {
        match snapshot.state()? {
            Completeness::Complete => return Ok(snapshot.dir),
            Completeness::Unsure(file) => usable = Some((snapshot.dir, file)),
            // The branch may have moved to a commit that has more.
            Completeness::Incomplete => {}
        }
    }
    let downloaded = match config.no_requests() {
        Some(why) => Err(HubError::NotCached { what: model.to_string(), place: config.cache_dir.clone(), why }.into()),
        None => download_model(config, &model, &cache, progress),
    };
    match (downloaded, usable) {
        // Any other error is about the model as it is now, not about reaching it.
        (Err(Error::Hub(error)), Some((dir, doubt))) => {
            progress(DownloadEvent::Notice(&format!("using {model} from the cache, without {doubt}: {error}")));
            Ok(dir)
        }
        (downloaded, _) => downloaded,
    }
}

#[cfg(not(feature = "hub"))]
fn download_model(
    config: &HubConfig,
    model: &ModelName,
    _: &RepoCache,
    _: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<PathBuf> {
    let why = crate::hub::error::NoRequests::NoClient;
    Err(HubError::NotCached { what: model.to_string(), place: config.cache_dir.clone(), why }.into())
}
