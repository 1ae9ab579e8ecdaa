//! Pairs of texts that belong together, without a score.

use std::path::Path;

use crate::data::rows::{Layout, RowOptions, read_rows};
use crate::error::Error;

/// The names of sentence-transformers, of its data sets on the hub, and of SimCSE's files.
const LAYOUT: Layout<2> = Layout {
    what: "pairs of texts that belong together",
    names: &[
        ["anchor", "positive"],
        ["query", "positive"],
        ["query", "answer"],
        ["query", "document"],
        ["question", "answer"],
        ["question1", "question2"],
        ["sentence1", "sentence2"],
        ["sentence_a", "sentence_b"],
        ["sentence_1", "sentence_2"],
        ["sent0", "sent1"],
        ["text1", "text2"],
        ["source", "target"],
        ["english", "non_english"],
        ["title", "body"],
        ["a", "b"],
    ],
    // Pairs with scores, or labels, are also about texts that do not belong together.
    forbidden: Some((
        &["score", "relatedness_score", "similarity_score", "label", "is_duplicate"],
        "pairs with a score are read by `eval sts`",
    )),
};

/// Reads the pairs of a file.
pub(crate) fn read_positives(path: &Path, options: &RowOptions) -> Result<Vec<[String; 2]>, Error> {
    read_rows(path, &LAYOUT, options)
}
