//! Writes to the cache: locks, refs, links, and records of files that a repository does not have.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Mutex;

use crate::hub::cache::{RepoCache, Snapshot, is_commit};
use crate::hub::error::HubError;
use crate::io::files::atomically;

impl RepoCache {
    /// Waits until no other process, Python's included, is downloading the same blob. Calls `wait`
    /// if it has to.
    ///
    /// # Errors
    /// A lock file that cannot be created. A file system without locks is not an error, because
    /// downloads are checked anyway.
    pub(super) fn lock(&self, etag: &str, wait: impl FnOnce()) -> Result<File, HubError> {
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

    /// Records which commit a branch or tag points to.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write_ref(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        // No lock of the cache guards refs, and two threads would use the same temporary name.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock();

        let path = self.path("refs").join(revision);
        if is_commit(revision) || fs::read_to_string(&path).is_ok_and(|old| old == commit) {
            return Ok(());
        }
        create_parent(&path)?;
        atomically(&path, |new| fs::write(new, commit)).map_err(HubError::io("write", path))
    }

    /// Puts a blob into a snapshot under its name: as a relative link or, where links are
    /// impossible, as a copy. The caller holds the blob's lock.
    ///
    /// # Errors
    /// A link and a copy that both fail.
    pub(super) fn link(&self, blob: &Path, snapshot: &Snapshot, name: &str) -> Result<(), HubError> {
        let path = snapshot.dir.join(name);
        create_parent(&path)?;
        let up = "../".repeat(name.split('/').count() + 1);
        let target = Path::new(&up).join("blobs").join(blob.file_name().unwrap_or_default());
        let create = |new: &Path| symlink(&target, new).or_else(|_| fs::copy(blob, new).map(drop));
        atomically(&path, create).map_err(HubError::io("write", path))
    }
}

impl Snapshot {
    /// Records that the repository has no such file.
    ///
    /// # Errors
    /// A record that cannot be written.
    pub(super) fn mark_absent(&self, name: &str) -> Result<(), HubError> {
        let path = self.no_exist.join(name);
        create_parent(&path)?;
        fs::write(&path, "").map_err(HubError::io("write", path))
    }
}

/// Creates the directory that a file will be in.
///
/// # Errors
/// A directory that cannot be created.
pub(super) fn create_parent(path: &Path) -> Result<(), HubError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(HubError::io("create", parent))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
