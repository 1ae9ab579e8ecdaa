//! Small files read whole, up to a limit; files written under a temporary name, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// The most bytes of a configuration; parsed, JSON takes up to sixty times as many.
const CONFIGURATION: u64 = 1 << 20;
/// The most bytes of a tokenizer or vocabulary; half a million words take ten million.
const VOCABULARY: u64 = 64 << 20;

/// Opens a file of a model, or `None` if there is no such file. Anything but a regular file is refused: to open a FIFO would
/// wait for its writer.
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

/// The bytes of a configuration, or `None` if there is no such file.
pub(crate) fn read_configuration(path: &Path) -> Result<Option<Vec<u8>>> {
    read_at_most(path, CONFIGURATION, "a configuration of at most 1 MiB")
}

/// The bytes of a tokenizer or vocabulary, or `None` if there is no such file.
pub(crate) fn read_vocabulary(path: &Path) -> Result<Option<Vec<u8>>> {
    read_at_most(path, VOCABULARY, "a vocabulary of at most 64 MiB")
}

fn read_at_most(path: &Path, most: u64, expected: &'static str) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_regular(path)? else {
        return Ok(None);
    };
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
/// What `create` or the system reports; the temporary file is removed.
pub fn atomically(path: &Path, create: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);

    // A killed process with the same id may have left one; a symbolic link must not be followed.
    let _ = uninterrupted(|| fs::remove_file(&temporary));
    let created = create(&temporary).and_then(|()| uninterrupted(|| fs::rename(&temporary, path)));
    if created.is_err() {
        let _ = uninterrupted(|| fs::remove_file(&temporary));
    }
    created
}

/// Writes the file `path` [`atomically`], and so that it survives a power cut once this returns.
///
/// # Errors
/// [`Error::Io`]; the temporary file is removed.
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
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, |writer| writer.write_all(bytes))
}

/// Makes `path` lasting in the directory that it was created in, renamed into or removed from.
///
/// # Errors
/// What the system says.
#[cfg(unix)]
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes `path` lasting in its directory: elsewhere than on Unix, directories cannot be synced.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_parent(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a directory, and those above it, lasting. One that is there is fine, but a symbolic link to one is not.
///
/// # Errors
/// What the system says.
pub fn create_directory(path: &Path) -> io::Result<()> {
    match uninterrupted(|| fs::create_dir(path)) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && fs::symlink_metadata(path)?.is_dir() => Ok(()),
        Err(error) => match path.parent() {
            Some(parent) if error.kind() == ErrorKind::NotFound => {
                create_directory(parent)?;
                create_directory(path)
            }
            _ => Err(error),
        },
    }
}

/// Does `call` again as long as a signal interrupts it: the standard library does so for reads, writes, opens and syncs only.
///
/// # Errors
/// What the system says.
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
        let (precious, link) = (dir.path().join("precious"), dir.path().join("link"));
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
}
