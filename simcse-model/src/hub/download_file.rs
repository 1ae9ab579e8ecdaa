//! Downloads a file from any address into a directory.

use std::path::Path;

use crate::error::Error;
use crate::hub::config::HubConfig;
use crate::hub::error::HubError;
use crate::hub::progress::Progress;

/// Downloads `url` to the file `name` in `dir`, unless it is already there.
///
/// An interrupted download is resumed. The file appears under its name only when it is complete,
/// and a `.gz` only when its checksums are right. Proxies, certificates, the timeout and
/// `HF_HUB_OFFLINE` are as for the [hub](crate::hub), but the user's token is not sent.
///
/// # Errors
/// [`Error::Hub`](crate::Error::Hub): an address that is not one, requests that are forbidden, a
/// connection that fails too often, damaged content, or a file that cannot be written.
pub fn download_file(url: &str, dir: &Path, name: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Error> {
    Ok(download_file_with(&HubConfig::from_env(), url, dir, name, progress)?)
}

/// [`download_file`] with settings that do not come from the environment.
pub(super) fn download_file_with(
    config: &HubConfig,
    url: &str,
    dir: &Path,
    name: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    if dir.join(name).is_file() {
        return Ok(());
    }
    match config.no_requests() {
        Some(why) => Err(HubError::NotCached { what: name.to_owned(), place: dir.to_owned(), why }),
        None => request(config, url, dir, name, progress),
    }
}

#[cfg(feature = "hub")]
fn request(
    config: &HubConfig,
    url: &str,
    dir: &Path,
    name: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    use std::fs::{self, File};

    use crate::hub::download::{Check, Job, download};
    use crate::hub::http::Client;
    use crate::hub::url::parse_url;

    if parse_url(url).is_none() {
        return Err(HubError::BadAddress { url: url.to_owned() });
    }
    let client = Client::without_token(config)?;
    fs::create_dir_all(dir).map_err(HubError::io("create", dir))?;
    let lock_path = dir.join(".lock");
    let lock = File::create(&lock_path).map_err(HubError::io("create", &lock_path))?;
    // On a file system without locks two processes may download the same file; each checks its own.
    let _ = lock.lock();
    let done = dir.join(name);
    if done.is_file() {
        return Ok(());
    }
    let metadata = client.metadata(url)?;
    // The version is part of the temporary name, so that only the same version is resumed.
    let version: String =
        metadata.etag.iter().flat_map(|etag| etag.chars()).filter(char::is_ascii_alphanumeric).collect();
    let incomplete = dir.join(format!("{name}.{version}.incomplete"));
    if version.is_empty() {
        let _ = fs::remove_file(&incomplete);
    }
    let check = if name.ends_with(".gz") { Check::Gzip } else { Check::Size };
    let job = Job { url, name, size: metadata.size, check, incomplete: &incomplete, done: &done };
    download(&client, &job, progress)
}

#[cfg(not(feature = "hub"))]
fn request(_: &HubConfig, _: &str, dir: &Path, name: &str, _: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
    let why = crate::hub::error::NoRequests::NoClient;
    Err(HubError::NotCached { what: name.to_owned(), place: dir.to_owned(), why })
}
