//! `GET /`: a page to try the server in a browser.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::commands::serve::server::Server;
use crate::page::document::STYLE;
use crate::page::html::escaped;

const PAGE: &str = include_str!("page.html");
const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Nothing but what is on the page, and requests to this server.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn page(State(server): State<Arc<Server>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, server.page.clone()).into_response()
}

/// The page of a model, and of an index of `rows`, if there is one.
pub(crate) fn html(model: &str, rows: Option<usize>) -> String {
    let (shown, rows) = match rows {
        Some(rows) => ("search", format!("{rows} texts to search")),
        None => ("similarity", "no index: start the server with <code>--index</code> to search".to_owned()),
    };
    // The model's name comes last: whatever it is, nothing in it is replaced.
    PAGE.replace("{style}", STYLE)
        .replace("{page_style}", PAGE_STYLE)
        .replace("{script}", SCRIPT)
        .replace("{shown}", shown)
        .replace("{rows}", &rows)
        .replace("{model}", &escaped(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_and_nothing_is_left_to_fill_in() {
        let html = html("<b>{script}", Some(5));
        assert!(html.contains("&lt;b&gt;{script}") && !html.contains("<b>"), "{html}");
        assert!(html.contains("5 texts to search"));
        for place in ["{style}", "{page_style}", "{shown}", "{rows}", "{model}"] {
            assert!(!html.contains(place), "{place}");
        }
    }
}
