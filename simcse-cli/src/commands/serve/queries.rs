//! `POST /search`: the texts of the index that are most similar to queries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use crate::commands::serve::errors::{ApiError, ErrorKind};
use crate::commands::serve::fields::{Fields, missing};
use crate::commands::serve::server::Server;

/// The most hits of a query.
const MOST_HITS: usize = 1000;
/// The most hits of all queries of a request.
const MOST_IN_ALL: usize = 25_000;

/// An array of hits for each query, each as `simcse search --json` prints it.
pub(crate) async fn search(State(server): State<Arc<Server>>, request: Request) -> Result<Response, ApiError> {
    let body = server.bodies.read(request).await?;
    let Some(searcher) = &server.searcher else {
        let message = "no index to search: start the server with `--index`";
        return Err(ApiError::new(ErrorKind::NotFound, message));
    };
    let mut fields = Fields::parse(&body.bytes)?;
    let queries = match (fields.text("query")?, fields.texts("queries", server.most_texts())?) {
        (Some(query), None) => vec![query],
        (None, Some(queries)) => queries,
        (None, None) => return Err(missing("query")),
        (Some(_), Some(_)) => {
            return Err(ApiError::new(ErrorKind::Type, "expected either `query` or `queries`, found both"));
        }
    };
    let top_k = fields.number("top_k", MOST_HITS)?.unwrap_or(10);
    if queries.len() * top_k > MOST_IN_ALL {
        let message = format!("expected at most {MOST_IN_ALL} hits, found {} queries of {top_k}", queries.len());
        return Err(ApiError::new(ErrorKind::Validation, message));
    }
    let filter = fields.conditions("filter")?;
    let prompt_name = fields.text("prompt_name")?;
    let default = server.encoder.directory.prompts.query();
    let queries = server.prompted(queries, prompt_name.as_deref(), default, true)?;
    let encoded = server.batcher.encode(queries).await?;
    let hits = searcher.search(encoded.embeddings, top_k, filter).await?;
    server.answer(body.claim, &hits)
}
