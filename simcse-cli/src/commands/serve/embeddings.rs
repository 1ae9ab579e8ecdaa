//! `POST /embed` and `POST /v1/embeddings`.
//!
//! Sources: text-embeddings-inference's `EmbedRequest` (`router/src/http/types.rs`); OpenAI's API
//! reference, "Create embeddings".

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;
use simcse_eval::metrics::unit_rows;

use crate::commands::serve::errors::{ApiError, ErrorKind};
use crate::commands::serve::fields::Fields;
use crate::commands::serve::server::Server;

/// text-embeddings-inference: `embed`.
pub(crate) async fn embed(State(server): State<Arc<Server>>, request: Request) -> Result<Response, ApiError> {
    let body = server.bodies.read(request).await?;
    let mut fields = Fields::parse(&body.bytes)?;
    let texts = fields.required_texts("inputs", server.most_texts())?;
    let truncate = fields.flag("truncate", true)?;
    let normalize = fields.flag("normalize", true)?;
    let dimensions = fields.number("dimensions", server.encoder.dimension())?;
    let prompt_name = fields.text("prompt_name")?;
    let default = server.encoder.directory.prompts.default_prompt();
    let texts = server.prompted(texts, prompt_name.as_deref(), default, truncate)?;
    let encoded = server.batcher.encode(texts).await?;
    let embeddings = cut(encoded.embeddings.view(), dimensions, normalize);
    server.answer(body.claim, &rows(&embeddings).collect::<Vec<_>>())
}

/// An embedding in an answer of OpenAI's.
#[derive(Serialize)]
#[serde(untagged)]
enum Values<'a> {
    Float(&'a [f32]),
    /// The bytes of the values in little-endian order.
    Base64(String),
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Values<'a>,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Usage,
}

/// OpenAI: `embeddings.create`.
pub(crate) async fn openai(State(server): State<Arc<Server>>, request: Request) -> Result<Response, ApiError> {
    let body = server.bodies.read(request).await?;
    let mut fields = Fields::parse(&body.bytes)?;
    let texts = fields.required_texts("input", server.most_texts())?;
    // There is one model, whatever the client calls it.
    fields.text("model")?;
    let is_base64 = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message = format!("encoding_format: expected float or base64, found {other:?}");
            return Err(ApiError::new(ErrorKind::Validation, message));
        }
    };
    let dimensions = fields.number("dimensions", server.encoder.dimension())?;
    let default = server.encoder.directory.prompts.default_prompt();
    let encoded = server.batcher.encode(server.prompted(texts, None, default, true)?).await?;
    let embeddings = cut(encoded.embeddings.view(), dimensions, true);
    let values = |row| if is_base64 { Values::Base64(base64(row)) } else { Values::Float(row) };
    let items =
        rows(&embeddings).enumerate().map(|(index, row)| Item { object: "embedding", index, embedding: values(row) });
    let usage = Usage { prompt_tokens: encoded.tokens, total_tokens: encoded.tokens };
    server.answer(body.claim, &List { object: "list", data: items.collect(), model: &server.model, usage })
}

/// The first `dimensions` values of each embedding, scaled to length 1 if that is wanted.
fn cut(embeddings: ArrayView2<f32>, dimensions: Option<usize>, normalize: bool) -> Array2<f32> {
    let part = embeddings.slice(s![.., ..dimensions.unwrap_or(embeddings.ncols())]);
    if normalize { unit_rows(part) } else { part.as_standard_layout().into_owned() }
}

fn rows(embeddings: &Array2<f32>) -> impl Iterator<Item = &[f32]> {
    embeddings.as_slice().expect("rows in C order").chunks_exact(embeddings.ncols())
}

fn base64(row: &[f32]) -> String {
    STANDARD.encode(row.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn embeddings_are_cut_before_they_are_scaled() {
        let embeddings = array![[3.0, 4.0, 12.0], [0.0, 2.0, 9.0]];
        assert_eq!(cut(embeddings.view(), Some(2), true), array![[0.6, 0.8], [0.0, 1.0]]);
        let part = cut(embeddings.view(), Some(2), false);
        assert_eq!(rows(&part).collect::<Vec<_>>(), [[3.0, 4.0], [0.0, 2.0]]);
    }
}
