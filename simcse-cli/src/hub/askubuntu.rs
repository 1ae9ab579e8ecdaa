//! The AskUbuntu questions of Lei et al. (github.com/taolei87/askubuntu).

use std::path::{Path, PathBuf};

use super::Progress;
use super::config::HubConfig;
use super::error::HubError;

/// The texts, and the queries with their candidates.
const FILES: [&str; 3] = ["text_tokenized.txt.gz", "dev.txt", "test.txt"];

/// Where [`fetch_askubuntu`] puts the data unless told otherwise: `simcse/askubuntu` in the user's cache directory.
pub(crate) fn default_askubuntu_dir() -> PathBuf {
    HubConfig::from_env().user_cache.join("simcse").join("askubuntu")
}

/// Brings the three files into `dir`. Files that are there are kept; one that was interrupted is continued.
///
/// # Errors
///
/// No network and a file missing, a connection that fails too often, or a disk that refuses.
pub(crate) fn fetch_askubuntu(dir: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
    fetch_with(&HubConfig::from_env(), dir, progress)
}

/// [`fetch_askubuntu`] with settings that do not come from the environment.
pub(super) fn fetch_with(
    config: &HubConfig,
    dir: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    // The texts may lie there unpacked.
    let there = |name: &str| dir.join(name).is_file() || dir.join(name.trim_end_matches(".gz")).is_file();
    let wanted: Vec<_> = FILES.into_iter().filter(|name| !there(name)).collect();
    let Some(first) = wanted.first() else {
        return Ok(());
    };
    match config.closed() {
        Some(closed) => {
            let what = format!("{first} of the AskUbuntu data");
            Err(HubError::NotCached { what, place: dir.to_owned(), closed })
        }
        None => fetch_files(config, dir, &wanted, progress),
    }
}

#[cfg(feature = "hub")]
fn fetch_files(
    config: &HubConfig,
    dir: &Path,
    names: &[&str],
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    use std::fs::{self, File};

    use super::download::{Check, Job, download};
    use super::http::Client;

    let client = Client::without_token(config)?;
    fs::create_dir_all(dir).map_err(HubError::io("create", dir))?;
    let lock_path = dir.join(".lock");
    let lock = File::create(&lock_path).map_err(HubError::io("create", &lock_path))?;
    // Without locks two processes fetch the same files; each is checked before it is moved.
    let _ = lock.lock();
    for name in names {
        let done = dir.join(name);
        if done.is_file() {
            continue;
        }
        let url = format!("{}/{name}", config.askubuntu_url);
        let metadata = client.metadata(&url)?;
        // The version is part of the name, so that only the same version is continued.
        let version: String =
            metadata.etag.iter().flat_map(|etag| etag.chars()).filter(char::is_ascii_alphanumeric).collect();
        let incomplete = dir.join(format!("{name}.{version}.incomplete"));
        if version.is_empty() {
            let _ = fs::remove_file(&incomplete);
        }
        let check = if name.ends_with(".gz") { Check::Gzip } else { Check::Size };
        let job = Job { url: &url, name, size: metadata.size, check, incomplete: &incomplete, done: &done };
        download(&client, &job, progress)?;
    }
    Ok(())
}

#[cfg(not(feature = "hub"))]
fn fetch_files(_: &HubConfig, _: &Path, _: &[&str], _: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
    Ok(())
}
