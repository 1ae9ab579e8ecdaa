//! `model.safetensors`: reading tensors as f32, and writing them.
//!
//! This file knows the format, and not what the tensors are for. Only the header is kept in memory:
//! a tensor is read, converted, and checked when it is taken.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::{Error, Result};
use crate::io::files::{open_regular, write_atomically};

/// The name of the file.
pub(crate) const WEIGHTS: &str = "model.safetensors";
const FORMAT: &str = "a safetensors file";
/// The longest header that is read in bytes, enough for some twenty thousand tensors. Parsed, it
/// takes up to thirty times as much memory.
const MAX_HEADER: u64 = 2 << 20;
/// Bytes converted at a time.
const CHUNK: usize = 1 << 20;

/// An open `model.safetensors`, some of whose tensors have not been taken yet.
///
/// ```
/// use simcse_model::{WeightsFile, write_safetensors};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("model.safetensors");
/// write_safetensors(&path, [("w", &[2, 1][..], &[0.5, -1.0][..])], &[])?;
///
/// let mut weights = WeightsFile::read(&path)?;
/// let mut w = [0.0; 2];
/// weights.take("w", &[2, 1], &mut w)?;
/// assert_eq!(w, [0.5, -1.0]);
/// weights.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    file: File,
    /// Where the tensors' bytes begin.
    data: u64,
    /// The tensors that have not been taken, by name.
    tensors: BTreeMap<String, TensorInfo>,
}

/// A tensor that is written back byte for byte.
#[derive(Clone, Debug, PartialEq)]
pub struct CarriedTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl CarriedTensor {
    /// The number of its bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The same tensor under another name.
    pub(crate) fn renamed(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }
}

impl WeightsFile {
    /// Opens a safetensors file and reads its header.
    ///
    /// # Errors
    /// [`Error::Missing`] if the file does not exist, with advice if the directory holds weights in
    /// another format; [`Error::Format`]; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = open_regular(path)?.ok_or_else(|| missing(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let mut header_length = [0; 8];
        file.read_exact(&mut header_length).map_err(|error| Error::format(path, FORMAT, error))?;
        if let Some(found) = known_format(header_length) {
            return Err(Error::format(path, FORMAT, found));
        }
        let header_length = u64::from_le_bytes(header_length);
        if header_length > MAX_HEADER.min(length.saturating_sub(8)) {
            let found = format_args!("a header of {header_length} bytes in a file of {length}");
            return Err(Error::format(path, FORMAT, found));
        }

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
        let tensors = header.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        Ok(Self { path: path.to_path_buf(), file, data, tensors })
    }

    /// Whether there is a tensor `name` that has not been taken.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The names of the tensors that have not been taken, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor that has not been taken.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|info| info.shape.as_slice())
    }

    /// Checks that the tensor `name` can be taken in this shape, without reading it. Check before
    /// allocating memory for the sizes that a configuration claims.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing, has another shape, or is not of a floating-point type
    /// that can be read.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let Some(info) = self.tensors.get(name) else {
            return Err(self.error(name, format_args!("shape {shape:?}"), "no such tensor"));
        };
        if info.shape != shape {
            let found = format_args!("shape {:?}", info.shape);
            return Err(self.error(name, format_args!("shape {shape:?}"), found));
        }
        match info.dtype {
            Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
            other => Err(self.error(name, "type F64, F32, F16 or BF16", format_args!("type {other}"))),
        }
    }

    /// Reads the tensor `name` into `out` as f32, in row-major order. It cannot be taken twice.
    ///
    /// # Errors
    /// Those of [`WeightsFile::check`]; [`Error::Tensor`] if a value is not finite as an f32;
    /// [`Error::Io`].
    ///
    /// # Panics
    /// If the length of `out` is not that of `shape`.
    pub fn take(&mut self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        assert_eq!(shape.iter().product::<usize>(), out.len(), "{name}: shape {shape:?}");
        self.check(name, shape)?;
        let Some(info) = self.tensors.remove(name) else {
            return Ok(());
        };
        self.seek(&info)?;

        // In chunks, so that a large tensor is never in memory both as bytes and as values.
        let width = info.dtype.bitsize() / 8;
        let mut bytes = vec![0; CHUNK.min(out.len() * width)];
        for values in out.chunks_mut(CHUNK / width) {
            let bytes = &mut bytes[..values.len() * width];
            self.file.read_exact(bytes).map_err(Error::io(&self.path))?;
            match info.dtype {
                Dtype::F64 => decode(bytes, values, |eight| f64::from_le_bytes(eight) as f32),
                Dtype::F16 => decode(bytes, values, |two| f16::from_le_bytes(two).to_f32()),
                Dtype::BF16 => decode(bytes, values, |two| bf16::from_le_bytes(two).to_f32()),
                _ => decode(bytes, values, f32::from_le_bytes),
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(self.error(name, "finite values", value));
            }
        }
        Ok(())
    }

    /// Reads the tensor `name` as it is. It cannot be taken again.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing, [`Error::Io`].
    pub(crate) fn carry(&mut self, name: &str) -> Result<CarriedTensor> {
        let Some(info) = self.tensors.remove(name) else {
            return Err(self.error(name, "a tensor", "no such tensor"));
        };
        self.seek(&info)?;
        let (begin, end) = info.data_offsets;
        // The length of the file was checked, so this is at most as much memory as there is file.
        let mut bytes = vec![0; end - begin];
        self.file.read_exact(&mut bytes).map_err(Error::io(&self.path))?;
        Ok(CarriedTensor { name: name.to_owned(), dtype: info.dtype, shape: info.shape, bytes })
    }

    /// Ends the reading of a file that must not hold anything else.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a tensor has not been taken.
    pub fn finish(self) -> Result<()> {
        if self.tensors.is_empty() {
            return Ok(());
        }
        let some: Vec<_> = self.names().take(3).collect();
        let found = format_args!("{} more", self.tensors.len());
        Err(self.error(&some.join(", "), "only the tensors that are needed", found))
    }

    fn seek(&mut self, info: &TensorInfo) -> Result<()> {
        let begin = self.data + info.data_offsets.0 as u64;
        self.file.seek(SeekFrom::Start(begin)).map(drop).map_err(Error::io(&self.path))
    }

    /// The error that the tensor `name` is not what was expected.
    pub(crate) fn error(&self, name: &str, expected: impl ToString, found: impl ToString) -> Error {
        Error::Tensor {
            file: self.path.clone(),
            tensor: name.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

fn decode<const WIDTH: usize>(bytes: &[u8], values: &mut [f32], convert: impl Fn([u8; WIDTH]) -> f32) {
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
        *value = convert(*bytes);
    }
}

/// What else is often found under the name `model.safetensors`. Read as the length of a header, the
/// first bytes of these would be absurd, and the error unhelpful.
fn known_format(beginning: [u8; 8]) -> Option<&'static str> {
    const FORMATS: [(&[u8], &str); 3] = [
        (
            b"PK\x03\x04",
            "a zip archive, as PyTorch's pickles are: convert it with transformers, \
             AutoModel.from_pretrained(DIR).save_pretrained(DIR, safe_serialization=True)",
        ),
        (
            b"\x80\x02\x8a",
            "a pickle of PyTorch: convert it with transformers, \
             AutoModel.from_pretrained(DIR).save_pretrained(DIR, safe_serialization=True)",
        ),
        (b"version ", "a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
    ];
    FORMATS.into_iter().find_map(|(magic, format)| beginning.starts_with(magic).then_some(format))
}

/// The error that `path` does not exist; what else is in its directory decides on the advice.
fn missing(path: &Path) -> Error {
    let exists = |name: &str| path.with_file_name(name).exists();
    let advice = if exists("model.safetensors.index.json") {
        "the weights are in several files (model.safetensors.index.json); save them as one with transformers: \
         AutoModel.from_pretrained(DIR).save_pretrained(DIR, max_shard_size=\"100GB\")"
    } else if exists("pytorch_model.bin") || exists("pytorch_model.bin.index.json") {
        "there is only pytorch_model.bin; convert it with transformers: \
         AutoModel.from_pretrained(DIR).save_pretrained(DIR, safe_serialization=True)"
    } else {
        "a model directory holds its weights as model.safetensors"
    };
    Error::Missing { file: path.to_path_buf(), advice: advice.to_owned() }
}

/// A tensor to write.
struct TensorToWrite<'a> {
    name: String,
    dtype: Dtype,
    shape: &'a [usize],
    data: TensorData<'a>,
}

enum TensorData<'a> {
    Floats(&'a [f32]),
    Bytes(&'a [u8]),
}

impl TensorData<'_> {
    fn size(&self) -> usize {
        match self {
            Self::Floats(values) => size_of_val(*values),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    fn write(&self, writer: &mut impl Write) -> std::io::Result<()> {
        match self {
            Self::Bytes(bytes) => writer.write_all(bytes),
            Self::Floats(values) => values.chunks(CHUNK / size_of::<f32>()).try_for_each(|values| {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                writer.write_all(&bytes)
            }),
        }
    }
}

/// Writes f32 tensors (name, shape, row-major values) and the carried tensors as a safetensors file
/// with the metadata `{"format": "pt"}`, in the order of safetensors' own writer.
///
/// # Errors
/// [`Error::Io`].
///
/// # Panics
/// If the number of a tensor's values is not that of its shape.
pub fn write_safetensors<'a, N: Into<String>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, &'a [usize], &'a [f32])>,
    carried: &[CarriedTensor],
) -> Result<()> {
    let floats = tensors.into_iter().map(|(name, shape, values)| {
        let name = name.into();
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: shape {shape:?}");
        TensorToWrite { name, dtype: Dtype::F32, shape, data: TensorData::Floats(values) }
    });
    let carried = carried.iter().map(|tensor| TensorToWrite {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        shape: &tensor.shape,
        data: TensorData::Bytes(&tensor.bytes),
    });
    let mut tensors: Vec<_> = floats.chain(carried).collect();
    // The widest types first: then each tensor is aligned to its type without any padding.
    tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let header = header(path, &tensors)?;

    write_atomically(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        tensors.iter().try_for_each(|tensor| tensor.data.write(writer))
    })
}

/// The header of a file with these tensors one after another.
fn header(path: &Path, tensors: &[TensorToWrite]) -> Result<Vec<u8>> {
    let mut end = 0;
    let infos = tensors.iter().map(|tensor| {
        let begin = end;
        end += tensor.data.size();
        let info = TensorInfo { dtype: tensor.dtype, shape: tensor.shape.to_vec(), data_offsets: (begin, end) };
        (tensor.name.clone(), info)
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let header = Metadata::new(Some(metadata), infos.collect()).map_err(|error| Error::format(path, FORMAT, error))?;
    let mut header = serde_json::to_vec(&header).map_err(|error| Error::format(path, FORMAT, error))?;
    // Spaces after the JSON align the data to eight bytes, as the format asks for.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

#[cfg(test)]
#[path = "tests/weights.rs"]
mod tests;
