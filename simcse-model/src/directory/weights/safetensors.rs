//! Reads the header of a safetensors file.
//!
//! Source: the safetensors crate, whose `Metadata` checks that the header makes sense.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::Metadata;

use crate::directory::weights::pytorch::{MAGIC, ZIP};
use crate::directory::weights::tensor::{Source, StoredTensor};
use crate::error::{Error, Result};

pub(crate) const FORMAT: &str = "a safetensors file";
/// The longest header that is read in bytes, enough for some twenty thousand tensors. Parsed, it
/// takes up to thirty times as much memory.
pub(crate) const MAX_HEADER: u64 = 2 << 20;

/// The table of the tensors in a safetensors file. `room` is how many bytes of headers may be read;
/// it gets smaller.
///
/// # Errors
/// [`Error::Format`], [`Error::Io`].
pub(crate) fn read(path: &Path, mut file: File, room: &mut u64) -> Result<BTreeMap<String, StoredTensor>> {
    let length = file.metadata().map_err(Error::io(path))?.len();
    let mut header_length = [0; 8];
    file.read_exact(&mut header_length).map_err(|error| Error::format(path, FORMAT, error))?;
    if let Some(found) = known_format(header_length) {
        return Err(Error::format(path, FORMAT, found));
    }
    let header_length = u64::from_le_bytes(header_length);
    if header_length > length.saturating_sub(8).min(*room) {
        let found = format_args!("a header of {header_length} bytes in a file of {length}");
        return Err(Error::format(path, FORMAT, found));
    }
    *room -= header_length;

    let mut header = Vec::new();
    (&file).take(header_length).read_to_end(&mut header).map_err(Error::io(path))?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| Error::format(path, FORMAT, error))?;
    // The header has been checked to cover a range without gaps. If the file is as long as that
    // range, every tensor is inside the file.
    let data = 8 + header_length;
    let expected = data.saturating_add(header.data_len() as u64);
    if expected != length {
        let found = format_args!("{length} bytes where the header calls for {expected}");
        return Err(Error::format(path, FORMAT, found));
    }
    let source = Arc::new(Source { path: path.to_owned(), file });
    let stored = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let begin = data + info.data_offsets.0 as u64;
        let shape = info.shape.clone();
        (name, StoredTensor { source: source.clone(), dtype: info.dtype, shape, begin, strides: Vec::new() })
    };
    Ok(header.tensors().into_iter().map(stored).collect())
}

/// What else is often found under the name `model.safetensors`. Read as the length of a header, the
/// first bytes of these would be absurd, and the error unhelpful.
fn known_format(beginning: [u8; 8]) -> Option<&'static str> {
    let formats = [
        (ZIP, "a zip archive, as PyTorch's files are: if it is one, rename it to pytorch_model.bin"),
        (&MAGIC[..3], "a pickle of PyTorch: rename it to pytorch_model.bin"),
        (b"version ", "a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    ];
    formats.into_iter().find_map(|(magic, format)| beginning.starts_with(magic).then_some(format))
}
