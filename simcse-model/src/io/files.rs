//! Small files read whole and with a bound; files written beside their place and renamed into it.

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

/// Writes `path` so that it is seen whole or not at all, and survives a power cut once this returns: to a temporary name
/// beside it, synced, then renamed.
///
/// # Errors
/// [`Error::Io`]; the temporary file is removed.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);

    let written = create(&temporary).and_then(|file| {
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        write(&mut writer)?;
        writer.into_inner().map_err(|error| error.into_error())?.sync_all()
    });
    let renamed = written.and_then(|()| uninterrupted(|| fs::rename(&temporary, path)));
    renamed.and_then(|()| sync_parent(path)).map_err(|error| {
        let _ = uninterrupted(|| fs::remove_file(&temporary));
        Error::io(path)(error)
    })
}

/// A new file, never what a symbolic link leads to. One that an earlier process of the same id left is replaced.
fn create(path: &Path) -> io::Result<File> {
    match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            uninterrupted(|| fs::remove_file(path))?;
            File::create_new(path)
        }
        created => created,
    }
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
        assert_eq!((fs::read(&precious).unwrap(), fs::read(&link).unwrap()), (b"old".to_vec(), b"new".to_vec()));

        let there = dir.path().join("there");
        create_directory(&there.join("and").join("below")).unwrap();
        std::os::unix::fs::symlink(&there, dir.path().join("elsewhere")).unwrap();
        create_directory(&there).unwrap();
        assert_eq!(create_directory(&dir.path().join("elsewhere")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
