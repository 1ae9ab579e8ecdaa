//! What the server counts, for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The media type of [`Metrics::text`].
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u32,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<OfRoute, Histogram, fn() -> Histogram>,
    batch_texts: Histogram,
    batch_tokens: Histogram,
    tokens: Counter,
    /// Texts that wait or are being encoded.
    pub(crate) queue: Gauge,
    /// Connections that are open.
    pub(crate) connections: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // From 0.5 ms to 65 s, by factors of 2; batches of 1 to 4096.
        let seconds = || Histogram::new(exponential_buckets(0.0005, 2.0, 18));
        let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 13));
        let mut metrics = Self {
            registry: Registry::with_prefix("simcse"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            batch_texts: sizes(),
            batch_tokens: sizes(),
            tokens: Counter::default(),
            queue: Gauge::default(),
            connections: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        let requests = "Requests by route and status; 499 if the client did not wait for the answer";
        registry.register("requests", requests, metrics.requests.clone());
        let name = "request_duration";
        let duration = "From the head of a request to the head of its answer";
        registry.register_with_unit(name, duration, Unit::Seconds, metrics.seconds.clone());
        registry.register("batch_texts", "Texts that were encoded together", metrics.batch_texts.clone());
        registry.register("batch_tokens", "Tokens that were encoded together", metrics.batch_tokens.clone());
        registry.register("tokens", "Tokens that were encoded", metrics.tokens.clone());
        registry.register("queue_texts", "Texts that wait or are being encoded", metrics.queue.clone());
        registry.register("connections", "Connections that are open", metrics.connections.clone());
        metrics
    }

    /// Counts a request.
    pub(crate) fn answered(&self, route: &'static str, status: u16, time: Duration) {
        self.requests.get_or_create(&Answered { route, status: status.into() }).inc();
        self.seconds.get_or_create(&OfRoute { route }).observe(time.as_secs_f64());
    }

    /// Counts a batch.
    pub(crate) fn encoded(&self, texts: usize, tokens: usize) {
        self.batch_texts.observe(texts as f64);
        self.batch_tokens.observe(tokens as f64);
        self.tokens.inc_by(tokens as u64);
    }

    /// All of it, in the text format of OpenMetrics, which Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}
