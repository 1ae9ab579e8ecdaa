//! Brings a repository's model files from the hub into the cache.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use super::Progress;
use super::cache::{RepoCache, Snapshot, create_parent, is_commit};
use super::config::HubConfig;
use super::download::{Check, Job, download};
use super::error::HubError;
use super::files::{self, MODULES, PICKLE, WANTED};
use super::http::Client;
use super::name::ModelName;
use super::url::percent_encode;

/// The answer of `GET /api/models/{repo}/revision/{revision}`, as far as it is of use.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// A fetch under way.
struct Fetch<'a> {
    client: Client,
    endpoint: &'a str,
    model: &'a ModelName,
    cache: &'a RepoCache,
    commit: String,
    snapshot: Snapshot,
}

/// Fetches what the cache lacks of a model and returns the snapshot's directory.
///
/// # Errors
///
/// What the hub or the disk refuses, and repositories that hold no model that can be read here.
pub(super) fn fetch(
    config: &HubConfig,
    model: &ModelName,
    cache: &RepoCache,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let client = Client::new(config)?;
    let explain = |e| explain(e, model, &config.endpoint);
    let revision = percent_encode(&model.revision, "");
    let url = format!("{}/api/models/{}/revision/{revision}", config.endpoint, model.repo);
    let listing: Listing = client.json(&url).map_err(explain)?;
    if !is_commit(&listing.sha) {
        return Err(HubError::NotAHub { url, reason: "its commit is not 40 hexadecimal digits".to_owned() });
    }
    let snapshot = cache.snapshot(&listing.sha);
    let fetch = Fetch { client, endpoint: &config.endpoint, model, cache, commit: listing.sha, snapshot };
    let siblings = listing.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
    fetch.run(&siblings, progress).map_err(explain)
}

impl Fetch<'_> {
    fn run(&self, siblings: &HashSet<String>, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, HubError> {
        if siblings.contains(MODULES) {
            self.file(MODULES, progress)?;
        }
        let modules = self.snapshot.modules()?;
        let root = files::root(&modules);
        if let Some(missing) = files::missing(&root, |name| siblings.contains(name)) {
            return Err(self.unusable(missing, siblings, &root));
        }
        // The transformer's directory comes last, as its weights do.
        let folders = modules.iter().skip(1).map(files::Module::prefix).chain([root]);
        let names = folders.flat_map(|folder| WANTED.iter().map(move |name| format!("{folder}{name}")));
        for name in names.filter(|name| siblings.contains(name)) {
            self.file(&name, progress)?;
        }
        for name in files::telling(&modules).iter().filter(|name| !siblings.contains(*name)) {
            self.snapshot.mark_absent(name)?;
        }
        self.cache.write_ref(&self.model.revision, &self.commit)?;
        Ok(self.snapshot.dir.clone())
    }

    fn unusable(&self, missing: &'static str, siblings: &HashSet<String>, root: &str) -> HubError {
        let repo = self.model.repo.clone();
        match missing == files::WEIGHTS && siblings.contains(&format!("{root}{PICKLE}")) {
            true => HubError::OnlyPickle {
                repo,
                revision: self.model.revision.clone(),
                sentence_model: siblings.contains(MODULES),
            },
            false => HubError::NotAModel { repo, missing },
        }
    }

    /// Brings one file into the snapshot.
    fn file(&self, name: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
        if self.snapshot.has(name) {
            return Ok(());
        }
        let path = percent_encode(name, "/");
        let url = format!("{}/{}/resolve/{}/{path}", self.endpoint, self.model.repo, self.commit);
        let metadata = self.client.metadata(&url)?;
        let etag = metadata.etag.filter(|etag| is_file_name(etag)).ok_or_else(|| HubError::NotAHub {
            url: url.clone(),
            reason: "it sends no ETag that can name a file".to_owned(),
        })?;
        let blob = self.cache.path("blobs").join(&etag);
        create_parent(&blob)?;
        let waiting = format!("{name}: another process is fetching it, waiting");
        let _lock = self.cache.lock(&etag, || progress(Progress::Notice(&waiting)))?;
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
            // A link that leads nowhere would be written through.
            let _ = fs::remove_file(&blob);
            download(&self.client, &job, progress)?;
        }
        self.cache.link(&blob, &self.snapshot, name)
    }
}

fn is_file_name(etag: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=200).contains(&etag.len()) && !etag.starts_with('.') && etag.chars().all(plain)
}

/// What the hub's refusal means for this model.
fn explain(error: HubError, model: &ModelName, endpoint: &str) -> HubError {
    let HubError::Status { status, code, message, .. } = &error else {
        return error;
    };
    let (repo, endpoint) = (model.repo.clone(), endpoint.to_owned());
    match (status, code.as_str()) {
        (_, "GatedRepo") => HubError::Gated { repo, endpoint },
        (_, "RevisionNotFound") => HubError::NoSuchRevision { repo, revision: model.revision.clone(), endpoint },
        (_, "RepoNotFound") | (404, _) => HubError::NoSuchRepository { repo, endpoint },
        (401 | 403, _) => HubError::Refused { repo, endpoint, status: *status, message: message.clone() },
        _ => error,
    }
}
