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
    /// 2C·F)` per layer, `3C·F` with a gate; and `2·N·E·C` once if embeddings have a width `E` of
    /// their own.
    pub linear: f64,
    /// `Q·Kᵀ` and `P·V`: `2·2·C` per layer for each query and key that it sees, `T²` for a sentence
    /// of `T` tokens that a layer sees as a whole.
    pub attention: f64,
}

impl Work {
    /// A forward pass over sentences whose lengths in tokens are given.
    pub fn forward(config: &ModelConfig, lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut tokens = 0.0;
        let mut seen = 0.0;
        for t in lengths {
            tokens += t as f64;
            let windows = (0..config.num_hidden_layers).map(|layer| config.window(layer));
            seen += windows.map(|window| keys_seen(t, window)).sum::<f64>();
        }
        let projection =
            config.embedding_size.filter(|&e| e != config.hidden_size).unwrap_or(0) as f64 * config.hidden_size as f64;
        let [layers, c, f, wide] =
            [config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.feed_forward_width()]
                .map(|size| size as f64);
        Self {
            linear: 2.0 * layers * tokens * (4.0 * c * c + c * (wide + f)) + 2.0 * tokens * projection,
            attention: 2.0 * 2.0 * seen * c,
        }
    }

    /// FLOP of all kinds.
    pub fn total(self) -> f64 {
        self.linear + self.attention
    }
}

/// The number of keys that the queries of a sentence of `t` tokens see together.
fn keys_seen(t: usize, window: Option<usize>) -> f64 {
    let farthest = window.unwrap_or(t).min(t.saturating_sub(1));
    // Each query sees itself; at a distance of d, t − d queries see a key on the one side, and as
    // many on the other.
    (t + farthest * (2 * t).saturating_sub(farthest + 1)) as f64
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

    #[test]
    fn a_window_has_the_keys_near_a_query() {
        for (tokens, window) in
            [(0, None), (1, Some(3)), (7, None), (7, Some(0)), (7, Some(2)), (7, Some(6)), (7, Some(9))]
        {
            let pairs = (0..tokens).flat_map(|i: usize| (0..tokens).map(move |j| i.abs_diff(j)));
            let seen = pairs.filter(|&distance| window.is_none_or(|window| distance <= window)).count();
            assert_eq!(keys_seen(tokens, window), seen as f64, "{tokens} tokens, {window:?}");
        }
    }
}
