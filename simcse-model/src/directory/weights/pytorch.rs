//! PyTorch files (`pytorch_model.bin`): the archive of today, and the format of version 1.5 and
//! earlier.
//!
//! An archive is a zip file without compression, `archive/data.pkl` is the pickle, and
//! `archive/data/KEY` the bytes of the storage that it calls KEY. Before, a file was five pickles
//! in a row (a magic number, the version, the machine, the dictionary, and the keys of the
//! storages), and after them, for each storage, its length in eight bytes and its bytes.
//!
//! Source: PyTorch's `torch/serialization.py`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use rawzip::{CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder};

use crate::directory::weights::heap::{Heap, Storage, Value};
use crate::directory::weights::pickle::Machine;
use crate::directory::weights::state_dict::{FORMAT, tensors};
use crate::directory::weights::tensor::{Source, StoredTensor};
use crate::error::{Error, Result};

/// The pickle that the old format begins with.
pub(crate) const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// What a zip file begins with.
pub(crate) const ZIP: &[u8] = b"PK\x03\x04";
/// The version of the old format, the only one that there ever was.
const VERSION: i64 = 1001;
/// The most entries of an archive.
const MAX_ENTRIES: u64 = 1 << 16;

/// The table of the tensors in a PyTorch file. `room` is how many bytes of pickles may be read; it
/// gets smaller.
///
/// # Errors
/// [`Error::Format`], [`Error::Tensor`]: whatever is not a dictionary of tensors, is damaged, or
/// was written on a big-endian machine. [`Error::Io`].
pub(crate) fn read(path: &Path, file: File, room: &mut u64) -> Result<BTreeMap<String, StoredTensor>> {
    let source = Arc::new(Source { path: path.to_owned(), file });
    let mut beginning = Vec::new();
    (&source.file).take(MAGIC.len() as u64).read_to_end(&mut beginning).map_err(Error::io(path))?;
    if beginning == MAGIC {
        read_old(&source, room)
    } else if beginning.starts_with(ZIP) {
        read_archive(&source, room)
    } else if beginning.starts_with(b"version ") {
        Err(Error::format(path, FORMAT, "a pointer of Git LFS: fetch the file itself with `git lfs pull`"))
    } else {
        Err(Error::format(path, FORMAT, "neither a zip archive nor the pickles of older versions"))
    }
}

/// The entries of an archive that can be needed, by their names below the archive's own.
struct Archive<'s> {
    source: &'s Source,
    zip: ZipArchive<FileReader>,
    entries: HashMap<String, ZipArchiveEntryWayfinder>,
}

impl<'s> Archive<'s> {
    fn open(source: &'s Source) -> Result<Self> {
        let damaged = |error| Error::format(&source.path, FORMAT, format_args!("a damaged zip archive: {error}"));
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let file = source.file.try_clone().map_err(Error::io(&source.path))?;
        let zip = ZipArchive::from_file(file, &mut buffer).map_err(damaged)?;
        let mut entries = HashMap::new();
        let mut listed = zip.entries(&mut buffer);
        // The name of the archive is that of its first directory.
        let mut root = None;
        let mut count = 0;
        while let Some(entry) = listed.next_entry().map_err(damaged)? {
            let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
            let (first, name) = name.split_once('/').unwrap_or_default();
            let of_archive = root.get_or_insert_with(|| first.to_owned()) == first;
            if of_archive && entry.compression_method() != CompressionMethod::STORE {
                let found = format_args!("{name} compressed by method {}", entry.compression_method());
                return Err(Error::format(&source.path, FORMAT, found));
            }
            count += 1;
            if count > MAX_ENTRIES {
                let found = format_args!("an archive of more than {MAX_ENTRIES} entries");
                return Err(Error::format(&source.path, FORMAT, found));
            }
            if of_archive && ["data.pkl", "byteorder"].contains(&name) || name.starts_with("data/") {
                entries.insert(name.to_owned(), entry.wayfinder());
            }
        }
        Ok(Self { source, zip, entries })
    }

    /// Where the bytes of an entry begin and how many there are; `None` if there is no such entry.
    fn range(&self, name: &str) -> Result<Option<(u64, u64)>> {
        let path = &self.source.path;
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let found = self.zip.get_entry(*entry);
        let damaged = |error| Error::format(path, FORMAT, format_args!("{name} damaged in the archive: {error}"));
        let (begin, end) = found.map_err(damaged)?.compressed_data_range();
        let length = self.source.file.metadata().map_err(Error::io(path))?.len();
        if end > length || begin > end || end - begin != entry.uncompressed_size_hint() {
            let found = format_args!("{name} from byte {begin} to {end} in a file of {length}");
            return Err(Error::format(path, FORMAT, found));
        }
        Ok(Some((begin, end - begin)))
    }

    /// The bytes of an entry, at most `most`; empty if there is no such entry.
    fn bytes(&self, name: &str, most: u64) -> Result<Vec<u8>> {
        let path = &self.source.path;
        let (begin, length) = self.range(name)?.unwrap_or_default();
        if length > most {
            let found = format_args!("{name} of {length} bytes, where at most {most} are read");
            return Err(Error::format(path, FORMAT, found));
        }
        let mut bytes = Vec::new();
        let mut file = &self.source.file;
        file.seek(SeekFrom::Start(begin)).map_err(Error::io(path))?;
        file.take(length).read_to_end(&mut bytes).map_err(Error::io(path))?;
        Ok(bytes)
    }
}

fn read_archive(source: &Arc<Source>, room: &mut u64) -> Result<BTreeMap<String, StoredTensor>> {
    let path = &source.path;
    let archive = Archive::open(source)?;
    if archive.bytes("byteorder", 16)? == b"big" {
        return Err(Error::format(path, FORMAT, "values in the order of a big-endian machine"));
    }
    if !archive.entries.contains_key("data.pkl") {
        return Err(Error::format(path, FORMAT, "a zip archive without data.pkl"));
    }
    let pickle = archive.bytes("data.pkl", *room)?;
    *room -= pickle.len() as u64;
    let mut machine = Machine::new(&pickle);
    let root = machine.run().map_err(|found| Error::format(path, FORMAT, found))?;
    tensors(source, &machine.heap, root, |storage| {
        let name = format!("data/{}", storage.key);
        let expected = bytes_of(storage);
        match archive.range(&name)? {
            Some((begin, length)) if Some(length) == expected => Ok(begin),
            Some((_, length)) => Err(wrong_length(path, storage, length)),
            None => Err(Error::format(path, FORMAT, format_args!("an archive without {name}"))),
        }
    })
}

fn read_old(source: &Arc<Source>, room: &mut u64) -> Result<BTreeMap<String, StoredTensor>> {
    let path = &source.path;
    let mut pickles = Vec::new();
    (&source.file).take(*room).read_to_end(&mut pickles).map_err(Error::io(path))?;
    let mut machine = Machine::new(&pickles);
    let mut next = || machine.run().map_err(|found| Error::format(path, FORMAT, found));
    let (version, system, root, keys) = (next()?, next()?, next()?, next()?);
    if version != Value::Int(VERSION) {
        return Err(Error::format(path, FORMAT, "another version of the old format than 1001"));
    }
    if is_big_endian(&machine.heap, system) {
        return Err(Error::format(path, FORMAT, "values in the order of a big-endian machine"));
    }
    let begin = (MAGIC.len() + machine.position()) as u64;
    *room -= machine.position() as u64;
    let begins = storages(source, &machine.heap, keys, begin)?;
    tensors(source, &machine.heap, root, |storage| match begins.get(storage.key) {
        Some((begin, stored)) if stored == storage => Ok(*begin),
        Some(_) => Err(Error::format(path, FORMAT, format_args!("storage {} as two different ones", storage.key))),
        None => Err(Error::format(path, FORMAT, format_args!("a file without storage {}", storage.key))),
    })
}

/// Where the storages of the old format begin. They follow the pickles from `at` on, in the order
/// of `keys`.
fn storages<'p>(
    source: &Source,
    heap: &Heap<'p>,
    keys: Value,
    mut at: u64,
) -> Result<HashMap<&'p str, (u64, Storage<'p>)>> {
    let path = &source.path;
    let Value::List(keys) = keys else {
        return Err(Error::format(path, FORMAT, "no list of storages after the dictionary"));
    };
    let by_key: HashMap<_, _> = heap.storages.iter().map(|storage| (storage.key, *storage)).collect();
    let end = source.file.metadata().map_err(Error::io(path))?.len();
    let mut begins = HashMap::new();
    for key in &heap.lists[keys] {
        let Value::Text(key) = key else {
            return Err(Error::format(path, FORMAT, "a list of storages with other values than names"));
        };
        let storage = by_key.get(key).ok_or_else(|| Error::format(path, FORMAT, "a storage that no tensor has"))?;
        let mut length = [0; 8];
        let mut file = &source.file;
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut length));
        read.map_err(|error| Error::format(path, FORMAT, format_args!("no storage {key}: {error}")))?;
        let length = u64::from_le_bytes(length);
        if length != storage.length as u64 {
            let found = format_args!("storage {key} of {length} values where the dictionary says {}", storage.length);
            return Err(Error::format(path, FORMAT, found));
        }
        let begin = at + 8;
        let next = bytes_of(storage).and_then(|bytes| begin.checked_add(bytes)).filter(|next| *next <= end);
        at = next.ok_or_else(|| wrong_length(path, storage, end - begin))?;
        begins.insert(*key, (begin, *storage));
    }
    Ok(begins)
}

fn bytes_of(storage: &Storage) -> Option<u64> {
    (storage.length as u64).checked_mul(storage.dtype.bitsize() as u64 / 8)
}

fn wrong_length(path: &Path, storage: &Storage, found: u64) -> Error {
    let Storage { dtype, key, length } = storage;
    let found = format_args!("storage {key} of {found} bytes for {length} values of type {dtype}");
    Error::format(path, FORMAT, found)
}

/// Whether the pickle about the machine says that it was a big-endian one.
fn is_big_endian(heap: &Heap, system: Value) -> bool {
    let Value::Dict(system) = system else {
        return false;
    };
    heap.dicts[system].contains(&(Value::Text("little_endian"), Value::Bool(false)))
}

#[cfg(test)]
#[path = "tests/pytorch.rs"]
mod tests;
