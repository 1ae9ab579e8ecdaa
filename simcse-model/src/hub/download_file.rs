//! Downloads a file from any address, or from a data set on the hub, into a directory.

use std::path::Path;

use crate::error::Error;
use crate::hub::config::HubConfig;
use crate::hub::error::HubError;
use crate::hub::progress::DownloadEvent;

/// Downloads `url` to the file `name` in `dir`, unless it is already there.
///
/// An interrupted download is resumed. The file appears under its name only when it is complete,
/// and a `.gz` only when its checksums are right. Proxies, certificates, the timeout and
/// `HF_HUB_OFFLINE` are as for the [hub](crate::hub), but the user's token is not sent.
///
/// # Errors
/// [`Error::Hub`](crate::Error::Hub): an address that is not one, requests that are forbidden, a
/// connection that fails too often, damaged content, or a file that cannot be written.
pub fn download_file(
    url: &str,
    dir: &Path,
    name: &str,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<(), Error> {
    Ok(download_file_with(&HubConfig::from_env(), url, dir, name, progress)?)
}

/// A large file of a public data set on the [hub](crate::hub), at a commit.
///
/// ```
/// use simcse_model::hub::DatasetFile;
///
/// let file = DatasetFile { repo: "owner/name", commit: "0123abcd", name: "data.tar" };
/// assert!(file.url().ends_with("/datasets/owner/name/resolve/0123abcd/data.tar"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DatasetFile<'a> {
    /// The repository, `owner/name`.
    pub repo: &'a str,
    /// The commit, so that the file is always the same.
    pub commit: &'a str,
    /// The file's name.
    pub name: &'a str,
}

impl DatasetFile<'_> {
    /// The address on the hub that the environment selects.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_on(&HubConfig::from_env().endpoint)
    }

    fn url_on(&self, endpoint: &str) -> String {
        format!("{endpoint}/datasets/{}/resolve/{}/{}", self.repo, self.commit, self.name)
    }

    /// Downloads the file into `dir`, as [`download_file`] does, but requires that its content have
    /// the SHA-256 that the hub names for it.
    ///
    /// # Errors
    /// As for [`download_file`], and a hub that names no SHA-256.
    pub fn download(&self, dir: &Path, progress: &mut dyn FnMut(DownloadEvent<'_>)) -> Result<(), Error> {
        Ok(self.download_with(&HubConfig::from_env(), dir, progress)?)
    }

    /// [`download`](Self::download) with settings that do not come from the environment.
    pub(super) fn download_with(
        &self,
        config: &HubConfig,
        dir: &Path,
        progress: &mut dyn FnMut(DownloadEvent<'_>),
    ) -> Result<(), HubError> {
        let url = self.url_on(&config.endpoint);
        unless_there(config, &url, dir, self.name, Digest::Required, progress)
    }
}

/// What a server must say about the content of a file.
#[derive(Clone, Copy)]
enum Digest {
    /// Its SHA-256.
    Required,
    /// Nothing. An ETag of an arbitrary server is no digest, even if it looks like one.
    Unknown,
}

/// [`download_file`] with settings that do not come from the environment.
pub(super) fn download_file_with(
    config: &HubConfig,
    url: &str,
    dir: &Path,
    name: &str,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<(), HubError> {
    unless_there(config, url, dir, name, Digest::Unknown, progress)
}

/// Downloads the file if it is not in `dir` yet.
fn unless_there(
    config: &HubConfig,
    url: &str,
    dir: &Path,
    name: &str,
    digest: Digest,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<(), HubError> {
    if dir.join(name).is_file() {
        return Ok(());
    }
    match config.no_requests() {
        Some(why) => Err(HubError::NotCached { what: name.to_owned(), place: dir.to_owned(), why }),
        None => request(config, url, dir, name, digest, progress),
    }
}

#[cfg(feature = "hub")]
fn request(
    config: &HubConfig,
    url: &str,
    dir: &Path,
    name: &str,
    digest: Digest,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
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
    let check = match digest {
        Digest::Required => match Check::from_etag(metadata.etag.as_deref().unwrap_or_default()) {
            check @ Check::Sha256(_) => check,
            _ => {
                let reason = format!("it sent no SHA-256 of {name}");
                return Err(HubError::NotAHub { url: url.to_owned(), reason });
            }
        },
        Digest::Unknown if name.ends_with(".gz") => Check::Gzip,
        Digest::Unknown => Check::Size,
    };
    let job = Job { url, name, size: metadata.size, check, incomplete: &incomplete, done: &done };
    download(&client, &job, progress)
}

#[cfg(not(feature = "hub"))]
fn request(
    _: &HubConfig,
    _: &str,
    dir: &Path,
    name: &str,
    _: Digest,
    _: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<(), HubError> {
    let why = crate::hub::error::NoRequests::NoClient;
    Err(HubError::NotCached { what: name.to_owned(), place: dir.to_owned(), why })
}
