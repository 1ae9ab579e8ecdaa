//! `GET /health`, `/info` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use simcse_model::{Named, Precision};

use crate::commands::serve::batcher::BATCH_TOKENS;
use crate::commands::serve::errors::{ApiError, ErrorKind};
use crate::commands::serve::metrics::MEDIA_TYPE;
use crate::commands::serve::server::Server;

/// Whether requests are answered.
pub(crate) async fn health(State(server): State<Arc<Server>>) -> Result<Response, ApiError> {
    if server.batcher.is_alive() {
        return Ok(json(json!({ "status": "ok" })));
    }
    Err(ApiError::new(ErrorKind::Unhealthy, "the model no longer runs"))
}

/// What is served, with the names of text-embeddings-inference's `Info`.
pub(crate) async fn info(State(server): State<Arc<Server>>) -> Response {
    let Server { encoder, limits, .. } = &*server;
    let directory = &encoder.directory;
    let dtype = match encoder.precision {
        Precision::F32 => "float32",
        other => other.name(),
    };
    json(json!({
        "model_id": server.model,
        "model_sha": server.digest,
        "model_dtype": dtype,
        "model_type": { "embedding": { "pooling": directory.pooling.name() } },
        "dimension": encoder.dimension(),
        "prompts": directory.prompts.names(),
        "index_rows": server.searcher.as_ref().map(|searcher| searcher.rows()),
        "max_concurrent_requests": limits.max_queue,
        "max_input_length": directory.max_seq_length,
        "max_batch_tokens": BATCH_TOKENS,
        "max_client_batch_size": limits.max_client_batch_size,
        "auto_truncate": true,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// What was counted.
pub(crate) async fn metrics(State(server): State<Arc<Server>>) -> Response {
    server.metrics.queue.set(server.batcher.queued() as i64);
    ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], server.metrics.text()).into_response()
}

fn json(value: Value) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], value.to_string()).into_response()
}
