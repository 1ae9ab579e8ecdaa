//! The files that a model's weights may be in, and the index that lists shards.
//!
//! Source: transformers' `PreTrainedModel.from_pretrained` and `get_checkpoint_shard_files`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::io::json::JsonObject;

/// The one file that is written.
pub(crate) const SAFETENSORS: &str = "model.safetensors";
/// The names under which weights are looked for; the first one that exists is read.
pub(crate) const FORMS: [&str; 4] =
    [SAFETENSORS, "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// The same for the weights of a sentence-transformers module: `Module.load_torch_weights`.
pub(crate) const MODULE_FORMS: [&str; 2] = [SAFETENSORS, "pytorch_model.bin"];
/// [`FORMS`] in words.
pub(crate) const ANY_FORM: &str = "model.safetensors or pytorch_model.bin, or either's .index.json with its shards";

const INDEX: &str = ".index.json";
/// The field of an index that says which tensor is in which shard.
const MAP: &str = "weight_map";
/// The most shards, all of which are open at once.
const MAX_SHARDS: usize = 256;

/// What kind of file a name stands for, as in transformers, which does not look inside either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    Safetensors,
    PyTorch,
    Index,
}

impl Form {
    /// The form of a file with this name.
    pub(crate) fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(INDEX) {
            Self::Index
        } else if name.ends_with(".bin") {
            Self::PyTorch
        } else {
            Self::Safetensors
        }
    }
}

/// The first of [`FORMS`] that `has` has.
pub(crate) fn choose(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    FORMS.into_iter().find(|name| has(name))
}

/// The shards that an index lists, next to it, each with the names of its tensors. A file that is
/// not an index has none.
///
/// # Errors
/// [`Error::Missing`], [`Error::Format`], [`Error::Field`]: an index that cannot be read, or that
/// names a file elsewhere or of another kind.
pub(crate) fn shards(path: &Path) -> Result<BTreeMap<PathBuf, Vec<String>>> {
    let mut shards: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    if Form::of(path) != Form::Index {
        return Ok(shards);
    }
    let index = JsonObject::read_required(path, "expected the index of the model's shards")?;
    let map = index.get(MAP).and_then(Value::as_object).filter(|map| !map.is_empty());
    let map = map.ok_or_else(|| index.invalid(MAP, "an object from names of tensors to names of files"))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let form = Form::of(Path::new(name.trim_end_matches(INDEX)));
    for (tensor, file) in map {
        let shard = file.as_str().filter(|file| is_plain(file) && Form::of(Path::new(file)) == form);
        let expected = if form == Form::PyTorch { "a .bin file" } else { "a .safetensors file" };
        let shard = shard.ok_or_else(|| {
            Error::field(path, &format!("{MAP}.{tensor}"), format_args!("the name of {expected} next to it"), file)
        })?;
        shards.entry(path.with_file_name(shard)).or_default().push(tensor.clone());
        if shards.len() > MAX_SHARDS {
            return Err(Error::field(path, MAP, format_args!("at most {MAX_SHARDS} files"), "more"));
        }
    }
    Ok(shards)
}

/// Whether a name cannot lead out of its directory.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}
