//! The arithmetic that an encoder requires: each multiply-add of its matrix products counts as two
//! FLOP.
//!
//! Only real tokens count. What an implementation spends on padding, or on recomputing values, does
//! not. A backward pass requires twice the work of the forward pass, one product for the gradient
//! of each factor.

use std::ops::AddAssign;

use crate::directory::config::ModelConfig;

/// The FLOP of a forward pass, by kind.
///
/// ```
/// use simcse_model::{Architecture, ModelConfig, Work};
///
/// let config = ModelConfig::defaults(Architecture::DistilBert);
/// // 256 sentences of 15 tokens: a forward pass takes about a third of a TFLOP.
/// let work = Work::forward(&config, [15; 256]);
/// assert!(work.total() > 0.32e12 && work.total() < 0.34e12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Queries, keys and values, the attention output, and the feed-forward layers: `2·N·(4C² +
    /// 2C·F)` per layer; and `2·N·E·C` once if embeddings have a width `E` of their own.
    pub linear: f64,
    /// `Q·Kᵀ` and `P·V`: `2·2·C·Σ T²` per layer, where `T` is a sentence's number of tokens.
    pub attention: f64,
}

impl Work {
    /// A forward pass over sentences whose lengths in tokens are given.
    pub fn forward(config: &ModelConfig, lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut tokens = 0.0;
        let mut squares = 0.0;
        for t in lengths {
            tokens += t as f64;
            squares += (t * t) as f64;
        }
        let projection =
            config.embedding_size.filter(|&e| e != config.hidden_size).unwrap_or(0) as f64 * config.hidden_size as f64;
        let [layers, c, f] =
            [config.num_hidden_layers, config.hidden_size, config.intermediate_size].map(|size| size as f64);
        Self {
            linear: 2.0 * layers * tokens * (4.0 * c * c + 2.0 * c * f) + 2.0 * tokens * projection,
            attention: 2.0 * layers * 2.0 * squares * c,
        }
    }

    /// FLOP of all kinds.
    pub fn total(self) -> f64 {
        self.linear + self.attention
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.linear += other.linear;
        self.attention += other.attention;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;

    /// One product after another, in the order of a layer: rows × columns × depth.
    #[test]
    fn counts_the_products_of_a_layer() {
        let config = ModelConfig {
            vocab_size: 9,
            hidden_size: 4,
            num_hidden_layers: 3,
            num_attention_heads: 2,
            intermediate_size: 5,
            max_position_embeddings: 8,
            ..ModelConfig::defaults(Architecture::Bert)
        };
        let work = Work::forward(&config, [2, 3]);
        let tokens = 2 + 3;
        let linear = tokens * 12 * 4 + tokens * 4 * 4 + tokens * 5 * 4 + tokens * 4 * 5;
        // Two products (Q·Kᵀ and P·V), each by two heads of 2 columns.
        let attention = 2 * (2 * (2 * 2 * 2) + 2 * (3 * 3 * 2));
        let expected = [linear, attention].map(|products| f64::from(2 * 3 * products));
        assert_eq!([work.linear, work.attention], expected);
        assert_eq!(work.total(), expected.iter().sum::<f64>());
    }
}
