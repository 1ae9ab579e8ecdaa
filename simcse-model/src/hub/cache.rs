//! The cache of huggingface_hub, shared with Python; this file reads it.
//!
//! ```text
//! .locks/models--owner--name/<etag>.lock
//! models--owner--name/refs/main                     the commit
//! models--owner--name/blobs/<etag>                  the content
//! models--owner--name/snapshots/<commit>/<file>     a link to ../../blobs/<etag>
//! models--owner--name/.no_exist/<commit>/<file>     empty: the repository has no such file
//! models--owner--name/trees/<commit>.json           all its files, written by huggingface_hub 2
//! ```

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::directory::modules::Modules;
use crate::directory::weights::forms::shards;
use crate::error::Result;
use crate::hub::files::ModelFiles;

/// One repository's part of the cache.
#[derive(Debug)]
pub(super) struct RepoCache {
    pub(super) root: PathBuf,
    pub(super) folder: String,
}

/// How much of a model a snapshot has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completeness {
    /// Everything that the repository has for us.
    Complete,
    /// Enough, but it is unknown whether the repository has this file, too.
    Unsure(String),
    /// A file that every model needs is not there.
    Incomplete,
}

/// The files of one commit.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// `snapshots/<commit>`: a model directory.
    pub(super) dir: PathBuf,
    pub(super) no_exist: PathBuf,
    tree: PathBuf,
}

impl RepoCache {
    /// The part of `repo` in the cache at `root`.
    pub(super) fn new(root: &Path, repo: &str) -> Self {
        Self { root: root.to_owned(), folder: format!("models--{}", repo.replace('/', "--")) }
    }

    /// The snapshot that a revision pointed to when it was last looked up.
    pub(super) fn find(&self, revision: &str) -> Option<Snapshot> {
        let commit = match is_commit(revision) {
            true => revision.to_owned(),
            false => fs::read_to_string(self.path("refs").join(revision)).ok()?,
        };
        let commit = commit.trim();
        is_commit(commit).then(|| self.snapshot(commit)).filter(|snapshot| snapshot.dir.is_dir())
    }

    /// The snapshot of a commit, whether or not it exists.
    pub(super) fn snapshot(&self, commit: &str) -> Snapshot {
        Snapshot {
            dir: self.path("snapshots").join(commit),
            no_exist: self.path(".no_exist").join(commit),
            tree: self.path("trees").join(format!("{commit}.json")),
        }
    }

    /// A directory of this repository.
    pub(super) fn path(&self, part: &str) -> PathBuf {
        self.root.join(&self.folder).join(part)
    }
}

impl Snapshot {
    /// Whether this commit can be used without asking the hub.
    ///
    /// # Errors
    /// A `modules.json` or an index of shards that cannot be read or used.
    pub(super) fn state(&self) -> Result<Completeness> {
        let files = self.files()?;
        let has = |name: &str| self.has(name);
        if files.missing(has).is_some() || self.shards(&files)?.iter().any(|shard| !self.has(shard)) {
            return Ok(Completeness::Incomplete);
        }
        let known = self.known_files();
        let is_unsure = |name: &String| {
            let unlisted = known.as_ref().is_some_and(|known| !known.contains_key(name));
            !unlisted && !self.no_exist.join(name).is_file()
        };
        let unsure = files.telling_absences(has).into_iter().find(is_unsure);
        Ok(unsure.map_or(Completeness::Complete, Completeness::Unsure))
    }

    /// The files that make up this model.
    ///
    /// # Errors
    /// A `modules.json` that cannot be read or used.
    pub(super) fn files(&self) -> Result<ModelFiles> {
        Ok(ModelFiles::new(Modules::read(&self.dir)?.as_ref()))
    }

    /// The shards of the weights, if an index of them is there.
    ///
    /// # Errors
    /// An index that cannot be read or used.
    pub(super) fn shards(&self, files: &ModelFiles) -> Result<Vec<String>> {
        let Some(weights) = files.weights(|name| self.has(name)) else {
            return Ok(Vec::new());
        };
        let folder = weights.rfind('/').map_or("", |slash| &weights[..=slash]);
        let name = |shard: &PathBuf| format!("{folder}{}", shard.file_name().unwrap_or_default().to_string_lossy());
        Ok(shards(&self.dir.join(&weights))?.keys().map(name).collect())
    }

    /// Whether the file is there. A link to a blob that is gone does not count.
    pub(super) fn has(&self, name: &str) -> bool {
        self.dir.join(name).is_file()
    }

    /// The repository's files as Python recorded them. A record in another format is ignored.
    fn known_files(&self) -> Option<HashMap<String, IgnoredAny>> {
        #[derive(Deserialize)]
        struct Tree {
            format_version: u32,
            files: HashMap<String, IgnoredAny>,
        }
        let tree: Tree = serde_json::from_slice(&fs::read(&self.tree).ok()?).ok()?;
        (tree.format_version == 1).then_some(tree.files)
    }
}

/// Whether `text` is a full commit id, the only kind of revision that is also a snapshot's name.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

/// Whether `text` consists of `length` lowercase hexadecimal digits.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
