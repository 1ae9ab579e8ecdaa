//! Writes `model.safetensors`.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use simcse_tensor::Named;

use crate::directory::weights::safetensors::FORMAT;
use crate::directory::weights::tensor::CHUNK;
use crate::error::{Error, Result};
use crate::io::files::write_atomically;

/// The type of the numbers that weights are written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightType {
    /// As they are.
    #[default]
    F32,
    /// Half precision, the nearest.
    F16,
}

impl Named for WeightType {
    const ALL: &'static [Self] = &[Self::F32, Self::F16];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

impl WeightType {
    /// What PyTorch calls it, and `dtype` in `config.json`.
    pub(crate) fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
        }
    }

    /// The first of these finite numbers that would become infinite.
    pub(crate) fn overflow(self, values: &[f32]) -> Option<f32> {
        let is_too_large = |value: &f32| value.is_finite() && f16::from_f32(*value).is_infinite();
        match self {
            Self::F32 => None,
            Self::F16 => values.iter().copied().find(is_too_large),
        }
    }
}

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
    /// Written in half precision.
    Halves(&'a [f32]),
    Bytes(&'a [u8]),
}

impl TensorData<'_> {
    fn size(&self) -> usize {
        match self {
            Self::Floats(values) => size_of_val(*values),
            Self::Halves(values) => values.len() * size_of::<f16>(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    fn write(&self, writer: &mut impl Write) -> std::io::Result<()> {
        match self {
            Self::Bytes(bytes) => writer.write_all(bytes),
            Self::Floats(values) => write_floats(writer, values),
            Self::Halves(values) => write_numbers(writer, values, |value| f16::from_f32(value).to_le_bytes()),
        }
    }
}

/// Writes numbers as little-endian bytes.
pub(crate) fn write_floats(writer: &mut impl Write, values: &[f32]) -> std::io::Result<()> {
    write_numbers(writer, values, f32::to_le_bytes)
}

fn write_numbers<const WIDTH: usize>(
    writer: &mut impl Write,
    values: &[f32],
    to_bytes: impl Fn(f32) -> [u8; WIDTH],
) -> std::io::Result<()> {
    values.chunks(CHUNK / WIDTH).try_for_each(|values| {
        let bytes: Vec<u8> = values.iter().flat_map(|&value| to_bytes(value)).collect();
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
    write_safetensors_as(WeightType::F32, path, tensors, carried)
}

/// [`write_safetensors`] with the tensors in the type of `weights`. Numbers that are too large for
/// it become infinite: [`WeightType::overflow`].
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_safetensors_as<'a, N: Into<String>>(
    weights: WeightType,
    path: &Path,
    tensors: impl IntoIterator<Item = (N, &'a [usize], &'a [f32])>,
    carried: &[CarriedTensor],
) -> Result<()> {
    let floats = tensors.into_iter().map(|(name, shape, values)| {
        let name = name.into();
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: shape {shape:?}");
        let (dtype, data) = match weights {
            WeightType::F32 => (Dtype::F32, TensorData::Floats(values)),
            WeightType::F16 => (Dtype::F16, TensorData::Halves(values)),
        };
        TensorToWrite { name, dtype, shape, data }
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
