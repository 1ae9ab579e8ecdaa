//! What every evaluation set has in common.
//!
//! This file must not know any one kind of set, nor how similarities are computed.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};
use simcse_model::{Named, SentenceEncoder};

use crate::error::Error;
use crate::scores::Scores;
use crate::similarity::cosine::Cosine;
use crate::similarity::encoded::Encoded;
use crate::similarity::judge::Similarity;

/// The kinds of evaluation set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// Queries with candidates to rank.
    Rerank,
    /// Pairs of sentences with a score given by people.
    Sts,
    /// Pairs of texts that belong together.
    Pairs,
    /// Anchors with a positive and a negative.
    Triplets,
    /// Queries and a corpus to search.
    Retrieval,
    /// Texts with a label.
    Labels,
}

impl Named for SetKind {
    const ALL: &'static [Self] = &[Self::Rerank, Self::Sts, Self::Pairs, Self::Triplets, Self::Retrieval, Self::Labels];

    fn name(self) -> &'static str {
        match self {
            Self::Rerank => "rerank",
            Self::Sts => "sts",
            Self::Pairs => "pairs",
            Self::Triplets => "triplets",
            Self::Retrieval => "retrieval",
            Self::Labels => "labels",
        }
    }
}

/// How many entries of the data an evaluation leaves out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The reason as a key of JSON, such as `without_score`, and the number.
    pub reasons: Vec<(&'static str, usize)>,
}

impl LeftOut {
    /// A JSON object.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        self.reasons.iter().map(|&(reason, count)| (reason.to_owned(), json!(count))).collect()
    }
}

/// `1 without positives, 0 without negatives`.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = self.reasons.iter().map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")));
        match self.reasons.is_empty() {
            true => f.write_str("none"),
            false => f.write_str(&reasons.collect::<Vec<_>>().join(", ")),
        }
    }
}

/// An evaluation set of any kind: it turns similarities of its texts into figures.
pub trait EvaluationSet {
    /// What kind of set it is.
    fn kind(&self) -> SetKind;

    /// Where it was read from.
    fn path(&self) -> &Path;

    /// How many texts an encoder must encode, for progress bars and forecasts of memory.
    fn texts_to_encode(&self) -> usize;

    /// What was read but is not scored.
    fn left_out(&self) -> LeftOut;

    /// SHA-256, in hexadecimal, of what is scored, whatever the layout of its file.
    ///
    /// # Errors
    /// [`Error::NoTexts`] if there are no texts.
    fn sha256(&self) -> Result<String, Error>;

    /// The texts of an entry, such as a query, or the two sentences of a pair. Entries are in the
    /// order of the values of [`Sample`](crate::Sample).
    fn entry(&self, index: usize) -> Vec<&str>;

    /// The figures of `similarity`; `None` if it was stopped.
    ///
    /// # Errors
    /// Those of `similarity`.
    fn score(&self, similarity: &mut dyn Similarity) -> Result<Option<Scores>, Error>;

    /// The figures of a model by cosine similarity. Its prompts, if it has any, are used as
    /// sentence-transformers does. Every distinct text is encoded once.
    ///
    /// # Errors
    /// The encoder's, and [`Error::NotFinite`].
    fn evaluate(&self, encoder: &SentenceEncoder) -> Result<Scores, Error> {
        let scores = self.score(&mut Cosine::of(Encoded::new(encoder)))?;
        Ok(scores.expect("nothing stops it"))
    }
}
