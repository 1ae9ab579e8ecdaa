//! `manifest.json`: the size and SHA-256 of every file of a checkpoint. It is written last, so a
//! checkpoint with a manifest is complete, and one that agrees with its manifest is as it was
//! saved.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use simcse_model::io::{hexadecimal, uninterrupted};

use crate::error::{Error, Result};

/// Name of the file.
const MANIFEST: &str = "manifest.json";
/// Longer manifests are not read.
const MAX_BYTES: u64 = 1 << 20;

/// The files of a directory, by their relative paths.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Lists the files in `dir`, which is being written.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(crate) fn of(dir: &Path) -> Result<Self> {
        let names = names(dir).map_err(Error::write(dir))?;
        let entries = names.into_iter().map(|name| {
            let path = dir.join(&name);
            let entry = Entry::of(&path).map_err(Error::write(&path))?;
            Ok((name, entry))
        });
        Ok(Self { files: entries.collect::<Result<_>>()? })
    }

    /// Writes the manifest of `dir`.
    ///
    /// # Errors
    /// As [`simcse_model::io::write_bytes`].
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        Ok(simcse_model::io::write_bytes(&dir.join(MANIFEST), self.text().as_bytes())?)
    }

    /// Reads the manifest of `dir`. No other file has its digest, so it must be, byte for byte,
    /// what this program would write.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let damaged = |found: String| damaged(&dir.join(MANIFEST), "a manifest as it was written", found);
        let mut text = String::new();
        let file = open(&dir.join(MANIFEST)).map_err(|error| damaged(error.to_string()))?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| damaged(error.to_string()))?;
        let manifest: Self = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if manifest.text() == text { Ok(manifest) } else { Err(damaged("changes".to_owned())) }
    }

    /// Checks that every file exists and has not changed: all sizes first, which is fast, then
    /// digests.
    ///
    /// # Errors
    /// [`Error::Damaged`], naming the first file that is missing or different.
    pub(crate) fn check(&self, dir: &Path) -> Result<()> {
        for (name, entry) in &self.files {
            let path = dir.join(name);
            let expected = format!("a file of {} bytes", entry.bytes);
            let length = fs::symlink_metadata(&path).and_then(|file| regular(&file).map(|()| file.len()));
            match length {
                Ok(length) if length == entry.bytes => {}
                Ok(length) => return Err(damaged(&path, expected, format!("{length} bytes"))),
                Err(error) => return Err(damaged(&path, expected, error.to_string())),
            }
        }
        for (name, entry) in &self.files {
            let path = dir.join(name);
            let expected = format!("SHA-256 {}", entry.sha256);
            match Entry::of(&path) {
                Ok(found) if found == *entry => {}
                Ok(found) => return Err(damaged(&path, expected, found.sha256)),
                Err(error) => return Err(damaged(&path, expected, error.to_string())),
            }
        }
        Ok(())
    }

    /// Whether `dir` holds the files of the manifest and nothing else.
    pub(crate) fn lists_all(&self, dir: &Path) -> bool {
        names(dir).is_ok_and(|names| self.files.keys().eq(names.iter().filter(|name| *name != MANIFEST)))
    }

    /// The content of the file.
    pub(crate) fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a manifest is JSON");
        text + "\n"
    }
}

impl Entry {
    fn of(path: &Path) -> io::Result<Self> {
        let mut digest = Sha256::new();
        let bytes = io::copy(&mut open(path)?, &mut digest)?;
        Ok(Self { bytes, sha256: hexadecimal(digest.finalize()) })
    }
}

/// The relative paths of all files under `dir`, sorted. Anything but a file or a directory, such as
/// a link or a pipe, is an error.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    fn walk(dir: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
        for entry in uninterrupted(|| fs::read_dir(dir))? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                walk(&entry.path(), &format!("{name}/"), names)?;
            } else {
                regular(&entry.metadata()?)?;
                names.push(name);
            }
        }
        Ok(())
    }
    let mut names_found = Vec::new();
    walk(dir, "", &mut names_found)?;
    names_found.sort();
    Ok(names_found)
}

/// Opens a regular file. Opening a pipe would block until another process opens its other end.
fn open(path: &Path) -> io::Result<File> {
    regular(&fs::symlink_metadata(path)?)?;
    File::open(path)
}

fn regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("not a regular file")) }
}

fn damaged(file: &Path, expected: impl Into<String>, found: impl Into<String>) -> Error {
    Error::Damaged { file: file.to_path_buf(), expected: expected.into(), found: found.into() }
}
