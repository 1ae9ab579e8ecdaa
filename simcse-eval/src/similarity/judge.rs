//! What every judge of similarity can do.

use crate::error::Error;

/// What the texts on the two sides of a similarity are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Two texts of the same kind.
    Symmetric,
    /// A query on the left, a document on the right: the sides have prompts of their own, and word
    /// statistics come from the documents.
    QueryDocument,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One of two texts of the same kind.
    Text,
    /// A query.
    Query,
    /// A document.
    Document,
}

impl Relation {
    /// The role of the texts on the left, and of those on the right.
    #[must_use]
    pub fn roles(self) -> [Role; 2] {
        match self {
            Self::Symmetric => [Role::Text; 2],
            Self::QueryDocument => [Role::Query, Role::Document],
        }
    }
}

/// A text of a corpus that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Its index in the corpus.
    pub index: usize,
    /// Its similarity to the query.
    pub score: f32,
}

/// Something that says how similar texts are. Similarities are finite; higher is more similar.
pub trait Similarity {
    /// The similarities of pairs of `texts`, given by index, left and right.
    ///
    /// `None` if it was stopped.
    ///
    /// # Errors
    /// Whatever keeps a text from being compared.
    ///
    /// # Panics
    /// If an index is out of range.
    fn pairs(&mut self, texts: &[String], relation: Relation, pairs: &[[usize; 2]]) -> Result<Option<Vec<f32>>, Error>;

    /// For each query, the `k` most similar texts of `corpus`, best first; of equally similar ones,
    /// the first. There may be fewer: texts without any similarity are not found by a judge that
    /// looks for shared words.
    ///
    /// `None` if it was stopped.
    ///
    /// # Errors
    /// Whatever keeps a text from being compared.
    fn nearest(
        &mut self,
        queries: &[String],
        corpus: &[String],
        relation: Relation,
        k: usize,
    ) -> Result<Option<Vec<Vec<Hit>>>, Error>;

    /// What was odd about the similarities since the last call, one line each.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
