//! Weights on disk: those of the encoder in the file that sentence-transformers reads, and those of
//! a head next to it.

use std::path::Path;

use simcse_tensor::Parameter;

use crate::directory::ModelDirectory;
use crate::directory::weights::{CarriedTensor, WeightsFile, write_safetensors};
use crate::error::Result;
use crate::sentence_encoder::SentenceEncoder;

impl SentenceEncoder {
    /// A close upper bound on the bytes that [`save`](Self::save) writes.
    pub fn size_on_disk(&self) -> u64 {
        let carried: usize = self.carried.iter().map(CarriedTensor::size).sum();
        let weights = size_of_val(self.params.values()) + carried + 256 * self.params.layout().parameters().len();
        weights as u64 + self.directory.size_on_disk()
    }

    /// Writes a directory that sentence-transformers loads like its own. The head of masked
    /// language modeling, if there is one, gets a file of its own, which it does not read.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.directory.write(dir)?;
        let (encoder, head) = self.params.layout().parameters().split_at(self.encoder_parameters());
        write_safetensors(&ModelDirectory::weights_path(dir), self.tensors(encoder), &self.carried)?;
        if head.is_empty() {
            Ok(())
        } else {
            write_safetensors(&ModelDirectory::mlm_head_path(dir), self.tensors(head), &[])
        }
    }

    /// Gives the model the weights, and the head's if it has one, of a model that was saved from
    /// it.
    ///
    /// # Errors
    /// As [`WeightsFile`].
    pub fn load_weights(&mut self, dir: &Path) -> Result<()> {
        let layout = self.params.layout().clone();
        let (encoder, head) = layout.parameters().split_at(self.encoder_parameters());
        let files = [(ModelDirectory::weights_path(dir), encoder), (ModelDirectory::mlm_head_path(dir), head)];
        for (path, tensors) in files.iter().filter(|(_, tensors)| !tensors.is_empty()) {
            let mut weights = WeightsFile::read(path)?;
            for tensor in *tensors {
                weights.take(&tensor.name, &tensor.shape, &mut self.params.values_mut()[tensor.range()])?;
            }
        }
        Ok(())
    }

    /// Parameters with their values.
    fn tensors<'a>(&'a self, of: &'a [Parameter]) -> impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])> {
        of.iter().map(|tensor| (tensor.name.as_str(), &*tensor.shape, &self.params.values()[tensor.range()]))
    }
}
