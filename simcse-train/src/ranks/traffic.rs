//! What an exchange costs.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// What is exchanged in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The rows of embeddings that each rank encoded.
    Embeddings,
    /// Their gradient, summed over the examples of all ranks.
    EmbeddingGradients,
    /// The gradient of the parameters.
    Gradients,
}

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Embeddings, Self::EmbeddingGradients, Self::Gradients];

    /// Its name in those of the figures in `metrics.jsonl`.
    fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::EmbeddingGradients => "embedding_gradients",
            Self::Gradients => "gradients",
        }
    }
}

/// What this rank sent, and the time that it took, waiting for slower ranks included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic([(usize, Duration); Exchange::ALL.len()]);

impl Traffic {
    pub(super) fn add(&mut self, exchange: Exchange, bytes: usize, time: Duration) {
        let (sum, total) = &mut self.0[exchange as usize];
        *sum += bytes;
        *total += time;
    }

    /// Bytes sent to other ranks.
    #[must_use]
    pub fn bytes(&self, exchange: Exchange) -> usize {
        self.0[exchange as usize].0
    }

    /// Seconds spent.
    #[must_use]
    pub fn seconds(&self, exchange: Exchange) -> f64 {
        self.0[exchange as usize].1.as_secs_f64()
    }
}

/// Named figures: `exchange_<name>_bytes` and `exchange_<name>_seconds`.
impl Serialize for Traffic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Exchange::ALL.into_iter().flat_map(|exchange| {
            let figures = [("bytes", self.bytes(exchange) as f64), ("seconds", self.seconds(exchange))];
            figures.map(|(unit, figure)| (format!("exchange_{}_{unit}", exchange.name()), figure))
        }))
    }
}
