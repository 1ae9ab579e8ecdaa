//! The body of a request.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::commands::serve::errors::{ApiError, ErrorKind};
use crate::commands::serve::memory::{Claim, Memory};

/// Bytes of a body that is too large which are read before the answer: a client that is still
/// sending when the connection is closed may not see why.
const SKIPPED: usize = 1 << 23;

/// How bodies are read.
#[derive(Debug)]
pub(crate) struct BodyLimits {
    pub(crate) memory: Memory,
    pub(crate) most: usize,
    pub(crate) client_timeout: Duration,
}

/// A body, and the memory that it takes.
#[derive(Debug)]
pub(crate) struct ReceivedBody {
    pub(crate) bytes: Vec<u8>,
    pub(crate) claim: Claim,
}

impl BodyLimits {
    /// Reads a body of JSON.
    pub(crate) async fn read(&self, request: Request) -> Result<ReceivedBody, ApiError> {
        let is_json = is_json(request.headers());
        let body = match timeout(self.client_timeout, self.read_bytes(request)).await {
            Ok(body) => body?,
            Err(_) => {
                let message = format!("the body took more than {} s", self.client_timeout.as_secs());
                return Err(ApiError::new(ErrorKind::Slow, message));
            }
        };
        // Pages of other sites can send a body that does not say this without asking.
        if !is_json {
            let message = "expected the header `Content-Type: application/json`";
            return Err(ApiError::new(ErrorKind::MediaType, message));
        }
        Ok(body)
    }

    async fn read_bytes(&self, request: Request) -> Result<ReceivedBody, ApiError> {
        let too_large = || ApiError::new(ErrorKind::Validation, format!("body: more than {} bytes", self.most));
        let mut body = request.into_body();
        let mut bytes = Vec::new();
        let mut claim = self.memory.nothing();
        let mut refused = None;
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ApiError::new(ErrorKind::Syntax, format!("body: {error}")))?;
            let Some(data) = frame.data_ref() else { continue };
            read += data.len();
            if refused.is_none() && read > self.most {
                refused = Some(too_large());
            } else if refused.is_none() {
                match self.memory.claim(data.len()) {
                    Some(more) => claim.join(more),
                    None => refused = Some(ApiError::overloaded()),
                }
            }
            if refused.is_none() {
                bytes.extend_from_slice(data);
            } else {
                (bytes, claim) = (Vec::new(), self.memory.nothing());
            }
            if read > self.most + SKIPPED {
                break;
            }
        }
        match refused {
            None => Ok(ReceivedBody { bytes, claim }),
            Some(error) => Err(error),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
