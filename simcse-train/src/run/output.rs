//! The directory that a run writes into: locked against other runs, written to without following
//! symbolic links, with enough free space.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use simcse_model::io::{create_directory, sync_parent, uninterrupted};
use simcse_model::{ModelDirectory, SentenceEncoder};

use crate::error::{Error, Result};
use crate::run::provenance::{Provenance, RUN_TOML};

const LOCK: &str = ".lock";
/// The log of a run.
pub(crate) const METRICS: &str = "metrics.jsonl";
/// The log as a table.
pub(crate) const METRICS_CSV: &str = "metrics.csv";
/// What the names of TensorBoard's files begin with.
pub(crate) const EVENTS: &str = "events.out.tfevents.";
/// What the program keeps next to the log: what a run looks like.
const SHOWN: [&str; 3] = ["probe.json", "report.html", METRICS_CSV];
/// The files of the final model that mark a directory as occupied.
const MODEL: [&str; 4] = ["model.safetensors", "config.json", "modules.json", "README.md"];

/// An output directory that no other run writes into. The system releases the lock when the process
/// ends, however it ends.
///
/// ```
/// use simcse_train::{Error, OutputDirectory};
///
/// let directory = tempfile::tempdir().unwrap();
/// let output = OutputDirectory::lock(&directory.path().join("run"))?;
/// assert!(matches!(OutputDirectory::lock(output.path()), Err(Error::Locked { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    /// `None` if another process holds it.
    _lock: Option<File>,
}

impl OutputDirectory {
    /// Locks `path`, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`Error::Locked`] if another run holds the lock, [`Error::Write`].
    pub fn lock(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            create_directory(path).map_err(Error::write(path))?;
        }
        let lock = path.join(LOCK);
        let mut options = OpenOptions::new();
        let file = open(options.read(true).write(true).create(true).truncate(false), &lock);
        let file = file.map_err(Error::write(&lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), _lock: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_path_buf() }),
            // Some file systems do not support locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                Ok(Self { path: path.to_path_buf(), _lock: Some(file) })
            }
            Err(TryLockError::Error(error)) => Err(Error::write(&lock)(error)),
        }
    }

    /// Locks the directory of a run that has saved a checkpoint.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] if there is no checkpoint; as [`OutputDirectory::lock`].
    pub fn lock_existing(path: &Path) -> Result<Self> {
        if entries(path)?.iter().all(|(name, _)| step_of(name).is_none()) {
            return Err(no_checkpoint(path, Vec::new()));
        }
        Self::lock(path)
    }

    /// The directory of a run of several [ranks](crate::ranks), as it is to all but the first of
    /// them: they read from it, and write nothing.
    pub fn follow(path: &Path) -> Self {
        Self { path: path.to_path_buf(), _lock: None }
    }

    /// Whether `path` is or was locked by a run.
    pub(crate) fn was_locked(path: &Path) -> bool {
        fs::symlink_metadata(path.join(LOCK)).is_ok()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what a killed run was in the middle of writing or deleting.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(crate) fn remove_leftovers(&self) -> Result<()> {
        for (name, entry) in entries(&self.path)? {
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::write(&path))?;
            if kind.is_dir() && is_partial(&name) {
                remove_directory(&path)?;
            } else if kind.is_dir() && ModelDirectory::is_module(&name) {
                remove_temporary_files(&path)?;
            }
        }
        remove_temporary_files(&self.path)
    }
}

/// Checks that nothing is in `path` that a new run would write, except perhaps the record and the
/// log of a run that ended before its first checkpoint.
///
/// # Errors
/// [`Error::Occupied`], [`Error::Write`].
pub(crate) fn check_unoccupied(path: &Path) -> Result<()> {
    let entries = entries(path)?;
    let is_record = |(name, entry): &(String, fs::DirEntry)| {
        name == RUN_TOML && entry.file_type().is_ok_and(|kind| kind.is_file()) && Provenance::read(path).is_ok()
    };
    let recorded = entries.iter().any(is_record);
    let occupies = |name: &String| {
        let of_a_run =
            [RUN_TOML, METRICS].contains(&name.as_str()) || SHOWN.contains(&name.as_str()) || name.starts_with(EVENTS);
        MODEL.contains(&name.as_str())
            || ModelDirectory::is_module(name)
            || name.starts_with("checkpoint-")
            || (of_a_run && !recorded)
    };
    match entries.into_iter().map(|(name, _)| name).find(occupies) {
        Some(name) => Err(Error::Occupied { path: path.to_path_buf(), found: format!("a run or a model ({name})") }),
        None => Ok(()),
    }
}

/// [`Error::NoCheckpoint`], with what can be done in this directory.
pub(crate) fn no_checkpoint(path: &Path, rejected: Vec<Error>) -> Error {
    let advice = match check_unoccupied(path) {
        Ok(()) => "start again, without --resume-from-checkpoint",
        Err(_) => "start again in another --output-dir",
    };
    Error::NoCheckpoint { path: path.to_path_buf(), rejected, advice }
}

/// Renames `path` to the first free name among `path.old`, `path.old.2`, … and returns that name.
/// TensorBoard reads every file with `tfevents` in its name, so that is left out of the new one.
///
/// # Errors
/// [`Error::Write`].
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace("tfevents.", "");
    let numbers = (1..).map(|number| if number == 1 { String::new() } else { format!(".{number}") });
    let mut names = numbers.map(|number| path.with_file_name(format!("{name}.old{number}")));
    let old = names.find(|old| fs::symlink_metadata(old).is_err()).expect("numbers without end");
    let renamed = uninterrupted(|| fs::rename(path, &old)).and_then(|()| sync_parent(&old));
    renamed.map(|()| old).map_err(Error::write(path))
}

fn remove_temporary_files(directory: &Path) -> Result<()> {
    for (name, entry) in entries(directory)? {
        let path = entry.path();
        if is_temporary(&name) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            uninterrupted(|| fs::remove_file(&path)).map_err(Error::write(&path))?;
        }
    }
    Ok(())
}

/// The entries of a directory with their names, in no particular order; none if it does not exist.
pub(crate) fn entries(path: &Path) -> Result<Vec<(String, fs::DirEntry)>> {
    let entries = match uninterrupted(|| fs::read_dir(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::write(path))?,
    };
    let named = entries.map(|entry| {
        let entry = entry.map_err(Error::write(path))?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry))
    });
    named.collect()
}

/// The name that checkpoint `name` has while it is being written or deleted.
pub(crate) fn partial_name(name: &str) -> String {
    format!(".{name}.partial")
}

fn is_partial(name: &str) -> bool {
    name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial")).is_some_and(|name| step_of(name).is_some())
}

/// Whether `name` is a temporary name of [`simcse_model::io::write_atomically`]:
/// `.name.<process>.tmp`.
fn is_temporary(name: &str) -> bool {
    let process =
        name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")).and_then(|name| name.rsplit_once('.'));
    process.is_some_and(|(_, process)| !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The step of the checkpoint `name`.
pub(crate) fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("checkpoint-")?.parse().ok()?;
    (name == format!("checkpoint-{step}")).then_some(step)
}

/// Opens a file of the output directory, without following a symbolic link.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    options.open(path)
}

/// Removes a directory and its content, without following symbolic links.
pub(crate) fn remove_directory(path: &Path) -> Result<()> {
    uninterrupted(|| fs::remove_dir_all(path)).and_then(|()| sync_parent(path)).map_err(Error::write(path))
}

/// Checks that there is space for the final model and one checkpoint of `encoder` where `output` is
/// or will be.
///
/// # Errors
/// [`Error::NoSpace`].
pub(crate) fn check_space(output: &Path, encoder: &SentenceEncoder) -> Result<()> {
    let place = output.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("."));
    require_space(place, "a run", encoder.size_on_disk() + checkpoint_size(encoder))
}

/// At most the bytes of a checkpoint: the model, and two moments for each of its weights.
pub fn checkpoint_size(encoder: &SentenceEncoder) -> u64 {
    3 * encoder.size_on_disk()
}

/// Checks that the file system of `place` has `needed` free bytes. If it does not report its free
/// space, the check passes.
///
/// # Errors
/// [`Error::NoSpace`].
pub(crate) fn require_space(place: &Path, what: &str, needed: u64) -> Result<()> {
    match free_space(place) {
        Some(free) if free < needed => {
            Err(Error::NoSpace { path: place.to_path_buf(), what: what.to_owned(), needed, free })
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn free_space(place: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(place).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognized() {
        assert_eq!(step_of("checkpoint-120"), Some(120));
        for name in ["checkpoint-", "checkpoint-07", "checkpoint-+7", "checkpoint-7.old", "xcheckpoint-7"] {
            assert_eq!(step_of(name), None, "{name}");
        }
        assert!(is_partial(&partial_name("checkpoint-7")) && !is_partial(".notes.partial"));
        assert!(is_temporary(".run.toml.123.tmp") && !is_temporary(".mine.tmp") && !is_temporary("run.123.tmp"));
    }

    #[test]
    fn a_directory_is_locked_by_one_run_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a").join("b");
        let first = OutputDirectory::lock(&path).unwrap();
        assert!(matches!(OutputDirectory::lock(&path), Err(Error::Locked { .. })));
        drop(first);
        OutputDirectory::lock(&path).unwrap();
    }

    #[test]
    fn leftovers_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let output = OutputDirectory::lock(dir.path()).unwrap();
        for name in [".checkpoint-7.partial", "checkpoint-6", ".mine.partial"] {
            fs::create_dir_all(dir.path().join(name).join("below")).unwrap();
        }
        for name in ["1_Pooling", "2_Dense", "2_Mine"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in [
            ".model.safetensors.12.tmp",
            ".mine.tmp",
            "1_Pooling/.config.json.3.tmp",
            "2_Dense/.model.safetensors.3.tmp",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        output.remove_leftovers().unwrap();
        let mut left: Vec<_> = entries(dir.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        left.sort();
        assert_eq!(left, [LOCK, ".mine.partial", ".mine.tmp", "1_Pooling", "2_Dense", "2_Mine", "checkpoint-6"]);
        for module in ["1_Pooling", "2_Dense"] {
            assert!(entries(&dir.path().join(module)).unwrap().is_empty(), "{module}");
        }
    }

    #[test]
    fn too_little_space_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        require_space(dir.path(), "a run", 1).unwrap();
        let error = require_space(dir.path(), "a run", u64::MAX).unwrap_err().to_string();
        assert!(error.contains("GB free"), "{error}");
    }
}
