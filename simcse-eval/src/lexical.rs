//! The lexical baseline: texts as bags of words, weighted by how rare each word is.
//!
//! `x[w] = n(w) · ln(1 + (D − d(w) + ½) / (d(w) + ½))`, where `n(w)` is the word's count in the
//! text and `d(w)` the number of the corpus's `D` documents that contain it: TF-IDF with BM25's
//! inverse document frequency, which is never negative. The baseline's score is the cosine of two
//! vectors, so [`crate::Reranking::score`] takes these vectors in place of embeddings.
//!
//! This room knows words. It must not know files, metrics or encoders.
//!
//! ```
//! use simcse_eval::lexical::tf_idf;
//!
//! let corpus = ["the wifi is slow", "the sound"];
//! let vectors = tf_idf(corpus, &["the wifi", "the sound"]);
//! assert_eq!(vectors.dim(), (2, 3), "two texts; the, wifi and sound");
//! assert!(vectors[[0, 1]] > vectors[[0, 0]], "wifi is rarer than the");
//! ```

use std::collections::{HashMap, HashSet};

use ndarray::Array2;

/// The TF-IDF vectors of `texts`, (texts, distinct words of the texts), weighted by the documents
/// of `corpus`. Columns are in the order in which the words first appear.
///
/// The matrix is dense: it is meant for an evaluation set, not for a corpus.
#[must_use]
pub fn tf_idf<'a, S: AsRef<str>>(corpus: impl IntoIterator<Item = &'a str>, texts: &[S]) -> Array2<f32> {
    let mut columns = HashMap::new();
    let counted: Vec<Vec<usize>> = texts
        .iter()
        .map(|text| {
            let column = |word| {
                let next = columns.len();
                *columns.entry(word).or_insert(next)
            };
            words(text.as_ref()).map(column).collect()
        })
        .collect();

    let mut documents = 0;
    let mut documents_with = vec![0; columns.len()];
    for document in corpus {
        documents += 1;
        let present: HashSet<usize> = words(document).filter_map(|word| columns.get(&word).copied()).collect();
        present.into_iter().for_each(|column| documents_with[column] += 1);
    }

    let mut vectors = Array2::zeros((texts.len(), columns.len()));
    for (mut row, columns) in vectors.rows_mut().into_iter().zip(counted) {
        for column in columns {
            row[column] += rarity(documents, documents_with[column]);
        }
    }
    vectors
}

/// BM25's inverse document frequency of a word that `with` of `documents` documents contain.
fn rarity(documents: usize, with: usize) -> f32 {
    let documents = documents as f64;
    let with = with as f64;
    (1.0 + (documents - with + 0.5) / (with + 0.5)).ln() as f32
}

/// Runs of letters and digits, in lower case; an apostrophe joins, so "don't" is one word.
fn words(text: &str) -> impl Iterator<Item = String> {
    let text = text.to_lowercase().replace('\'', "");
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned);
    words.collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_neither_case_nor_punctuation() {
        assert_eq!(words("I can\'t, \"Ünicode\"-24.04?").collect::<Vec<_>>(), ["i", "cant", "ünicode", "24", "04"]);
        assert_eq!(words(" ?! ").count(), 0);
    }

    #[test]
    fn counts_are_weighted_by_rarity() {
        let vectors = tf_idf(["the wifi is slow", "the the sound"], &["The wifi! The", "new", ""]);
        let [common, rare, unseen] = [(2, 2), (2, 1), (2, 0)].map(|(documents, with)| rarity(documents, with));
        assert_eq!(vectors.nrows(), 3);
        assert_eq!(vectors.row(0).to_vec(), [2.0 * common, rare, 0.0]);
        assert_eq!(vectors.row(1).to_vec(), [0.0, 0.0, unseen]);
        assert_eq!(vectors.row(2).sum(), 0.0);
        assert!(common > 0.0 && rare > 3.0 * common && unseen > rare);
    }
}
