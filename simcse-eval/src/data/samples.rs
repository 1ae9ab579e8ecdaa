//! Reranking samples as JSON lines.

use std::path::Path;

use serde::Deserialize;
use simcse_model::io::Lines;

use crate::error::{Error, shown};

/// A query with texts that are similar to it and texts that are not.
#[derive(Deserialize)]
pub(crate) struct Sample {
    pub(crate) query: String,
    pub(crate) positive: Vec<String>,
    pub(crate) negative: Vec<String>,
}

/// Hands every sample of `lines` to `take`; `path` is what errors name.
pub(crate) fn each_sample(mut lines: Lines, path: &Path, mut take: impl FnMut(Sample)) -> Result<(), Error> {
    while let Some(line) = lines.next_filled_line()? {
        take(serde_json::from_str(line.text).map_err(|error| Error::Malformed {
            path: path.to_owned(),
            line: line.number,
            expected: r#"a JSON object {"query": "…", "positive": ["…"], "negative": ["…"]}"#,
            found: shown(&error.to_string().replace("line 1 ", "")),
        })?);
    }
    Ok(())
}
