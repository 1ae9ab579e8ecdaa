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

    let written = File::create(&temporary).and_then(|file| {
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        write(&mut writer)?;
        writer.into_inner().map_err(|error| error.into_error())?.sync_all()
    });
    written.and_then(|()| fs::rename(&temporary, path)).and_then(|()| sync_parent(path)).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Error::io(path)(error)
    })
}

/// [`write_atomically`] for bytes in memory.
///
/// # Errors
/// [`Error::Io`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, |writer| writer.write_all(bytes))
}

/// A rename is lasting only once its directory is synced.
#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_parent(_: &Path) -> io::Result<()> {
    Ok(())
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
}
