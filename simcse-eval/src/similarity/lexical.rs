//! Baselines that count words: TF-IDF and BM25.
//!
//! Both weigh a word by how rare it is: `idf(w) = ln(1 + (D − d(w) + ½) / (d(w) + ½))`, where
//! `d(w)` is the number of the corpus's `D` documents that contain it. This is never negative. With
//! `n(w)` for the number of times that a word occurs in a text,
//!
//! ```text
//! TF-IDF:  cosine of two vectors of n(w)·idf(w)
//! BM25:    Σ_w n_query(w) · idf(w) · n(w) / (n(w) + k1·(1 − b + b·length/mean length))
//! ```
//!
//! after Robertson & Zaragoza (2009), with the idf and the constants of Lucene, which also leaves
//! out the factor k1 + 1. Between two texts of the same kind, BM25 is the mean of both directions.
//!
//! Unless a corpus is given, the documents are the distinct texts on the right (all distinct texts,
//! if both sides are of the same kind).

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use crate::error::Error;
use crate::similarity::judge::{Hit, Relation, Similarity};
use crate::similarity::top::Top;

/// How quickly further occurrences of a word count less. Lucene: `BM25Similarity`.
const K1: f32 = 1.2;
/// How much long documents count less. Lucene: `BM25Similarity`.
const B: f32 = 0.75;

/// How words are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weighting {
    TfIdf,
    Bm25,
}

/// Similarity by shared words.
///
/// ```
/// use simcse_eval::similarity::{Lexical, Relation, Similarity};
///
/// let texts = ["the wifi", "the wifi is slow", "the sound"].map(str::to_owned);
/// let mut words = Lexical::tf_idf();
/// let similarities = words.pairs(&texts, Relation::Symmetric, &[[0, 1], [0, 2]])?.unwrap();
/// assert!(similarities[0] > similarities[1], "wifi is rarer than the");
/// # Ok::<(), simcse_eval::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lexical {
    weighting: Weighting,
    fitted: Option<Statistics>,
}

impl Lexical {
    /// The cosine of TF-IDF vectors.
    #[must_use]
    pub fn tf_idf() -> Self {
        Self { weighting: Weighting::TfIdf, fitted: None }
    }

    /// BM25 of the text on the left as a query and the text on the right as a document.
    #[must_use]
    pub fn bm25() -> Self {
        Self { weighting: Weighting::Bm25, fitted: None }
    }

    /// Takes word statistics from `corpus` instead of the texts that are compared.
    #[must_use]
    pub fn fitted_on<'a>(self, corpus: impl IntoIterator<Item = &'a str>) -> Self {
        Self { fitted: Some(Statistics::of(corpus)), ..self }
    }

    fn statistics<'a>(&self, documents: impl Iterator<Item = &'a str>) -> Statistics {
        match &self.fitted {
            Some(fitted) => fitted.clone(),
            None => {
                let mut seen = HashSet::new();
                Statistics::of(documents.filter(|text| seen.insert(*text)))
            }
        }
    }
}

impl Similarity for Lexical {
    fn pairs(&mut self, texts: &[String], relation: Relation, pairs: &[[usize; 2]]) -> Result<Option<Vec<f32>>, Error> {
        let documents = pairs.iter().flat_map(|&[left, right]| match relation {
            Relation::Symmetric => vec![left, right],
            Relation::QueryDocument => vec![right],
        });
        let weights = Weights {
            weighting: self.weighting,
            statistics: &mut self.statistics(documents.map(|text| texts[text].as_str())),
        };
        let similarities = weights.of_pairs(texts, relation, pairs);
        Ok(Some(similarities))
    }

    fn nearest(
        &mut self,
        queries: &[String],
        corpus: &[String],
        relation: Relation,
        k: usize,
    ) -> Result<Option<Vec<Vec<Hit>>>, Error> {
        let all = queries.iter().filter(|_| relation == Relation::Symmetric).chain(corpus);
        let mut statistics = self.statistics(all.map(String::as_str));
        let mut weights = Weights { weighting: self.weighting, statistics: &mut statistics };
        let both_ways = self.weighting == Weighting::Bm25 && relation == Relation::Symmetric;
        let index = Index::new(corpus.iter().map(|text| weights.of_document(text)));
        let queries_as_left: Vec<_> = queries.iter().map(|text| weights.of_query(text)).collect();
        if !both_ways {
            return Ok(Some(queries_as_left.par_iter().map(|query| index.search(&[(query, &index)], k)).collect()));
        }
        let reversed = Index::new(corpus.iter().map(|text| weights.of_query(text)));
        let queries_as_right: Vec<_> = queries.iter().map(|text| weights.of_document(text)).collect();
        let searched = queries_as_left.par_iter().zip(&queries_as_right);
        let hits = searched.map(|(left, right)| index.search(&[(left, &index), (right, &reversed)], k));
        let halved = |hits: Vec<Hit>| hits.into_iter().map(|hit| Hit { score: hit.score / 2.0, ..hit }).collect();
        Ok(Some(hits.map(halved).collect()))
    }
}

/// What is counted in a corpus.
#[derive(Debug, Clone, Default)]
struct Statistics {
    /// Every word that has been seen, and its number.
    numbers: HashMap<String, usize>,
    /// How many documents contain each word; words of queries that no document contains come last.
    documents_with: Vec<usize>,
    documents: usize,
    /// Words in all documents.
    length: usize,
}

impl Statistics {
    fn of<'a>(corpus: impl IntoIterator<Item = &'a str>) -> Self {
        let mut statistics = Self::default();
        for document in corpus {
            let counts = statistics.counts(document);
            statistics.documents += 1;
            statistics.length += counts.values().sum::<usize>();
            counts.keys().for_each(|&word| statistics.documents_with[word] += 1);
        }
        statistics
    }

    /// How many times each word occurs in a text, in the order of the words' numbers.
    fn counts(&mut self, text: &str) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for word in words(text) {
            let next = self.numbers.len();
            let number = *self.numbers.entry(word).or_insert(next);
            if number == self.documents_with.len() {
                self.documents_with.push(0);
            }
            *counts.entry(number).or_insert(0) += 1;
        }
        counts
    }

    fn idf(&self, word: usize) -> f32 {
        let documents = self.documents as f64;
        let with = self.documents_with[word] as f64;
        (1.0 + (documents - with + 0.5) / (with + 0.5)).ln() as f32
    }

    fn mean_length(&self) -> f32 {
        (self.length as f64 / self.documents.max(1) as f64) as f32
    }
}

/// The weights of a text's words, in the order of the words' numbers.
type Sparse = Vec<(usize, f32)>;

/// Turns texts into vectors whose dot product is their similarity.
struct Weights<'a> {
    weighting: Weighting,
    statistics: &'a mut Statistics,
}

impl Weights<'_> {
    fn of_query(&mut self, text: &str) -> Sparse {
        match self.weighting {
            Weighting::TfIdf => self.unit(text),
            Weighting::Bm25 => self.statistics.counts(text).into_iter().map(|(word, n)| (word, n as f32)).collect(),
        }
    }

    fn of_document(&mut self, text: &str) -> Sparse {
        if self.weighting == Weighting::TfIdf {
            return self.unit(text);
        }
        let counts = self.statistics.counts(text);
        let length = counts.values().sum::<usize>() as f32;
        let mean_length = self.statistics.mean_length().max(f32::MIN_POSITIVE);
        let damping = K1 * (1.0 - B + B * length / mean_length);
        let weight = |(word, n): (usize, usize)| (word, self.statistics.idf(word) * n as f32 / (n as f32 + damping));
        counts.into_iter().map(weight).collect()
    }

    /// The TF-IDF vector scaled to unit length.
    fn unit(&mut self, text: &str) -> Sparse {
        let counts = self.statistics.counts(text);
        let mut weights: Sparse =
            counts.into_iter().map(|(word, n)| (word, n as f32 * self.statistics.idf(word))).collect();
        let norm = weights.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
        if norm > 0.0 {
            weights.iter_mut().for_each(|(_, weight)| *weight /= norm);
        }
        weights
    }

    fn of_pairs(mut self, texts: &[String], relation: Relation, pairs: &[[usize; 2]]) -> Vec<f32> {
        let mut queries = HashMap::new();
        let mut documents = HashMap::new();
        let mut similarities = Vec::with_capacity(pairs.len());
        let mut similarity = |left: usize, right: usize| {
            let query = queries.entry(left).or_insert_with(|| self.of_query(&texts[left]));
            let document = documents.entry(right).or_insert_with(|| self.of_document(&texts[right]));
            dot(query, document)
        };
        for &[left, right] in pairs {
            similarities.push(match relation {
                Relation::QueryDocument => similarity(left, right),
                Relation::Symmetric => (similarity(left, right) + similarity(right, left)) / 2.0,
            });
        }
        similarities
    }
}

fn dot(a: &Sparse, b: &Sparse) -> f32 {
    let mut sum = 0.0;
    let mut b = b.iter().peekable();
    for (word, weight) in a {
        while b.next_if(|(other, _)| other < word).is_some() {}
        if let Some((_, other)) = b.next_if(|(other, _)| other == word) {
            sum += weight * other;
        }
    }
    sum
}

/// For each word, the documents that contain it and its weight there.
struct Index {
    postings: HashMap<usize, Vec<(usize, f32)>>,
}

impl Index {
    fn new(documents: impl Iterator<Item = Sparse>) -> Self {
        let mut postings: HashMap<usize, Vec<(usize, f32)>> = HashMap::new();
        for (index, document) in documents.enumerate() {
            for (word, weight) in document {
                postings.entry(word).or_default().push((index, weight));
            }
        }
        Self { postings }
    }

    /// The best documents by the sum of their dot products with several vectors, each in an index
    /// of its own.
    fn search(&self, vectors: &[(&Sparse, &Self)], k: usize) -> Vec<Hit> {
        let mut scores: HashMap<usize, f32> = HashMap::new();
        for (vector, index) in vectors {
            for (word, weight) in *vector {
                for (document, other) in index.postings.get(word).into_iter().flatten() {
                    *scores.entry(*document).or_insert(0.0) += weight * other;
                }
            }
        }
        let mut top = Top::new(k);
        scores.into_iter().for_each(|(index, score)| top.push(Hit { index, score }));
        top.into_sorted()
    }
}

/// Runs of letters and digits, in lower case; an apostrophe joins, so "don't" is one word.
fn words(text: &str) -> impl Iterator<Item = String> {
    let text = text.to_lowercase().replace('\'', "");
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned);
    words.collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
#[path = "tests/lexical.rs"]
mod tests;
