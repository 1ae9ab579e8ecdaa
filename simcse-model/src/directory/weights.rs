//! `model.safetensors`: checkpoint tensors in, checkpoint tensors out.
//!
//! Names are those of the bare model (`embeddings.…`), whatever the checkpoint's head put before them. Only the header is
//! kept in memory: a tensor is read, converted to f32 and checked when it is taken.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::{Error, Result};
use crate::io::files::{open_regular, write_atomically};

/// What a model with a head puts before the encoder's names.
const PREFIXES: [&str; 3] = ["bert.", "roberta.", "distilbert."];

/// Heads, which no sentence encoder has.
const HEADS: [&str; 8] = [
    "lm_head.",
    "cls.",
    "vocab_transform.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "pre_classifier.",
    "classifier.",
    "qa_outputs.",
];

/// Buffers of older transformers versions, which hold no weights and are written back as they came.
const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

const FORMAT: &str = "a safetensors file";
/// The longest header that is read, some twenty thousand tensors; parsed, it takes up to thirty times as many bytes.
const MAX_HEADER: u64 = 2 << 20;
/// Bytes converted at a time.
const CHUNK: usize = 1 << 20;

/// An open `model.safetensors` whose tensors have not all been taken yet.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    file: File,
    /// Where the tensors' bytes begin.
    data: u64,
    /// By bare name; heads left out.
    tensors: BTreeMap<String, TensorInfo>,
}

/// A buffer of the base model, written back byte for byte.
#[derive(Clone, Debug, PartialEq)]
pub struct CarriedTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl CarriedTensor {
    /// Its bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl WeightsFile {
    /// Opens a `model.safetensors` and reads its header.
    ///
    /// # Errors
    /// [`Error::Missing`] with the way out if there are only other kinds of weights beside `path`, [`Error::Format`],
    /// [`Error::Tensor`] if two names mean the same tensor.
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
        let data = 8 + header_length;
        let expected = data.saturating_add(header.data_len() as u64);
        if expected != length {
            let found = format_args!("{length} bytes where the header calls for {expected}");
            return Err(Error::format(path, FORMAT, found));
        }

        let mut weights = Self { path: path.to_path_buf(), file, data, tensors: BTreeMap::new() };
        for (name, info) in header.tensors() {
            let name = bare_name(&name);
            if HEADS.iter().any(|head| name.starts_with(head)) {
                continue;
            }
            if weights.tensors.insert(name.clone(), info.clone()).is_some() {
                return Err(weights.error(&name, "one tensor of this name", "two"));
            }
        }
        Ok(weights)
    }

    /// Whether the file has the tensor `name` and it has not been taken.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Checks that `name` can be taken in this shape, without reading it: before memory is set aside for what a
    /// configuration claims.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing, has another shape, or is not f32, f16 or bf16.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let Some(info) = self.tensors.get(name) else {
            return Err(self.error(name, format_args!("shape {shape:?}"), "no such tensor"));
        };
        if info.shape != shape {
            let found = format_args!("shape {:?}", info.shape);
            return Err(self.error(name, format_args!("shape {shape:?}"), found));
        }
        match info.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
            other => Err(self.error(name, "type F32, F16 or BF16", format_args!("type {other}"))),
        }
    }

    /// Reads the tensor `name` into `out` as f32, row-major, and strikes it off the list.
    ///
    /// # Errors
    /// As [`WeightsFile::check`]; also [`Error::Tensor`] for a value that is not finite, and [`Error::Io`].
    ///
    /// # Panics
    /// If `out` does not have `shape`'s length.
    pub fn take(&mut self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        assert_eq!(shape.iter().product::<usize>(), out.len(), "{name}: shape {shape:?}");
        self.check(name, shape)?;
        let Some(info) = self.tensors.remove(name) else {
            return Ok(());
        };
        self.seek(&info)?;

        let width = info.dtype.bitsize() / 8;
        let mut bytes = vec![0; CHUNK.min(out.len() * width)];
        for values in out.chunks_mut(CHUNK / width) {
            let bytes = &mut bytes[..values.len() * width];
            self.file.read_exact(bytes).map_err(Error::io(&self.path))?;
            match info.dtype {
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

    /// Ends the reading: every tensor has been taken but the buffers, which are returned.
    ///
    /// # Errors
    /// [`Error::Tensor`] if any other tensor is left over, [`Error::Io`].
    pub fn finish(mut self) -> Result<Vec<CarriedTensor>> {
        let (buffers, unknown): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.tensors).into_iter().partition(|(name, _)| BUFFERS.contains(&name.as_str()));
        if !unknown.is_empty() {
            let some: Vec<_> = unknown.iter().take(3).map(|(name, _)| name.as_str()).collect();
            let found = format_args!("{} that it does not have", unknown.len());
            return Err(self.error(&some.join(", "), "only the tensors of the configured model", found));
        }
        buffers.into_iter().map(|(name, info)| self.carry(name, info)).collect()
    }

    fn carry(&mut self, name: String, info: TensorInfo) -> Result<CarriedTensor> {
        self.seek(&info)?;
        let (begin, end) = info.data_offsets;
        let mut bytes = vec![0; end - begin]; // inside the file, by the check of its length
        self.file.read_exact(&mut bytes).map_err(Error::io(&self.path))?;
        Ok(CarriedTensor { name, dtype: info.dtype, shape: info.shape, bytes })
    }

    fn seek(&mut self, info: &TensorInfo) -> Result<()> {
        let begin = self.data + info.data_offsets.0 as u64;
        self.file.seek(SeekFrom::Start(begin)).map(drop).map_err(Error::io(&self.path))
    }

    fn error(&self, name: &str, expected: impl ToString, found: impl ToString) -> Error {
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

/// `bert.embeddings.LayerNorm.gamma` is `embeddings.LayerNorm.weight`.
fn bare_name(name: &str) -> String {
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    match name.rsplit_once('.') {
        Some((module, "gamma")) => format!("{module}.weight"),
        Some((module, "beta")) => format!("{module}.bias"),
        _ => name.to_owned(),
    }
}

/// What else is often found under the name `model.safetensors`; as the length of a header its first bytes would be absurd.
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

/// There is no `path`: what there is beside it says what to do.
fn missing(path: &Path) -> Error {
    let beside = |name: &str| path.with_file_name(name).exists();
    let advice = if beside("model.safetensors.index.json") {
        "the weights are in several files (model.safetensors.index.json); save them as one with transformers: \
         AutoModel.from_pretrained(DIR).save_pretrained(DIR, max_shard_size=\"100GB\")"
    } else if beside("pytorch_model.bin") || beside("pytorch_model.bin.index.json") {
        "there is only pytorch_model.bin; convert it with transformers: \
         AutoModel.from_pretrained(DIR).save_pretrained(DIR, safe_serialization=True)"
    } else {
        "a model directory holds its weights as model.safetensors"
    };
    Error::Missing { file: path.to_path_buf(), advice: advice.to_owned() }
}

/// Writes f32 tensors (name, shape, row-major values) and the carried buffers as a safetensors file with the metadata
/// `{"format": "pt"}`, in the order of safetensors' own writer.
///
/// # Errors
/// [`Error::Io`].
///
/// # Panics
/// If a tensor's values do not have its shape's length.
pub fn write_safetensors<'a, N: Into<String>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, &'a [usize], &'a [f32])>,
    carried: &[CarriedTensor],
) -> Result<()> {
    enum Data<'a> {
        Floats(&'a [f32]),
        Bytes(&'a [u8]),
    }
    let floats = tensors.into_iter().map(|(name, shape, values)| {
        let name = name.into();
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: shape {shape:?}");
        (name, Dtype::F32, shape, Data::Floats(values))
    });
    let buffers = carried
        .iter()
        .map(|buffer| (buffer.name.clone(), buffer.dtype, buffer.shape.as_slice(), Data::Bytes(&buffer.bytes)));
    let mut tensors: Vec<_> = floats.chain(buffers).collect();
    tensors.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0))); // widest types first, so all are aligned

    let mut end = 0;
    let mut infos = Vec::with_capacity(tensors.len());
    for (name, dtype, shape, data) in &tensors {
        let begin = end;
        end += match data {
            Data::Floats(values) => size_of_val(*values),
            Data::Bytes(bytes) => bytes.len(),
        };
        let info = TensorInfo { dtype: *dtype, shape: shape.to_vec(), data_offsets: (begin, end) };
        infos.push((name.clone(), info));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let header = Metadata::new(Some(metadata), infos).map_err(|error| Error::format(path, FORMAT, error))?;
    let mut header = serde_json::to_vec(&header).map_err(|error| Error::format(path, FORMAT, error))?;
    header.resize(header.len().next_multiple_of(8), b' ');

    write_atomically(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for (.., data) in &tensors {
            match data {
                Data::Bytes(bytes) => writer.write_all(bytes)?,
                Data::Floats(values) => {
                    for values in values.chunks(CHUNK / 4) {
                        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                        writer.write_all(&bytes)?;
                    }
                }
            }
        }
        Ok(())
    })
}

#[cfg(test)]
#[path = "tests/weights.rs"]
mod tests;
