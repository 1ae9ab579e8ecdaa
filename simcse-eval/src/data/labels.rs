//! Texts with a label: a class, a cluster or a topic.

use std::path::Path;

use crate::data::rows::{Layout, RowOptions, read_rows};
use crate::error::Error;

const LAYOUT: Layout<2> = Layout {
    what: "texts with a label",
    names: &[
        ["text", "label"],
        ["text", "labels"],
        ["text", "category"],
        ["text", "class"],
        ["sentence", "label"],
        ["sentence", "labels"],
        ["sentence", "category"],
        ["title", "label"],
        ["query", "label"],
    ],
    forbidden: None,
};

/// A text and its label, trimmed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LabeledText {
    pub(crate) text: String,
    /// `None` if it is empty.
    pub(crate) label: Option<String>,
}

/// Reads the texts of a file.
pub(crate) fn read_labels(path: &Path, options: &RowOptions) -> Result<Vec<LabeledText>, Error> {
    let rows = read_rows(path, &LAYOUT, options)?.into_iter();
    let labeled = rows.map(|[text, label]| {
        let label = label.trim();
        LabeledText { text, label: (!label.is_empty()).then(|| label.to_owned()) }
    });
    Ok(labeled.collect())
}
