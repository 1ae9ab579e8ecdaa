//! What the server grants to its clients.

use std::time::Duration;

use clap::{Args, value_parser};

#[derive(Clone, Debug, Args)]
pub(crate) struct LimitArgs {
    /// Texts or queries in one request
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = value_parser!(u32).range(1..=65536))]
    pub(crate) max_client_batch_size: u32,
    /// Texts of all requests that wait or are being encoded; when there are more, requests get
    /// status 429
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_queue: u32,
    /// Bytes of a request's body
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = value_parser!(u32).range(1..=1_000_000_000))]
    pub(crate) payload_limit: u32,
    /// Connections that are open at the same time; further ones get status 503
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) max_connections: u32,
    /// How long a client may take to send the head of a request, to send its body, and to accept
    /// more of an answer; also how long an idle connection stays open
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = value_parser!(u32).range(1..=86400))]
    client_timeout: u32,
    /// How long a request may wait for its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u32).range(1..=86400))]
    request_timeout: u32,
}

impl LimitArgs {
    /// How long a client may take for its part.
    pub(crate) fn client_timeout(&self) -> Duration {
        Duration::from_secs(self.client_timeout.into())
    }

    /// How long a request may wait for its answer.
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout.into())
    }

    /// Bytes of bodies and answers that are in memory at a time.
    pub(crate) fn memory(&self) -> usize {
        /// Bodies of the largest size.
        const BODIES: usize = 64;
        /// Enough for many answers, however small bodies must be.
        const LEAST: usize = 64 << 20;
        (BODIES * self.payload_limit as usize).max(LEAST)
    }
}
