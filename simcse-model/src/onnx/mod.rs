//! Models for ONNX Runtime: the encoder as a graph, in a directory that sentence-transformers loads
//! with `SentenceTransformer(directory, backend="onnx")`.
//!
//! The graph is made from the same encoder that computes embeddings here: its parameters and its
//! row in the table of families. Inputs, output and their dimensions have the names that optimum
//! gives them. Pooling and what follows it stay modules of sentence-transformers.
//!
//! This room knows the encoder's parts, and files. It must not know losses or runs.

mod distances;
mod encoder;
mod file;
mod graph;
mod messages;

use std::path::{Path, PathBuf};

use crate::directory::weights::write::WeightType;
use crate::error::{Error, Result};
use crate::io::files::{create_directory, directory_atomically};
use crate::onnx::encoder::EncoderGraph;
use crate::sentence_encoder::SentenceEncoder;

/// Where sentence-transformers looks for the graph.
const FOLDER: &str = "onnx";
const FILE: &str = "model.onnx";
/// What optimum calls the last hidden states.
const OUTPUT: &str = "last_hidden_state";

impl SentenceEncoder {
    /// The version of ONNX's operators that [`export_onnx`](Self::export_onnx) uses.
    pub const ONNX_OPSET: i64 = file::OPSET;

    /// Writes a directory that `SentenceTransformer(dir, backend="onnx")` loads like its own, and
    /// returns the path of the graph: `onnx/model.onnx`, with all weights of the encoder. Where
    /// that would have more than 2 GiB, they are in `onnx/model.onnx_data`.
    ///
    /// A mix of hidden states becomes part of the graph, because ONNX Runtime's models return no
    /// others than the last; the directory then has no module for it.
    ///
    /// The directory appears complete or not at all.
    ///
    /// # Errors
    /// As [`check_export`](Self::check_export); [`Error::Io`].
    pub fn export_onnx(mut self, dir: &Path) -> Result<PathBuf> {
        Self::check_export(dir)?;
        let mix = self.directory.layer_mix.take();
        directory_atomically(
            dir,
            |path, error| Error::io(path)(error),
            |partial| {
                self.directory.write(partial)?;
                self.save_dense(partial, WeightType::F32)?;
                self.write_card(partial, "ONNX Runtime", ", backend=\"onnx\"")?;
                let folder = partial.join(FOLDER);
                create_directory(&folder).map_err(Error::io(&folder))?;
                let (graph, hidden) = EncoderGraph::build(&self.network.encoder, mix.as_ref(), &self.params);
                let (graph, tensors) = graph.finish(hidden, OUTPUT, self.config().hidden_size);
                file::write(&folder.join(FILE), &graph, tensors, file::LARGEST)
            },
        )?;
        Ok(dir.join(FOLDER).join(FILE))
    }
}

#[cfg(test)]
#[path = "tests/onnx.rs"]
mod tests;
