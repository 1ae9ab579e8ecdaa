//! Reading small files whole, up to a limit, and replacing files atomically.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// The largest configuration in bytes. Parsed JSON takes up to sixty times the memory of its text.
const CONFIGURATION: u64 = 1 << 20;
/// The largest tokenizer or vocabulary in bytes; half a million words take about ten million.
const VOCABULARY: u64 = 64 << 20;

/// Opens a file of a model; `None` if it does not exist.
///
/// Only regular files are opened, because opening a FIFO would block until something writes to it.
pub(crate) fn open_regular(path: &Path) -> Result<Option<File>> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(Error::io(path))?,
    };
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a directory" } else { "a pipe or device" };
        return Err(Error::format(path, "a file", found));
    }
    File::open(path).map(Some).map_err(Error::io(path))
}

/// The bytes of a configuration; `None` if the file does not exist.
pub(crate) fn read_configuration(path: &Path) -> Result<Option<Vec<u8>>> {
    read_at_most(path, CONFIGURATION, "a configuration of at most 1 MiB")
}

/// The bytes of a tokenizer or vocabulary; `None` if the file does not exist.
pub(crate) fn read_vocabulary(path: &Path) -> Result<Option<Vec<u8>>> {
    read_at_most(path, VOCABULARY, "a vocabulary of at most 64 MiB")
}

fn read_at_most(path: &Path, most: u64, expected: &'static str) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_regular(path)? else {
        return Ok(None);
    };
    // One byte beyond the limit shows that the file is too large. Its length is not queried,
    // because a file may grow while it is read.
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if bytes.len() as u64 > most {
        return Err(Error::format(path, expected, "a larger file"));
    }
    Ok(Some(bytes))
}

/// Creates or replaces `path` in one step: `create` makes a file or symbolic link under a temporary
/// name in the same directory, which is then renamed to `path`. Readers see the old content or the
/// new, never part of it. Nothing is synced; see [`write_atomically`].
///
/// The temporary name is `.name.<process>.tmp`, so no two threads may replace the same path at
/// once.
///
/// # Errors
/// That of `create` or the operating system; the temporary file is removed.
///
/// ```
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("greeting.txt");
/// simcse_model::io::atomically(&path, |temporary| std::fs::write(temporary, "hello"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn atomically(path: &Path, create: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);

    // A killed process with the same id may have left one; a symbolic link must not be followed.
    if fs::symlink_metadata(&temporary).is_ok() {
        uninterrupted(|| fs::remove_file(&temporary))?;
    }
    let created = create(&temporary).and_then(|()| uninterrupted(|| fs::rename(&temporary, path)));
    if created.is_err() {
        let _ = uninterrupted(|| fs::remove_file(&temporary));
    }
    created
}

/// Writes the file `path` [`atomically`], and so that it survives a power cut once this returns.
///
/// # Errors
/// [`Error::Io`]; an existing file is left as it was, and the temporary file is removed.
///
/// ```
/// use std::io::Write;
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("numbers.txt");
/// simcse_model::io::write_atomically(&path, |file| {
///     (1..=3).try_for_each(|number| writeln!(file, "{number}"))
/// })?;
/// assert_eq!(std::fs::read_to_string(&path)?, "1\n2\n3\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let create = |temporary: &Path| {
        let mut writer = BufWriter::with_capacity(1 << 20, File::create_new(temporary)?);
        write(&mut writer)?;
        writer.into_inner().map_err(|error| error.into_error())?.sync_all()
    };
    atomically(path, create).and_then(|()| sync_parent(path)).map_err(Error::io(path))
}

/// [`write_atomically`] for bytes in memory.
///
/// # Errors
/// [`Error::Io`].
///
/// ```
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("greeting.txt");
/// simcse_model::io::write_bytes(&path, b"hello")?;
/// assert_eq!(std::fs::read(&path)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, |writer| writer.write_all(bytes))
}

/// Makes it durable that `path` was created in, renamed into, or removed from its directory.
///
/// # Errors
/// The operating system's.
#[cfg(unix)]
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Does nothing: only on Unix can a directory be synced.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_parent(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Creates a directory and its missing parents durably. An existing directory is fine; a symbolic
/// link to one is not.
///
/// # Errors
/// The operating system's.
///
/// ```
/// let dir = tempfile::tempdir()?;
/// let below = dir.path().join("one/two");
/// simcse_model::io::create_directory(&below)?;
/// assert!(below.is_dir());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn create_directory(path: &Path) -> io::Result<()> {
    match (create_one_directory(path), path.parent()) {
        // The parents first, from the top down, so that each is synced into a directory that is
        // durable.
        (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
            create_directory(parent)?;
            create_one_directory(path)
        }
        (created, _) => created,
    }
}

fn create_one_directory(path: &Path) -> io::Result<()> {
    match uninterrupted(|| fs::create_dir(path)) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && fs::symlink_metadata(path)?.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the directory `path` in one step: `fill` writes and syncs its files under the name
/// `.name.partial` in the same place, which is then renamed. So readers see all of the directory or
/// none of it, even if the machine crashes, and once this returns, it survives that. An empty
/// directory is replaced.
///
/// # Errors
/// Those of `fill`, and the operating system's, about a path, as `failed` makes them. Nothing is
/// left on disk then.
///
/// ```
/// use std::path::Path;
/// use simcse_model::io::{directory_atomically, write_bytes};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("model");
/// let failed = |file: &Path, source| simcse_model::Error::Io { file: file.to_path_buf(), source };
/// directory_atomically(&path, failed, |partial| write_bytes(&partial.join("weights"), b"..."))?;
/// assert!(path.join("weights").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn directory_atomically<E>(
    path: &Path,
    failed: impl Fn(&Path, io::Error) -> E,
    fill: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    let partial = path.with_file_name(name);

    // A killed process may have left one.
    if fs::symlink_metadata(&partial).is_ok() {
        uninterrupted(|| fs::remove_dir_all(&partial)).map_err(|error| failed(&partial, error))?;
    }
    // The order matters. Everything is written and synced under the partial name. The rename is
    // atomic. Syncing the parent makes the rename itself durable: only then may the caller rely on
    // it.
    let created = create_directory(&partial).map_err(|error| failed(&partial, error));
    let written = created.and_then(|()| fill(&partial)).and_then(|()| {
        let renamed = uninterrupted(|| fs::rename(&partial, path));
        renamed.and_then(|()| sync_parent(path)).map_err(|error| failed(path, error))
    });
    if written.is_err() && partial.exists() {
        let _ = uninterrupted(|| fs::remove_dir_all(&partial)).and_then(|()| sync_parent(&partial));
    }
    written
}

/// Repeats `call` while signals interrupt it. The standard library does this only for reading,
/// writing, opening, and syncing.
///
/// # Errors
/// Those of `call`, except [`ErrorKind::Interrupted`].
///
/// ```
/// use std::io::{Error, ErrorKind};
///
/// let mut attempts = 0;
/// let result = simcse_model::io::uninterrupted(|| {
///     attempts += 1;
///     if attempts < 3 { Err(Error::from(ErrorKind::Interrupted)) } else { Ok(attempts) }
/// });
/// assert_eq!(result?, 3);
/// # Ok::<(), Error>(())
/// ```
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_bytes(&path, b"old").unwrap();
        let failed = write_atomically(&path, |writer| {
            writer.write_all(b"new")?;
            Err(io::Error::other("no"))
        });
        assert!(matches!(failed, Err(Error::Io { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn links_are_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        let link = dir.path().join("link");
        fs::write(&precious, b"old").unwrap();
        let temporary = dir.path().join(format!(".link.{}.tmp", std::process::id()));
        for name in [&link, &temporary] {
            std::os::unix::fs::symlink(&precious, name).unwrap();
        }
        write_bytes(&link, b"new").unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"old");
        assert_eq!(fs::read(&link).unwrap(), b"new");
        atomically(&link, |new| std::os::unix::fs::symlink(&precious, new)).unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"old", "a link replaces a file");

        let there = dir.path().join("there");
        create_directory(&there.join("and").join("below")).unwrap();
        std::os::unix::fs::symlink(&there, dir.path().join("elsewhere")).unwrap();
        create_directory(&there).unwrap();
        assert_eq!(create_directory(&dir.path().join("elsewhere")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn where_no_directory_can_be_made_there_is_an_error() {
        // This file system says that a directory is missing, whatever there is.
        let error = create_directory(Path::new("/proc/none/below")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_directory_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        let failed = |_: &Path, error| error;
        // What a killed process has left.
        fs::create_dir(dir.path().join(".model.partial")).unwrap();
        fs::write(dir.path().join(".model.partial/old"), "x").unwrap();
        let fill = |partial: &Path| fs::write(partial.join("new"), "x");
        let stopped = |partial: &Path| fill(partial).and(Err(io::Error::other("no")));
        directory_atomically(&path, failed, stopped).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        directory_atomically(&path, failed, fill).unwrap();
        directory_atomically(&path, failed, fill).unwrap_err(); // it is not empty
        let names = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!((names(dir.path()), names(&path)), (vec!["model".into()], vec!["new".into()]));
    }
}
