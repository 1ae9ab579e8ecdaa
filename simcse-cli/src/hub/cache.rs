//! The cache of huggingface_hub, shared with Python:
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
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::HubError;
use super::files::{self, MODULES, Module};

/// One repository's part of the cache.
#[derive(Debug)]
pub(super) struct RepoCache {
    root: PathBuf,
    folder: String,
}

/// How much of a model a snapshot holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// All that the repository has for us.
    Complete,
    /// Enough, but whether the repository has this file too is not known.
    Unsure(String),
    /// This is not there.
    Missing(&'static str),
}

/// The files of one commit.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// `snapshots/<commit>`: a model directory.
    pub(super) dir: PathBuf,
    no_exist: PathBuf,
    tree: PathBuf,
}

impl RepoCache {
    /// The place of `repo` in the cache at `root`.
    pub(super) fn new(root: &Path, repo: &str) -> Self {
        Self { root: root.to_owned(), folder: format!("models--{}", repo.replace('/', "--")) }
    }

    /// The snapshot that a revision led to when it was last asked for.
    pub(super) fn find(&self, revision: &str) -> Option<Snapshot> {
        let commit = match is_commit(revision) {
            true => revision.to_owned(),
            false => fs::read_to_string(self.path("refs").join(revision)).ok()?,
        };
        let commit = commit.trim();
        is_commit(commit).then(|| self.snapshot(commit)).filter(|snapshot| snapshot.dir.is_dir())
    }

    /// The snapshot of a commit, there or not.
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
    ///
    /// A `modules.json` that cannot be read.
    pub(super) fn state(&self) -> Result<State, HubError> {
        let modules = self.modules()?;
        if let Some(missing) = files::missing(&files::root(&modules), |name| self.has(name)) {
            return Ok(State::Missing(missing));
        }
        let known = self.known_files();
        let unsure = |name: &String| {
            let absent = self.no_exist.join(name).is_file() || known.as_ref().is_some_and(|k| !k.contains_key(name));
            !self.has(name) && !absent
        };
        Ok(files::telling(&modules).into_iter().find(unsure).map_or(State::Complete, State::Unsure))
    }

    /// The modules of a sentence-transformers model; none for a plain one.
    ///
    /// # Errors
    ///
    /// A `modules.json` that cannot be read.
    pub(super) fn modules(&self) -> Result<Vec<Module>, HubError> {
        let path = self.dir.join(MODULES);
        match fs::read(&path) {
            Ok(json) => files::parse_modules(&json, &path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(HubError::io("read", path)(e)),
        }
    }

    /// Whether the file is there; a link to a blob that is gone does not count.
    pub(super) fn has(&self, name: &str) -> bool {
        self.dir.join(name).is_file()
    }

    /// What Python noted of the repository's files. A note in another format is no note.
    fn known_files(&self) -> Option<HashMap<String, serde::de::IgnoredAny>> {
        #[derive(Deserialize)]
        struct Tree {
            format_version: u32,
            files: HashMap<String, serde::de::IgnoredAny>,
        }
        let tree: Tree = serde_json::from_slice(&fs::read(&self.tree).ok()?).ok()?;
        (tree.format_version == 1).then_some(tree.files)
    }
}

/// A full commit id, the only kind that is also the name of a snapshot.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

/// `length` lowercase hexadecimal digits.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(feature = "hub")]
mod write {
    use std::fs::{self, File, TryLockError};
    use std::io;
    use std::path::{Path, PathBuf};
    use std::process;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{HubError, RepoCache, Snapshot, is_commit};

    impl RepoCache {
        /// Waits until no other process, Python's included, is fetching the same blob; calls `wait` if it has to.
        ///
        /// # Errors
        ///
        /// A lock file that cannot be made. A file system without locks is none: what is fetched is checked anyway.
        pub(in super::super) fn lock(&self, etag: &str, wait: impl FnOnce()) -> Result<File, HubError> {
            let path = self.root.join(".locks").join(&self.folder).join(format!("{etag}.lock"));
            create_parent(&path)?;
            let file = File::create(&path).map_err(HubError::io("create", &path))?;
            let locked = match file.try_lock() {
                Ok(()) => Ok(()),
                Err(TryLockError::WouldBlock) => {
                    wait();
                    file.lock()
                }
                Err(TryLockError::Error(e)) => Err(e),
            };
            match locked {
                Err(e) if e.kind() != io::ErrorKind::Unsupported => Err(HubError::io("lock", path)(e)),
                _ => Ok(file),
            }
        }

        /// Notes which commit a branch or tag is.
        ///
        /// # Errors
        ///
        /// When the file cannot be written.
        pub(in super::super) fn write_ref(&self, revision: &str, commit: &str) -> Result<(), HubError> {
            let path = self.path("refs").join(revision);
            if is_commit(revision) || fs::read_to_string(&path).is_ok_and(|old| old == commit) {
                return Ok(());
            }
            create_parent(&path)?;
            replace(&path, |new| fs::write(new, commit))
        }

        /// Puts a blob under its name into a snapshot, as a relative link or, where there are none, as a copy.
        ///
        /// # Errors
        ///
        /// When neither can be made.
        pub(in super::super) fn link(&self, blob: &Path, snapshot: &Snapshot, name: &str) -> Result<(), HubError> {
            let path = snapshot.dir.join(name);
            create_parent(&path)?;
            let up = "../".repeat(name.split('/').count() + 1);
            let target = Path::new(&up).join("blobs").join(blob.file_name().unwrap_or_default());
            replace(&path, |new| symlink(&target, new).or_else(|_| fs::copy(blob, new).map(drop)))
        }
    }

    impl Snapshot {
        /// Notes that the repository has no such file.
        ///
        /// # Errors
        ///
        /// When the file cannot be written.
        pub(in super::super) fn mark_absent(&self, name: &str) -> Result<(), HubError> {
            let path = self.no_exist.join(name);
            create_parent(&path)?;
            fs::write(&path, "").map_err(HubError::io("write", path))
        }
    }

    /// Makes the directory of a file.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(in super::super) fn create_parent(path: &Path) -> Result<(), HubError> {
        let parent = path.parent().unwrap_or(path);
        fs::create_dir_all(parent).map_err(HubError::io("create", parent))
    }

    /// Makes a file beside its place, then moves it there, so that nobody meets half of it.
    fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), HubError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{}.{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let new = PathBuf::from(new);
        let _ = fs::remove_file(&new);
        make(&new).and_then(|()| fs::rename(&new, path)).map_err(|error| {
            let _ = fs::remove_file(&new);
            HubError::io("write", path)(error)
        })
    }

    #[cfg(unix)]
    fn symlink(target: &Path, link: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, link)
    }

    #[cfg(not(unix))]
    fn symlink(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(feature = "hub")]
pub(super) use write::create_parent;
