//! The routes, and what happens to every request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time::timeout;

use crate::commands::serve::errors::{ApiError, Dialect, ErrorKind};
use crate::commands::serve::metrics::Metrics;
use crate::commands::serve::server::Server;
use crate::commands::serve::{embeddings, page, queries, status};

/// What metrics call a path that is not here.
const NO_ROUTE: &str = "other";
const ROUTES: [&str; 7] = ["/", "/embed", "/v1/embeddings", "/search", "/info", "/health", "/metrics"];

pub(crate) fn router(server: Arc<Server>) -> Router {
    let [page, embed, openai, search, info, health, metrics] = ROUTES;
    Router::new()
        .route(page, get(page::page))
        .route(embed, post(embeddings::embed))
        .route(openai, post(embeddings::openai))
        .route(search, post(queries::search))
        .route(info, get(status::info))
        .route(health, get(status::health))
        .route(metrics, get(status::metrics))
        .method_not_allowed_fallback(no_method)
        .fallback(no_path)
        .layer(from_fn_with_state(server.clone(), observe))
        .with_state(server)
}

async fn no_path(request: Request) -> ApiError {
    let message = format!("nothing at {}: expected one of {}", request.uri().path(), ROUTES.join(", "));
    ApiError::new(ErrorKind::NotFound, message)
}

async fn no_method(request: Request) -> ApiError {
    ApiError::new(ErrorKind::Method, format!("{} does not answer {}", request.uri().path(), request.method()))
}

/// Answers a request in time, says errors as the client expects them, and counts it.
async fn observe(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let dialect = Dialect::of(path);
    let route = ROUTES.into_iter().find(|route| *route == path).unwrap_or(NO_ROUTE);
    let mut count = Count { metrics: &server.metrics, route, started: Instant::now(), status: CLIENT_GONE };
    let limit = server.limits.request_timeout();
    let mut response = match is_meant(&server, &request) {
        Err(error) => error.into_response(),
        Ok(()) => timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", limit.as_secs());
            ApiError::new(ErrorKind::Unhealthy, message).into_response()
        }),
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let mut said = error.response(dialect);
        if let Some(allowed) = response.headers_mut().remove(header::ALLOW) {
            said.headers_mut().insert(header::ALLOW, allowed);
        }
        response = said;
    }
    count.status = response.status().as_u16();
    drop(count);
    response
}

/// nginx: 499, "client closed request".
const CLIENT_GONE: u16 = 499;

/// Counts a request when it ends, also if the client does not wait for that.
struct Count<'a> {
    metrics: &'a Metrics,
    route: &'static str,
    started: Instant,
    status: u16,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.metrics.answered(self.route, self.status, self.started.elapsed());
    }
}

/// Refuses requests to another name than this server's: a page of another site can have its own
/// name lead to this machine, and a browser would let it read the answers.
fn is_meant(server: &Server, request: &Request) -> Result<(), ApiError> {
    let Some(name) = &server.only_name else { return Ok(()) };
    let of_header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = request.uri().authority().map(|authority| authority.as_str()).or(of_header) else {
        return Ok(());
    };
    let host = without_port(host);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    if host == "localhost" || host == name || address.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let message = format!("host: expected localhost, an address or {name}, found {host:?}");
    Err(ApiError::new(ErrorKind::Host, message))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_part_of_a_name() {
        for (host, name) in [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a:", "a")] {
            assert_eq!(without_port(host), name);
        }
    }
}
