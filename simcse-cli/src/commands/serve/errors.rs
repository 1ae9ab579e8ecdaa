//! What goes wrong with a request, as text-embeddings-inference and as OpenAI say it.
//!
//! Sources: text-embeddings-inference's `ErrorResponse`, its `ErrorType` and their status codes
//! (`router/src/http/server.rs`); OpenAI's API reference, "Error codes".

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The body is not JSON.
    Syntax,
    /// There is nothing to encode.
    Empty,
    /// A field has another type than it should.
    Type,
    /// A value is out of bounds.
    Validation,
    /// The tokenizer refuses a text.
    Tokenizer,
    /// The model fails.
    Backend,
    /// There is no room for the request now.
    Overloaded,
    /// The server stops, or took too long.
    Unhealthy,
    /// There is no such thing here.
    NotFound,
    /// The path does not have this method.
    Method,
    /// The client took too long.
    Slow,
    /// The body is not said to be JSON.
    MediaType,
    /// The request was meant for another host.
    Host,
}

/// Whose errors a client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    TextEmbeddingsInference,
    OpenAi,
}

impl Dialect {
    /// That of a path.
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/v1/") { Self::OpenAi } else { Self::TextEmbeddingsInference }
    }
}

impl ErrorKind {
    fn status(self, dialect: Dialect) -> StatusCode {
        let is_openai = dialect == Dialect::OpenAi;
        match self {
            // OpenAI: "400 - Invalid request".
            Self::Empty | Self::Type | Self::Validation | Self::Tokenizer if is_openai => StatusCode::BAD_REQUEST,
            Self::Backend if is_openai => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Syntax | Self::Empty => StatusCode::BAD_REQUEST,
            Self::Type | Self::Tokenizer => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Validation => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Backend => StatusCode::FAILED_DEPENDENCY,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    /// text-embeddings-inference's `error_type`; it has none for errors of HTTP.
    fn error_type(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Tokenizer => "Tokenizer",
            Self::Backend => "Backend",
            Self::Overloaded => "Overloaded",
            Self::Unhealthy => "Unhealthy",
            _ => "Validation",
        }
    }

    /// OpenAI's `type` and `code`.
    fn openai(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Overloaded => ("requests", Some("rate_limit_exceeded")),
            Self::Backend | Self::Unhealthy => ("server_error", None),
            _ => ("invalid_request_error", None),
        }
    }
}

impl ApiError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// There is no room. text-embeddings-inference: the same words.
    pub(crate) fn overloaded() -> Self {
        Self::new(ErrorKind::Overloaded, "Model is overloaded")
    }

    fn json(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::TextEmbeddingsInference => {
                json!({ "error": self.message, "error_type": self.kind.error_type() })
            }
            Dialect::OpenAi => {
                let (kind, code) = self.kind.openai();
                json!({ "error": { "message": self.message, "type": kind, "param": null, "code": code } })
            }
        }
    }

    /// The answer that a client gets.
    pub(crate) fn response(&self, dialect: Dialect) -> Response {
        let mut response = Response::new(Body::from(self.json(dialect).to_string()));
        *response.status_mut() = self.kind.status(dialect);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(self.kind, ErrorKind::Overloaded | ErrorKind::Unhealthy) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// The answer to a request whose head has not arrived, byte for byte.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let dialect = Dialect::TextEmbeddingsInference;
        let body = self.json(dialect).to_string();
        let status = self.kind.status(dialect);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        [head, body].concat().into_bytes()
    }
}

/// A response that carries the error. Which words it is said in depends on the path, so the
/// [`response`](ApiError::response) is made where that is known.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_request_is_whole() {
        let text = String::from_utf8(ApiError::new(ErrorKind::Slow, "too slow").to_bytes()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert_eq!(body, r#"{"error":"too slow","error_type":"Validation"}"#);
    }
}
