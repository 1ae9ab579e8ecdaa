//! What an exchange costs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

/// What this rank sent, and the time that it took, waiting for slower ranks included. Of that, the
/// rank could compute meanwhile unless it `waited`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    exchanges: [(usize, Duration); Exchange::ALL.len()],
    waited: Duration,
}

impl Traffic {
    /// Bytes sent to other ranks.
    #[must_use]
    pub fn bytes(&self, exchange: Exchange) -> usize {
        self.exchanges[exchange as usize].0
    }

    /// Seconds from its beginning to its end.
    #[must_use]
    pub fn seconds(&self, exchange: Exchange) -> f64 {
        self.exchanges[exchange as usize].1.as_secs_f64()
    }

    /// Seconds in which exchanges of any kind kept the rank from computing.
    #[must_use]
    pub fn waited_seconds(&self) -> f64 {
        self.waited.as_secs_f64()
    }
}

/// Measures the traffic of a rank, on whatever thread it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Mutex<Traffic>>);

impl Meter {
    /// Times an exchange in which this rank sends `sent` values.
    pub(super) fn measured(&self, exchange: Exchange, sent: usize, run: impl FnOnce()) {
        let started = Instant::now();
        run();
        let (sum, total) = &mut self.traffic().exchanges[exchange as usize];
        *sum += sent * size_of::<f32>();
        *total += started.elapsed();
    }

    /// Times what keeps this rank from computing.
    pub(super) fn waited(&self, run: impl FnOnce()) {
        let started = Instant::now();
        run();
        self.traffic().waited += started.elapsed();
    }

    /// What was measured since the last call.
    pub(super) fn take(&self) -> Traffic {
        std::mem::take(&mut *self.traffic())
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Named figures: `exchange_<name>_bytes` and `exchange_<name>_seconds`, and
/// `exchange_waited_seconds`.
impl Serialize for Traffic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = Exchange::ALL.into_iter().flat_map(|exchange| {
            let figures = [("bytes", self.bytes(exchange) as f64), ("seconds", self.seconds(exchange))];
            figures.map(|(unit, figure)| (format!("exchange_{}_{unit}", exchange.name()), figure))
        });
        let waited = ("exchange_waited_seconds".to_owned(), self.waited_seconds());
        serializer.collect_map(figures.chain([waited]))
    }
}
