//! Writes `model.safetensors`.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::directory::weights::safetensors::FORMAT;
use crate::directory::weights::tensor::CHUNK;
use crate::error::{Error, Result};
use crate::io::files::write_atomically;

/// A tensor that is written back byte for byte.
#[derive(Clone, Debug, PartialEq)]
pub struct CarriedTensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
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
            Self::Floats(values) => write_floats(writer, values),
        }
    }
}

/// Writes numbers as little-endian bytes.
pub(crate) fn write_floats(writer: &mut impl Write, values: &[f32]) -> std::io::Result<()> {
    values.chunks(CHUNK / size_of::<f32>()).try_for_each(|values| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        writer.write_all(&bytes)
    })
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
