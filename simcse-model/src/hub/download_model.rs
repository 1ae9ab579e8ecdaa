//! Downloads a repository's model files from the hub into the cache.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::directory::modules::MODULES;
use crate::error::Error;
use crate::hub::cache::{RepoCache, Snapshot, is_commit};
use crate::hub::cache_write::create_parent;
use crate::hub::config::HubConfig;
use crate::hub::download::{Check, Job, download};
use crate::hub::error::HubError;
use crate::hub::http::Client;
use crate::hub::name::ModelName;
use crate::hub::progress::DownloadEvent;
use crate::hub::url::percent_encode;

/// The part of the response to `GET /api/models/{repo}/revision/{revision}` that is needed.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// A download in progress.
struct ModelDownload<'a> {
    client: Client,
    endpoint: &'a str,
    model: &'a ModelName,
    cache: &'a RepoCache,
    commit: String,
    snapshot: Snapshot,
}

/// Downloads what the cache lacks of a model and returns the snapshot's directory.
///
/// # Errors
/// What the hub or the file system refuses, and repositories without a model that can be read here.
pub(super) fn download_model(
    config: &HubConfig,
    model: &ModelName,
    cache: &RepoCache,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<PathBuf, Error> {
    let client = Client::new(config)?;
    let revision = percent_encode(&model.revision, "");
    let url = format!("{}/api/models/{}/revision/{revision}", config.endpoint, model.repo);
    let listing: Listing = client.json(&url).map_err(|error| explain(error, model, &config.endpoint))?;
    if !is_commit(&listing.sha) {
        let reason = "its commit is not 40 hexadecimal digits".to_owned();
        return Err(HubError::NotAHub { url, reason }.into());
    }
    let snapshot = cache.snapshot(&listing.sha);
    let download = ModelDownload { client, endpoint: &config.endpoint, model, cache, commit: listing.sha, snapshot };
    let siblings = listing.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
    download.run(&siblings, progress).map_err(|error| match error {
        Error::Hub(error) => explain(error, model, &config.endpoint).into(),
        error => error,
    })
}

impl ModelDownload<'_> {
    fn run(&self, siblings: &HashSet<String>, progress: &mut dyn FnMut(DownloadEvent<'_>)) -> Result<PathBuf, Error> {
        let has = |name: &str| siblings.contains(name);
        if has(MODULES) {
            self.file(MODULES, progress)?;
        }
        let files = self.snapshot.files()?;
        let has_any = |name: &str| has(name) || siblings.iter().any(|file| Path::new(file).starts_with(name));
        if let Some((name, expected)) = files.unsupported(has_any) {
            return Err(Error::format(&Path::new(&self.model.repo).join(name), expected, "one"));
        }
        let lacks = |missing: &str| HubError::NotAModel { repo: self.model.repo.clone(), missing: missing.to_owned() };
        if let Some(missing) = files.missing(has) {
            return Err(lacks(missing).into());
        }
        for name in files.wanted().iter().filter(|name| has(name)) {
            self.file(name, progress)?;
        }
        if let Some(weights) = files.weights(has) {
            self.file(&weights, progress)?;
        }
        let shards = self.snapshot.shards(&files)?;
        if let Some(missing) = shards.iter().find(|shard| !has(shard)) {
            return Err(lacks(missing).into());
        }
        for shard in &shards {
            self.file(shard, progress)?;
        }
        for name in files.telling_absences(has) {
            self.snapshot.mark_absent(&name)?;
        }
        self.cache.write_ref(&self.model.revision, &self.commit)?;
        Ok(self.snapshot.dir.clone())
    }

    /// Downloads one file into the snapshot, unless it is there.
    fn file(&self, name: &str, progress: &mut dyn FnMut(DownloadEvent<'_>)) -> Result<(), HubError> {
        if self.snapshot.has(name) {
            return Ok(());
        }
        let path = percent_encode(name, "/");
        let url = format!("{}/{}/resolve/{}/{path}", self.endpoint, self.model.repo, self.commit);
        let metadata = self.client.metadata(&url)?;
        let etag = metadata.etag.filter(|etag| is_file_name(etag)).ok_or_else(|| HubError::NotAHub {
            url: url.clone(),
            reason: "it sent no ETag that can name a file".to_owned(),
        })?;
        let blob = self.cache.path("blobs").join(&etag);
        create_parent(&blob)?;
        let waiting = format!("{name}: waiting for another process that is downloading it");
        let _lock = self.cache.lock(&etag, || progress(DownloadEvent::Notice(&waiting)))?;
        if !blob.is_file() {
            let incomplete = blob.with_file_name(format!("{etag}.incomplete"));
            let job = Job {
                url: &url,
                name,
                size: metadata.size,
                check: Check::from_etag(&etag),
                incomplete: &incomplete,
                done: &blob,
            };
            // What is there, if anything, is a link that leads nowhere.
            let _ = fs::remove_file(&blob);
            download(&self.client, &job, progress)?;
        }
        self.cache.link(&blob, &self.snapshot, name)
    }
}

fn is_file_name(etag: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=200).contains(&etag.len()) && !etag.starts_with('.') && etag.chars().all(is_plain)
}

/// What the hub's refusal means for this model.
fn explain(error: HubError, model: &ModelName, endpoint: &str) -> HubError {
    let HubError::Status { status, code, message, .. } = &error else {
        return error;
    };
    let repo = model.repo.clone();
    let endpoint = endpoint.to_owned();
    match (status, code.as_str()) {
        (_, "GatedRepo") => HubError::Gated { repo, endpoint },
        (_, "RevisionNotFound") => HubError::NoSuchRevision { repo, revision: model.revision.clone(), endpoint },
        (_, "RepoNotFound") | (404, _) => HubError::NoSuchRepository { repo, endpoint },
        (401 | 403, _) => HubError::Refused { repo, endpoint, status: *status, message: message.clone() },
        _ => error,
    }
}
