//! The tensors of a PyTorch state dict, once its pickle has been run.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::directory::weights::heap::{Heap, Storage, Value, View};
use crate::directory::weights::tensor::{Source, StoredTensor, checked_strides};
use crate::error::{Error, Result};

/// How many times as large as their file all tensors of a file may be together. Tensors that share
/// a storage are read once for each, so that a small file could take any amount of memory.
const MOST_SHARED: u64 = 4;

/// What is expected of the value of the pickle as a whole.
pub(crate) const FORMAT: &str = "a PyTorch file with a dictionary of tensors";

/// The table of the tensors in the dictionary `root`. `find` is where a storage begins in the
/// file, after checking that all of it is there.
///
/// # Errors
/// [`Error::Format`] if `root` is not a dictionary or if the tensors share too much;
/// [`Error::Tensor`] for a value that is not a tensor or not inside its storage; those of `find`.
pub(crate) fn tensors(
    source: &Arc<Source>,
    heap: &Heap,
    root: Value,
    mut find: impl FnMut(&Storage) -> Result<u64>,
) -> Result<BTreeMap<String, StoredTensor>> {
    let path = &source.path;
    let Value::Dict(dict) = root else {
        return Err(Error::format(path, FORMAT, kind(root)));
    };
    let mut tensors = BTreeMap::new();
    let mut bytes = 0_u64;
    for (key, value) in &heap.dicts[dict] {
        let Value::Text(name) = key else {
            return Err(Error::format(path, FORMAT, format_args!("{} as the name of a tensor", kind(*key))));
        };
        let Value::Tensor(view) = value else {
            return Err(Error::tensor(path, name, "a tensor", kind(*value)));
        };
        let view = &heap.views[*view];
        let stored = place(source, name, view, find(&view.storage)?)?;
        bytes = bytes.saturating_add((stored.values() * stored.dtype.bitsize() / 8) as u64);
        tensors.insert((*name).to_owned(), stored);
    }
    let length = source.file.metadata().map_err(Error::io(path))?.len();
    if bytes > MOST_SHARED.saturating_mul(length) {
        let found =
            format_args!("tensors of {bytes} bytes in a file of {length}, more than {MOST_SHARED} times as much");
        return Err(Error::format(path, FORMAT, found));
    }
    Ok(tensors)
}

/// A view of a storage that begins at `begin` in the file.
fn place(source: &Arc<Source>, name: &str, view: &View, begin: u64) -> Result<StoredTensor> {
    let Storage { dtype, length, .. } = view.storage;
    let strides = checked_strides(length, view.offset, &view.shape, &view.strides).ok_or_else(|| {
        let View { offset, shape, strides, .. } = view;
        let found = format!("shape {shape:?} with strides {strides:?} at {offset}");
        Error::tensor(&source.path, name, format_args!("a view of {length} values without overlap"), found)
    })?;
    Ok(StoredTensor {
        source: source.clone(),
        dtype,
        shape: view.shape.clone(),
        // An empty tensor may begin anywhere.
        begin: begin.saturating_add((view.offset as u64).saturating_mul(dtype.bitsize() as u64 / 8)),
        strides,
    })
}

fn kind(value: Value) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool(_) => "a boolean",
        Value::Int(_) => "a number",
        Value::Text(_) => "text",
        Value::Global(_) => "a class",
        Value::Tuple(..) => "a tuple",
        Value::List(_) => "a list",
        Value::Dict(_) => "a dictionary",
        Value::Storage(_) => "a storage",
        Value::Tensor(_) => "a tensor",
    }
}
