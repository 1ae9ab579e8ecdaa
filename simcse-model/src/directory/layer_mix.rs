//! Which hidden states are pooled: the last layer's, or a weighted mean of several.
//!
//! sentence-transformers: `WeightedLayerPooling`, between the Transformer and the Pooling.

use std::path::Path;

use serde_json::{Value, json};
use simcse_tensor::Named;

use crate::directory::config::ModelConfig;
use crate::directory::pooling::{WIDTHS, require_width};
use crate::directory::weights::file::WeightsFile;
use crate::directory::weights::forms::SAFETENSORS;
use crate::directory::weights::write::write_safetensors;
use crate::error::Result;
use crate::io::json::JsonObject;

/// The module's only tensor.
const TENSOR: &str = "layer_weights";

/// Mixes of hidden states that have a name. Source: `Pooler` in `simcse/models.py` of
/// princeton-nlp/SimCSE, of which these are the `pooler_type`s, with mean pooling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PooledLayers {
    /// The output of the last layer.
    #[default]
    Last,
    /// The mean of the outputs of the last two layers; of a single layer, the mean of its output
    /// and the embeddings.
    AvgTop2,
    /// The mean of the outputs of the first and the last layer.
    AvgFirstLast,
}

impl Named for PooledLayers {
    const ALL: &'static [Self] = &[Self::Last, Self::AvgTop2, Self::AvgFirstLast];

    fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::AvgTop2 => "avg_top2",
            Self::AvgFirstLast => "avg_first_last",
        }
    }
}

impl PooledLayers {
    /// The mix of a model with this many layers; `None` for the last layer alone.
    ///
    /// # Panics
    /// If there are no layers.
    pub fn mix(self, layers: usize) -> Option<LayerMix> {
        let [first, last] = match self {
            Self::Last => return None,
            Self::AvgTop2 => [layers - 1, layers],
            Self::AvgFirstLast => [1, layers],
        };
        let mut weights = vec![0.0; layers + 1];
        weights[first] += 1.0;
        weights[last] += 1.0;
        Some(LayerMix { weights })
    }
}

/// A weighted mean of hidden states, `Σ_l w_l·h_l / Σ_l w_l`. The weights are not trained.
///
/// ```
/// use simcse_model::PooledLayers;
///
/// let mix = PooledLayers::AvgFirstLast.mix(12).unwrap();
/// assert_eq!(mix.terms().collect::<Vec<_>>(), [(1, 0.5), (12, 0.5)]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMix {
    /// `w` (layers + 1): of the embeddings, then of each layer's output. Their sum is not 0.
    weights: Vec<f32>,
}

impl LayerMix {
    /// The hidden states that count, and the share of each: 0 is the embeddings, `l` the output of
    /// layer `l`, counted from 1.
    pub fn terms(&self) -> impl Iterator<Item = (usize, f32)> {
        let sum: f32 = self.weights.iter().sum();
        let counts = self.weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
        counts.map(move |(state, weight)| (state, weight / sum))
    }

    /// The name of the mix, if it has one.
    pub fn name(&self) -> Option<&'static str> {
        let layers = self.weights.len() - 1;
        PooledLayers::ALL.iter().find(|named| named.mix(layers).as_ref() == Some(self)).map(|named| named.name())
    }

    /// Reads the module in `folder` of a Transformer whose configuration is in `transformer_json`.
    ///
    /// # Errors
    /// [`Error::Field`](crate::Error::Field) for sizes that are not the Transformer's;
    /// [`Error::Tensor`](crate::Error::Tensor).
    pub(super) fn read(folder: &Path, config: &ModelConfig, transformer_json: &JsonObject) -> Result<Self> {
        const STATES: &str = "output_hidden_states";
        if transformer_json.get(STATES) != Some(&json!(true)) {
            // sentence-transformers would silently pool the last layer alone.
            let expected = "true, because modules.json names a WeightedLayerPooling module";
            return Err(transformer_json.invalid(STATES, expected));
        }
        let json = JsonObject::read_required(&folder.join("config.json"), "modules.json names a module there")?;
        let known = ["layer_start", "num_hidden_layers"].into_iter().chain(WIDTHS);
        json.require_known(&known.collect::<Vec<_>>())?;
        require_width(&json, config.hidden_size)?;
        let layers = config.num_hidden_layers;
        // sentence-transformers' defaults.
        let stated = json.size("num_hidden_layers", 0..=usize::MAX)?.unwrap_or(12);
        if stated != layers {
            return Err(json.invalid("num_hidden_layers", layers));
        }
        let first = json.size("layer_start", 0..=layers)?.unwrap_or(4);

        let mut weights = vec![0.0; layers + 1];
        let counted = weights.get_mut(first..).ok_or_else(|| json.invalid("layer_start", layers))?;
        let mut file = WeightsFile::find(folder)?;
        let shape = [counted.len()];
        file.take(TENSOR, &shape, counted)?;
        let sum: f32 = weights.iter().sum();
        // A subnormal sum could make shares infinite.
        if !sum.is_normal() {
            return Err(file.error(TENSOR, "weights whose sum is not 0", sum));
        }
        file.finish()?;
        Ok(Self { weights })
    }

    /// The first hidden state that counts.
    fn first(&self) -> usize {
        self.weights.iter().position(|&weight| weight != 0.0).unwrap_or(0)
    }

    /// The module's `config.json`, as every version of sentence-transformers reads it.
    pub(super) fn to_json(&self, hidden_size: usize) -> Value {
        json!({
            "word_embedding_dimension": hidden_size,
            "layer_start": self.first(),
            "num_hidden_layers": self.weights.len() - 1,
        })
    }

    /// Writes the module's weights into `folder`, which exists.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub(super) fn write_weights(&self, folder: &Path) -> Result<()> {
        let weights = &self.weights[self.first()..];
        write_safetensors(&folder.join(SAFETENSORS), [(TENSOR, &[weights.len()][..], weights)], &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_mixes_are_those_of_their_authors() {
        let terms = |named: PooledLayers, layers| named.mix(layers).unwrap().terms().collect::<Vec<_>>();
        assert_eq!(PooledLayers::Last.mix(12), None);
        assert_eq!(terms(PooledLayers::AvgTop2, 12), [(11, 0.5), (12, 0.5)]);
        assert_eq!(terms(PooledLayers::AvgFirstLast, 6), [(1, 0.5), (6, 0.5)]);
        assert_eq!(terms(PooledLayers::AvgTop2, 1), [(0, 0.5), (1, 0.5)]);
        assert_eq!(terms(PooledLayers::AvgFirstLast, 1), [(1, 1.0)]);
        for named in [PooledLayers::AvgTop2, PooledLayers::AvgFirstLast] {
            assert_eq!(named.mix(5).unwrap().name(), Some(named.name()));
        }
        assert_eq!(LayerMix { weights: vec![0.0, 3.0, 1.0] }.name(), None);
    }
}
