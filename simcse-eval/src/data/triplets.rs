//! Triplets: a text, one that belongs to it, and one that does not.

use std::path::Path;

use crate::data::rows::{Layout, RowOptions, read_rows};
use crate::error::Error;

/// The names of sentence-transformers and of SimCSE's NLI file.
const LAYOUT: Layout<3> = Layout {
    what: "triplets of texts",
    names: &[
        ["anchor", "positive", "negative"],
        ["query", "positive", "negative"],
        ["question", "positive", "negative"],
        ["query", "pos", "neg"],
        ["sent0", "sent1", "hard_neg"],
        ["sentence", "positive", "negative"],
    ],
    forbidden: None,
};

/// Reads the triplets of a file.
pub(crate) fn read_triplets(path: &Path, options: &RowOptions) -> Result<Vec<[String; 3]>, Error> {
    read_rows(path, &LAYOUT, options)
}
