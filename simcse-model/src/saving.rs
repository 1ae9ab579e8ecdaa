//! Weights on disk: those of the encoder and of dense layers in the files that
//! sentence-transformers reads, others next to them.

use std::path::Path;
use std::sync::Arc;

use simcse_tensor::{Layout, Parameter};

use crate::directory::ModelDirectory;
use crate::directory::dense::{BIAS, WEIGHT, take_weights};
use crate::directory::weights::file::WeightsFile;
use crate::directory::weights::write::{CarriedTensor, WeightType, write_safetensors, write_safetensors_as};
use crate::error::Result;
use crate::sentence_encoder::SentenceEncoder;

impl SentenceEncoder {
    /// A close upper bound on the bytes that [`save`](Self::save) writes.
    pub fn size_on_disk(&self) -> u64 {
        let carried: usize = self.rest.carried.iter().map(CarriedTensor::size).sum();
        let weights = size_of_val(self.params.values()) + carried + 256 * self.params.layout().parameters().len();
        weights as u64 + self.directory.size_on_disk()
    }

    /// Writes a directory that sentence-transformers loads like its own. The head of masked
    /// language modeling, if there is one, gets a file of its own, which it does not read.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.write(dir, WeightType::F32)
    }

    /// What [`save`](Self::save) writes, with weights of another type. Those of a mix of layers,
    /// one for each layer, stay f32.
    pub(crate) fn write(&self, dir: &Path, weights: WeightType) -> Result<()> {
        self.directory.write_with(dir, weights)?;
        let encoder = &self.layout().parameters()[..self.network.encoder_tensors];
        let path = ModelDirectory::weights_path(dir);
        write_safetensors_as(weights, &path, self.named(encoder), &self.rest.carried)?;
        self.save_dense(dir, weights)?;
        match &self.layout().parameters()[self.network.head_tensors.clone()] {
            [] => Ok(()),
            head => write_safetensors_as(weights, &ModelDirectory::mlm_head_path(dir), self.named(head), &[]),
        }
    }

    /// Writes the weights of the dense layers into the directory that
    /// [`ModelDirectory::write`] wrote.
    pub(crate) fn save_dense(&self, dir: &Path, weights: WeightType) -> Result<()> {
        for (layer, path) in self.network.dense.iter().zip(self.directory.dense_weights_paths(dir)) {
            let bias = layer.bias.map(|bias| (BIAS, vec![bias.rows()], self.params.slice(bias)));
            let weight = (WEIGHT, vec![layer.weight.rows(), layer.weight.cols()], self.params.slice(layer.weight));
            let tensors: Vec<_> = [weight].into_iter().chain(bias).collect();
            let tensors = tensors.iter().map(|(name, shape, values)| (*name, &shape[..], *values));
            write_safetensors_as(weights, &path, tensors, &[])?;
        }
        Ok(())
    }

    /// Reads the weights of the same model from a directory that [`save`](Self::save) wrote. The
    /// layer for training alone keeps its own.
    ///
    /// # Errors
    /// As [`WeightsFile::take`].
    pub fn load_weights(&mut self, dir: &Path) -> Result<()> {
        let mut weights = WeightsFile::read(&ModelDirectory::weights_path(dir))?;
        let layout = self.layout().clone();
        for tensor in &layout.parameters()[..self.network.encoder_tensors] {
            weights.take(&tensor.name, &tensor.shape, &mut self.params.values_mut()[tensor.range()])?;
        }
        for (layer, path) in self.network.dense.iter().zip(self.directory.dense_weights_paths(dir)) {
            take_weights(WeightsFile::read(&path)?, layer.weight, layer.bias, &mut self.params)?;
        }
        if self.network.mlm_head.is_some() {
            self.load_mlm_head(dir)?;
        }
        Ok(())
    }

    /// Reads the head of masked language modeling from a directory that [`save`](Self::save) wrote.
    pub(crate) fn load_mlm_head(&mut self, dir: &Path) -> Result<()> {
        let mut weights = WeightsFile::read(&ModelDirectory::mlm_head_path(dir))?;
        let layout = self.layout().clone();
        for tensor in &layout.parameters()[self.network.head_tensors.clone()] {
            weights.take(&tensor.name, &tensor.shape, &mut self.params.values_mut()[tensor.range()])?;
        }
        weights.finish()
    }

    /// Writes the layer for training alone as a safetensors file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn save_training_mlp(&self, path: &Path) -> Result<()> {
        write_safetensors(path, self.named(self.training_mlp_tensors()), &[])
    }

    /// Reads the layer for training alone back.
    ///
    /// # Errors
    /// As [`WeightsFile`], if the file does not hold this layer.
    pub fn load_training_mlp(&mut self, path: &Path) -> Result<()> {
        let mut weights = WeightsFile::read(path)?;
        for tensor in self.training_mlp_tensors().to_vec() {
            weights.take(&tensor.name, &tensor.shape, &mut self.params.values_mut()[tensor.range()])?;
        }
        weights.finish()
    }

    /// The tensors of the layer for training alone.
    fn training_mlp_tensors(&self) -> &[Parameter] {
        &self.layout().parameters()[self.network.mlp_tensors.clone()]
    }

    fn layout(&self) -> &Arc<Layout> {
        self.params.layout()
    }

    /// Tensors with their names, shapes and values.
    fn named<'a>(&'a self, tensors: &'a [Parameter]) -> impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])> {
        tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice(), &self.params.values()[tensor.range()]))
    }
}
