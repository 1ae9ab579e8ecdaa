//! The weights of a model, in whatever files they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use crate::directory::weights::forms::{ANY_FORM, Form, SAFETENSORS, choose, shards};
use crate::directory::weights::pickle::MAX_PICKLE;
use crate::directory::weights::pytorch::read as read_pytorch;
use crate::directory::weights::safetensors::{MAX_HEADER, read as read_safetensors};
use crate::directory::weights::tensor::StoredTensor;
use crate::directory::weights::write::CarriedTensor;
use crate::error::{Error, Result};
use crate::io::files::open_regular;

/// Open weights, some of whose tensors have not been taken yet.
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
    /// The tensors that have not been taken, by name.
    tensors: BTreeMap<String, StoredTensor>,
}

impl WeightsFile {
    /// Opens the weights in `path` and reads what tensors there are. What kind of file it is, the
    /// name decides, as in transformers: `.bin` is one of PyTorch, `.index.json` lists shards, and
    /// everything else is safetensors.
    ///
    /// # Errors
    /// [`Error::Missing`] if the file or a shard does not exist; [`Error::Format`];
    /// [`Error::Field`] in an index; [`Error::Tensor`] for what is not a tensor, or not where the
    /// index says; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let mut room = Room { header: MAX_HEADER, pickle: MAX_PICKLE };
        if Form::of(path) != Form::Index {
            let advice = || format!("a model directory holds its weights as {ANY_FORM}");
            return Ok(Self { path: path.to_path_buf(), tensors: room.read(path, advice)? });
        }
        let mut tensors = BTreeMap::new();
        for (shard, names) in shards(path)? {
            let found = room.read(&shard, || format!("{} lists it", path.display()))?;
            if let Some(name) = names.iter().find(|name| !found.contains_key(*name)) {
                return Err(Error::tensor(&shard, name, "a tensor, as the index says", "no such tensor"));
            }
            if let Some(name) = found.keys().find(|name| tensors.contains_key(*name)) {
                return Err(Error::tensor(&shard, name, "each tensor in one shard", "another of this name"));
            }
            tensors.extend(found);
        }
        Ok(Self { path: path.to_path_buf(), tensors })
    }

    /// Opens the weights in a model's directory: the first that exists of `model.safetensors`,
    /// `model.safetensors.index.json`, `pytorch_model.bin` and `pytorch_model.bin.index.json`, as
    /// in transformers.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none; those of [`WeightsFile::read`].
    pub fn find(dir: &Path) -> Result<Self> {
        Self::read(&dir.join(choose(|name| dir.join(name).exists()).unwrap_or(SAFETENSORS)))
    }

    /// The file, or the index of its shards.
    pub fn path(&self) -> &Path {
        &self.path
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
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// Checks that the tensor `name` can be taken in this shape, without reading it. Check before
    /// allocating memory for the sizes that a configuration claims.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing, has another shape, or is not of a floating-point type
    /// that can be read.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(self.error(name, format_args!("shape {shape:?}"), "no such tensor"));
        };
        if tensor.shape != shape {
            let found = format_args!("shape {:?}", tensor.shape);
            return Err(Error::tensor(&tensor.source.path, name, format_args!("shape {shape:?}"), found));
        }
        match tensor.dtype {
            Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
            other => Err(Error::tensor(
                &tensor.source.path,
                name,
                "type F64, F32, F16 or BF16",
                format_args!("type {other}"),
            )),
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
        let Some(tensor) = self.tensors.remove(name) else {
            return Ok(());
        };
        tensor.read(out)?;
        match out.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(Error::tensor(&tensor.source.path, name, "finite values", value)),
            None => Ok(()),
        }
    }

    /// Reads the tensor `name` as it is. It cannot be taken again.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is missing, [`Error::Io`].
    pub(crate) fn carry(&mut self, name: &str) -> Result<CarriedTensor> {
        let Some(tensor) = self.tensors.remove(name) else {
            return Err(self.error(name, "a tensor", "no such tensor"));
        };
        let bytes = tensor.read_bytes()?;
        Ok(CarriedTensor { name: name.to_owned(), dtype: tensor.dtype, shape: tensor.shape, bytes })
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

    /// The error that the tensor `name` is not what was expected.
    pub(crate) fn error(&self, name: &str, expected: impl ToString, found: impl ToString) -> Error {
        Error::tensor(&self.path, name, expected, found)
    }
}

/// How many bytes of headers and pickles may be read in all shards together: what they describe is
/// in memory, and takes more than they do.
struct Room {
    header: u64,
    pickle: u64,
}

impl Room {
    fn read(&mut self, path: &Path, advice: impl FnOnce() -> String) -> Result<BTreeMap<String, StoredTensor>> {
        let file = open_regular(path)?;
        let file = file.ok_or_else(|| Error::Missing { file: path.to_path_buf(), advice: advice() })?;
        match Form::of(path) {
            Form::PyTorch => read_pytorch(path, file, &mut self.pickle),
            Form::Safetensors | Form::Index => read_safetensors(path, file, &mut self.header),
        }
    }
}

#[cfg(test)]
#[path = "tests/file.rs"]
mod tests;
