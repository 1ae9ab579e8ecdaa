//! What all routes share: the model, the queue, the index, and the limits.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use simcse_model::SentenceEncoder;

use crate::commands::serve::batcher::{Batcher, Texts};
use crate::commands::serve::body::BodyLimits;
use crate::commands::serve::errors::{ApiError, ErrorKind};
use crate::commands::serve::limits::LimitArgs;
use crate::commands::serve::memory::Claim;
use crate::commands::serve::metrics::Metrics;
use crate::commands::serve::searcher::Searcher;

/// What routes answer with.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) encoder: Arc<SentenceEncoder>,
    /// What the user calls the model.
    pub(crate) model: String,
    /// SHA-256 of its weights.
    pub(crate) digest: String,
    pub(crate) batcher: Batcher,
    pub(crate) searcher: Option<Searcher>,
    pub(crate) limits: LimitArgs,
    pub(crate) bodies: BodyLimits,
    pub(crate) metrics: Arc<Metrics>,
    /// The page to try it.
    pub(crate) page: Bytes,
    /// The only name, apart from `localhost` and addresses, by which clients may call this server;
    /// `None` for any.
    pub(crate) only_name: Option<String>,
}

impl Server {
    /// The most texts of a request.
    pub(crate) fn most_texts(&self) -> usize {
        self.limits.max_client_batch_size as usize
    }

    /// Texts with the prompt of this name in front, or else with `default`.
    pub(crate) fn prompted(
        &self,
        texts: Vec<String>,
        prompt_name: Option<&str>,
        default: &str,
        truncate: bool,
    ) -> Result<Texts, ApiError> {
        let prompts = &self.encoder.directory.prompts;
        let prompt = match prompt_name {
            None => default,
            Some(name) => prompts.get(name).ok_or_else(|| {
                let names = prompts.names().join(", ");
                ApiError::new(ErrorKind::Validation, format!("prompt_name: expected one of {names}, found {name:?}"))
            })?,
        };
        let refused = |error: simcse_model::Error| ApiError::new(ErrorKind::Tokenizer, error.to_string());
        let excluded = self.encoder.prompt(prompt).map_err(refused)?.excluded;
        Ok(Texts { texts, prompt: prompt.to_owned(), excluded, truncate })
    }

    /// An answer of JSON. The request's memory is exchanged for that of the answer.
    pub(crate) fn answer(&self, request: Claim, value: &impl Serialize) -> Result<Response, ApiError> {
        let failed = |error: serde_json::Error| ApiError::new(ErrorKind::Backend, error.to_string());
        let bytes = serde_json::to_vec(value).map_err(failed)?;
        drop(request);
        let claim = self.bodies.memory.claim(bytes.len()).ok_or_else(ApiError::overloaded)?;
        let mut response = Response::new(Body::from(claim.hold(bytes)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}
