//! What a model's figures are compared with: counting words, and the words alone.
//!
//! This file must not know any one kind of set.

use simcse_model::SentenceEncoder;

use crate::error::Error;
use crate::scores::Scores;
use crate::set::EvaluationSet;
use crate::similarity::cosine::Cosine;
use crate::similarity::lexical::Lexical;
use crate::similarity::word_embeddings::WordEmbeddings;

/// The scores of a baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// Its name in JSON, such as `tf_idf`.
    pub name: &'static str,
    /// Its name in a table, such as `TF-IDF`.
    pub label: &'static str,
    /// Its figures.
    pub scores: Scores,
}

/// The figures of the baselines that need nothing but the set and a model's tokenizer and word
/// embeddings: these, TF-IDF and BM25.
///
/// # Errors
/// The tokenizer's, and [`Error::NotFinite`].
pub fn baselines(set: &dyn EvaluationSet, encoder: &SentenceEncoder) -> Result<Vec<Baseline>, Error> {
    let words = set.score(&mut Cosine::of(WordEmbeddings::of(encoder)?))?;
    let tf_idf = set.score(&mut Lexical::tf_idf())?;
    let bm25 = set.score(&mut Lexical::bm25())?;
    let baseline = |name, label, scores: Option<Scores>| scores.map(|scores| Baseline { name, label, scores });
    let all = [
        baseline("word_embeddings", "words", words),
        baseline("tf_idf", "TF-IDF", tf_idf),
        baseline("bm25", "BM25", bm25),
    ];
    Ok(all.into_iter().flatten().collect())
}
