//! Reranking: rank the candidates of a query so that similar ones come first.
//!
//! As in sentence-transformers' `RerankingEvaluator`, candidates are scored by their similarity to
//! the query, and queries without positives, or without negatives, are left out. Candidates of
//! equal tokens are tied here, and MAP and nDCG are then those of scikit-learn for equal scores;
//! in the reference, rounding may order them.
//!
//! ```
//! # use simcse_model::{Architecture, ModelConfig, ModelDirectory};
//! # use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
//! use simcse_eval::{EvaluationSet, Reranking};
//! # let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "slow", "boot", "wifi"];
//! # let config = ModelConfig {
//! #     vocab_size: words.len(),
//! #     hidden_size: 16,
//! #     num_hidden_layers: 1,
//! #     num_attention_heads: 2,
//! #     intermediate_size: 32,
//! #     ..ModelConfig::defaults(Architecture::Bert)
//! # };
//! # let tokenizer = Tokenizer::word_piece(&words, true)?;
//! # let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16)?;
//! # let encoder = SentenceEncoder::random(directory, 42);
//!
//! let text = r#"{"query": "slow boot", "positive": ["boot slow"], "negative": ["wifi"]}"#;
//! let set = Reranking::from_jsonl(text, "two candidates")?;
//! assert_eq!(set.texts()?, ["slow boot", "boot slow", "wifi"]);
//!
//! let scores = set.evaluate(&encoder)?;
//! let map = scores.get("map").unwrap();
//! assert!(map == 1.0 || map == 0.5, "the positive is first or second");
//!
//! // Anything else that judges similarity can be scored, too.
//! let words = set.score(&mut simcse_eval::similarity::Lexical::tf_idf())?.unwrap();
//! assert_eq!(words.get("map"), Some(1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This file must not know how the embeddings were computed.

use std::path::{Path, PathBuf};

use serde_json::json;
use simcse_model::io::Lines;

use crate::data::askubuntu::{Annotations, text_file, titles_of};
use crate::data::samples::{Sample, each_sample, each_sample_of};
use crate::data::split::Split;
use crate::data::texts::{DistinctTexts, sha256};
use crate::error::{Error, shown};
use crate::scores::{Scores, Unit};
use crate::set::{EvaluationSet, LeftOut, SetKind};
use crate::sets::bm25_order::Bm25Scores;
use crate::sets::rerank_figures::RerankFigures;
use crate::similarity::judge::{Relation, Similarity};

/// How many queries an evaluation leaves out, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// No candidate is similar.
    pub without_positives: usize,
    /// Every candidate is similar.
    pub without_negatives: usize,
}

impl Skipped {
    /// All queries left out.
    #[must_use]
    pub fn total(self) -> usize {
        self.without_positives + self.without_negatives
    }
}

/// A query and its candidates; texts are indices into [`Reranking::texts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The query's text.
    pub text: usize,
    /// The candidates' texts.
    pub candidates: Vec<usize>,
    /// Whether each candidate is similar to the query.
    pub relevant: Vec<bool>,
}

/// Queries with candidates to rank; each distinct text is held once.
#[derive(Debug, Clone)]
pub struct Reranking {
    /// The queries that have positives and negatives.
    pub queries: Vec<Query>,
    /// The queries left out of [`Self::queries`].
    pub skipped: Skipped,
    path: PathBuf,
    /// `None` for a directory without a text file: the indices are then those of distinct ids.
    texts: Option<Vec<String>>,
    /// Labels in BM25's order, for every query with a positive; `None` if the file's order is not
    /// BM25's.
    bm25_order: Option<Vec<Vec<bool>>>,
}

impl Reranking {
    /// Reads one split of a directory, or a file, which has no splits: `.jsonl`, or a table, `.csv`
    /// or `.tsv`. [`data`](crate::data) describes the layouts.
    ///
    /// A directory without a text file is read, too: it can score [`Reranking::baseline_bm25`].
    ///
    /// # Errors
    /// Unreadable files, malformed lines, ids without a title, and data without any query to rank.
    pub fn read(path: impl AsRef<Path>, split: Split) -> Result<Self, Error> {
        let path = path.as_ref();
        if path.is_dir() {
            return Self::read_directory(path, split);
        }
        let mut builder = Builder::default();
        each_sample_of(path, |sample| builder.add(sample))?;
        builder.finish(path)
    }

    /// Reads the content of a `.jsonl` file from memory; errors name it `name`.
    ///
    /// # Errors
    /// Malformed lines, and data without any query to rank.
    pub fn from_jsonl(text: &'static str, name: &str) -> Result<Self, Error> {
        let path = Path::new(name);
        let mut builder = Builder::default();
        each_sample(Lines::of(name, text), path, |sample| builder.add(sample))?;
        builder.finish(path)
    }

    fn read_directory(directory: &Path, split: Split) -> Result<Self, Error> {
        let file = directory.join(split.file_name());
        let annotations = Annotations::read(&file)?;
        let titles = match text_file(directory) {
            Some(path) => Some((titles_of(&path, &annotations.ids())?, path)),
            None => None,
        };
        let mut builder = Builder::default();
        let mut bm25_order = Vec::new();
        for annotation in annotations.each {
            let relevant = annotation.relevant();
            if relevant.contains(&true) {
                bm25_order.push(relevant.clone());
            }
            if builder.skips(&relevant) {
                continue;
            }
            let text_of = |id: String| match &titles {
                None => Ok(id),
                Some((titles, texts)) => titles.get(&id).cloned().ok_or_else(|| Error::UnknownId {
                    path: file.clone(),
                    line: annotation.line,
                    id: shown(&id),
                    texts: texts.clone(),
                }),
            };
            let query = text_of(annotation.query)?;
            let candidates = annotation.candidates.into_iter().map(text_of).collect::<Result<Vec<_>, _>>()?;
            builder.push(&query, &candidates, relevant);
        }
        let mut reranking = builder.finish(&file)?;
        reranking.bm25_order = Some(bm25_order);
        if titles.is_none() {
            reranking.texts = None;
            reranking.path = directory.to_owned();
        }
        Ok(reranking)
    }

    /// The distinct texts of queries and candidates.
    ///
    /// # Errors
    /// [`Error::NoTexts`] for a directory without a text file.
    pub fn texts(&self) -> Result<&[String], Error> {
        self.texts.as_deref().ok_or_else(|| Error::NoTexts { path: self.path.clone() })
    }

    /// Scores the order in which the directory lists the candidates, which is BM25's.
    ///
    /// # Errors
    /// [`Error::NoBm25Order`] for a `.jsonl` file.
    pub fn baseline_bm25(&self) -> Result<Bm25Scores, Error> {
        let rankings = self.bm25_order.as_ref().ok_or_else(|| Error::NoBm25Order { path: self.path.clone() })?;
        Bm25Scores::of(rankings).map_err(|source| Error::Query { query: "BM25".to_owned(), source })
    }
}

impl EvaluationSet for Reranking {
    fn kind(&self) -> SetKind {
        SetKind::Rerank
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn texts_to_encode(&self) -> usize {
        self.texts.as_ref().map_or(0, Vec::len)
    }

    fn left_out(&self) -> LeftOut {
        let Skipped { without_positives, without_negatives } = self.skipped;
        LeftOut { reasons: vec![("without_positives", without_positives), ("without_negatives", without_negatives)] }
    }

    /// For each query, a JSON line `[query, [[candidate, relevant], …]]` is digested.
    fn sha256(&self) -> Result<String, Error> {
        let texts = self.texts()?;
        let line = |Query { text, candidates, relevant }: &Query| {
            let candidates =
                candidates.iter().zip(relevant).map(|(&candidate, relevant)| (&texts[candidate], relevant));
            json!([texts[*text], candidates.collect::<Vec<_>>()])
        };
        Ok(sha256(self.queries.iter().map(line)))
    }

    fn entry(&self, index: usize) -> Vec<&str> {
        self.texts.iter().map(|texts| texts[self.queries[index].text].as_str()).collect()
    }

    /// Ranks the candidates of each query by their similarity to it.
    fn score(&self, similarity: &mut dyn Similarity) -> Result<Option<Scores>, Error> {
        let texts = self.texts()?;
        let of_query = |query: &Query| query.candidates.iter().map(|&candidate| [query.text, candidate]).collect();
        let pairs: Vec<[usize; 2]> = self.queries.iter().flat_map(|query| -> Vec<_> { of_query(query) }).collect();
        let Some(similarities) = similarity.pairs(texts, Relation::QueryDocument, &pairs)? else {
            return Ok(None);
        };
        let mut similarities = &similarities[..];
        let mut figures = RerankFigures::default();
        for query in &self.queries {
            let (scores, rest) = similarities.split_at(query.candidates.len());
            let odd = |source| Error::Query { query: shown(&texts[query.text]), source };
            figures.push(&query.relevant, scores).map_err(odd)?;
            similarities = rest;
        }
        Ok(Some(Scores::new(figures.figures(), self.queries.len(), Unit::Queries, similarity)))
    }
}

/// Collects the queries that can be scored and counts the others.
#[derive(Default)]
struct Builder {
    texts: DistinctTexts,
    queries: Vec<Query>,
    skipped: Skipped,
}

impl Builder {
    fn add(&mut self, sample: Sample) {
        if !self.skips(&sample.relevant) {
            self.push(&sample.query, &sample.candidates, sample.relevant);
        }
    }

    /// Whether a query must be left out; if so, it is counted.
    fn skips(&mut self, relevant: &[bool]) -> bool {
        let positives = relevant.contains(&true);
        let negatives = relevant.contains(&false);
        self.skipped.without_positives += usize::from(!positives);
        self.skipped.without_negatives += usize::from(positives && !negatives);
        !positives || !negatives
    }

    fn push(&mut self, query: &str, candidates: &[String], relevant: Vec<bool>) {
        let text = self.texts.number(query);
        let candidates = candidates.iter().map(|candidate| self.texts.number(candidate)).collect();
        self.queries.push(Query { text, candidates, relevant });
    }

    fn finish(self, path: &Path) -> Result<Reranking, Error> {
        if self.queries.is_empty() {
            let expected = "query with positives and negatives";
            return Err(Error::Empty { path: path.to_owned(), expected, skipped: self.skipped.total() });
        }
        Ok(Reranking {
            queries: self.queries,
            skipped: self.skipped,
            path: path.to_owned(),
            texts: Some(self.texts.into_vec()),
            bm25_order: None,
        })
    }
}
