//! The encoder's tensors in a file that may hold more.
//!
//! A file of the bare model names its tensors as transformers' `BertModel` and similar classes do
//! (`embeddings.…`, `encoder.layer.0.…`). A model with a head, or a wrapper that someone trained
//! with, puts a prefix in front of these names (`bert.`, `module.`, `0.auto_model.`) and adds
//! tensors of its own. This file finds the encoder among them, and lists the tensors that it left
//! out.

use std::path::PathBuf;

use simcse_tensor::Parameter;

use crate::directory::weights::file::WeightsFile;
use crate::directory::weights::write::CarriedTensor;
use crate::error::Result;
use crate::io::text::{excerpt, printable};

/// The heads of transformers' own classes, which no sentence encoder has. Leaving them out needs no
/// warning.
const HEADS: [&str; 13] = [
    "head.",
    "decoder.",
    "lm_head.",
    "cls.",
    "vocab_transform.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "pre_classifier.",
    "classifier.",
    "qa_outputs.",
    "discriminator_predictions.",
    "generator_predictions.",
    "generator_lm_head.",
];

/// Buffers of older versions of transformers, which are not weights and are written back unchanged.
const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// A weights file, and where in it the encoder is.
#[derive(Debug)]
pub(crate) struct EncoderTensors {
    file: WeightsFile,
    /// What the names of the encoder's tensors begin with; empty in the bare model.
    prefix: String,
}

/// What a file holds besides the encoder's tensors.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rest {
    /// The file, or the index of its shards.
    pub(crate) file: PathBuf,
    /// The buffers to write back, by their names in the bare model.
    pub(crate) carried: Vec<CarriedTensor>,
    /// The names, in the file, of the tensors that the encoder has no use for. Known heads are not
    /// listed.
    pub(crate) left_out: Vec<String>,
}

impl Rest {
    /// The warning, in one line, that tensors were left out.
    pub(crate) fn warning(&self) -> Option<String> {
        const NAMES: usize = 4;
        const NAME: usize = 100;
        let names: Vec<_> = self.left_out.iter().take(NAMES).map(|name| excerpt(name, NAME)).collect();
        let mut names = names.join(", ");
        let (count, plural) = match self.left_out.len() {
            0 => return None,
            1 => (1, ""),
            count => (count, "s"),
        };
        if count > NAMES {
            names += ", …";
        }
        let file = printable(self.file.display());
        Some(format!("{file}: left out {count} tensor{plural} that the encoder does not use: {names}"))
    }
}

impl EncoderTensors {
    /// Finds the encoder, given the table of the parameters that it needs: they all must be in the
    /// file, in their shapes, under exactly one prefix.
    ///
    /// Prefixes are not looked up in a list, because wrappers call their encoder whatever they
    /// like. The names below the prefix are unmistakable: a bare model's own `encoder.layer.…` does
    /// not pass for a wrapper's `encoder.`, because no `encoder.embeddings.…` comes with it.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) for the first parameter that is missing or not as
    /// the configuration says, or if there are several encoders.
    pub(crate) fn find(file: WeightsFile, needed: &[Parameter]) -> Result<Self> {
        let Some(first) = needed.first() else {
            return Ok(Self { file, prefix: String::new() });
        };
        let candidates = file.names().filter_map(|name| name.strip_suffix(first.name.as_str()));
        let candidates = candidates.filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
        // A search ends at the first parameter that is missing. So all searches together take no
        // longer than the file is long, even if every tensor in it is the beginning of an encoder.
        let found = |prefix: &str| needed.iter().take_while(|tensor| fits(&file, prefix, tensor)).count();
        let found: Vec<(&str, usize)> = candidates.map(|prefix| (prefix, found(prefix))).collect();

        let complete: Vec<&str> =
            found.iter().filter(|(_, count)| *count == needed.len()).map(|(prefix, _)| *prefix).collect();
        if let [_, _, ..] = complete[..] {
            let several: Vec<_> = complete.iter().take(3).map(|prefix| format!("{prefix}{}", first.name)).collect();
            return Err(file.error(&several.join(", "), "one encoder in the file", complete.len()));
        }
        // Without a complete encoder, the error is about the most complete one.
        let prefix = found.iter().max_by_key(|(_, count)| *count).map_or("", |(prefix, _)| *prefix).to_owned();
        let encoder = Self { file, prefix };
        needed.iter().try_for_each(|tensor| encoder.check(&tensor.name, &tensor.shape))?;
        Ok(encoder)
    }

    /// Whether the tensor that the bare model calls `name` can be taken in this shape.
    pub(crate) fn has(&self, name: &str, shape: &[usize]) -> bool {
        self.check(name, shape).is_ok()
    }

    /// [`WeightsFile::check`] for the tensor that the bare model calls `name`.
    fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        self.file.check(&self.stored_name(name)?, shape)
    }

    /// The name in the file of the tensor that the bare model calls `name`, or would have if it
    /// existed.
    fn stored_name(&self, name: &str) -> Result<String> {
        match &mut stored_names(&self.file, &self.prefix, name)[..] {
            [] => Ok(format!("{}{name}", self.prefix)),
            [stored] => Ok(std::mem::take(stored)),
            several => Err(self.file.error(&several.join(", "), "one tensor", "two names of the same")),
        }
    }

    /// [`WeightsFile::take`] for the tensor that the bare model calls `name`.
    ///
    /// # Errors
    /// Those of [`WeightsFile::take`].
    ///
    /// # Panics
    /// If the length of `out` is not that of `shape`.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        self.file.take(&self.stored_name(name)?, shape, out)
    }

    /// Whether there is a tensor `name` of a head.
    pub(crate) fn has_head(&self, name: &str) -> bool {
        self.head_name(name).is_some()
    }

    /// [`WeightsFile::take`] for a tensor of a head.
    ///
    /// # Errors
    /// Those of [`WeightsFile::take`].
    ///
    /// # Panics
    /// If the length of `out` is not that of `shape`.
    pub(crate) fn take_head(&mut self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        let stored = self.head_name(name).unwrap_or_else(|| name.to_owned());
        self.file.take(&stored, shape, out)
    }

    /// The name in the file of a head's tensor, next to the encoder or further up.
    fn head_name(&self, name: &str) -> Option<String> {
        let mut above = self.prefixes_above().map(|prefix| stored_names(&self.file, prefix, name));
        above.find_map(|names| names.into_iter().next())
    }

    /// The encoder's prefix, and those of the modules that it is in, the outermost first.
    fn prefixes_above(&self) -> impl Iterator<Item = &str> {
        let ends = std::iter::once(0).chain(self.prefix.match_indices('.').map(|(dot, _)| dot + 1));
        ends.map(|end| &self.prefix[..end])
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub(crate) fn finish(mut self) -> Result<Rest> {
        let names: Vec<String> = self.file.names().map(str::to_owned).collect();
        let mut rest = Rest { file: self.file.path().to_owned(), ..Rest::default() };
        for name in names {
            let bare = name.strip_prefix(&self.prefix).filter(|bare| BUFFERS.contains(bare));
            if let Some(bare) = bare {
                rest.carried.push(self.file.carry(&name)?.renamed(bare));
            } else if !self.is_known_head(&name) {
                rest.left_out.push(name);
            }
        }
        Ok(rest)
    }

    /// Whether `name` is of a known head. The head is next to the encoder or further up: with the
    /// encoder in `module.bert.`, its name begins with `module.bert.cls.`, `module.cls.`, or
    /// `cls.`.
    fn is_known_head(&self, name: &str) -> bool {
        let mut below = self.prefixes_above().filter_map(|prefix| name.strip_prefix(prefix));
        below.any(|below| HEADS.iter().any(|head| below.starts_with(head)))
    }
}

/// The names under which a file stores what the bare model calls `name`. LayerNorm's parameters
/// have their names from TensorFlow, `gamma` and `beta`, in files that were converted from there.
fn stored_names(file: &WeightsFile, prefix: &str, name: &str) -> Vec<String> {
    let old_name = match name.rsplit_once('.') {
        Some((module, "weight")) if module.ends_with("LayerNorm") => Some(format!("{prefix}{module}.gamma")),
        Some((module, "bias")) if module.ends_with("LayerNorm") => Some(format!("{prefix}{module}.beta")),
        _ => None,
    };
    let names = [Some(format!("{prefix}{name}")), old_name];
    names.into_iter().flatten().filter(|name| file.contains(name)).collect()
}

/// Whether a file has a parameter, in its shape, under a prefix.
fn fits(file: &WeightsFile, prefix: &str, parameter: &Parameter) -> bool {
    let stored = stored_names(file, prefix, &parameter.name);
    stored.iter().any(|stored| file.shape(stored) == Some(&parameter.shape))
}

#[cfg(test)]
#[path = "tests/encoder_tensors.rs"]
mod tests;
