//! Reranking: rank the candidates of a query so that similar ones come first.
//!
//! As in sentence-transformers' `RerankingEvaluator`, candidates are scored by cosine similarity to
//! the query, and queries without positives, or without negatives, are left out. Candidates of
//! equal tokens are tied here, and MAP and nDCG are then those of scikit-learn for equal scores;
//! in the reference, rounding may order them.
//!
//! ```
//! # use simcse_model::{Architecture, ModelConfig, ModelDirectory};
//! # use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
//! use simcse_eval::Reranking;
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
//! assert!(scores.map == 1.0 || scores.map == 0.5, "the positive is first or second");
//!
//! // Anything else that makes one vector for each text can be scored, too.
//! let counts = simcse_eval::lexical::tf_idf(["slow boot"], set.texts()?);
//! assert_eq!(set.score(counts.view())?.map, 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This file must not know how the embeddings were computed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ndarray::ArrayView2;
use serde_json::json;
use simcse_model::SentenceEncoder;
use simcse_model::io::Lines;

use crate::data::askubuntu::{Annotations, text_file, titles_of};
use crate::data::samples::each_sample;
use crate::data::split::Split;
use crate::data::texts::{DistinctTexts, sha256};
use crate::error::{Error, shown};
use crate::metrics::ranking::mrr;
use crate::metrics::unit_rows::unit_rows;
use crate::rerank_scores::{Bm25Scores, RerankScores};

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
    /// Reads one split of a directory, or a `.jsonl` file, which has no splits;
    /// [`data`](crate::data) describes both layouts.
    ///
    /// A directory without a text file is read, too: it can score [`Reranking::baseline_bm25`].
    ///
    /// # Errors
    /// Unreadable files, malformed lines, ids without a title, and data without any query to rank.
    pub fn read(path: impl AsRef<Path>, split: Split) -> Result<Self, Error> {
        let path = path.as_ref();
        if path.is_dir() { Self::read_directory(path, split) } else { Self::read_jsonl(Lines::open(path)?, path) }
    }

    /// Reads the content of a `.jsonl` file from memory; errors name it `name`.
    ///
    /// # Errors
    /// Malformed lines, and data without any query to rank.
    pub fn from_jsonl(text: &'static str, name: &str) -> Result<Self, Error> {
        Self::read_jsonl(Lines::of(name, text), Path::new(name))
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

    fn read_jsonl(lines: Lines, path: &Path) -> Result<Self, Error> {
        let mut builder = Builder::default();
        each_sample(lines, path, |sample| {
            if !builder.skips(&sample.relevant) {
                builder.push(&sample.query, &sample.candidates, sample.relevant);
            }
        })?;
        builder.finish(path)
    }

    /// The distinct texts that [`Reranking::score`] needs embeddings of.
    ///
    /// # Errors
    /// [`Error::NoTexts`] for a directory without a text file.
    pub fn texts(&self) -> Result<&[String], Error> {
        self.texts.as_deref().ok_or_else(|| Error::NoTexts { path: self.path.clone() })
    }

    /// SHA-256, in hexadecimal, of what is scored. For each query, a JSON line
    /// `[query, [[candidate, relevant], …]]` is digested.
    ///
    /// # Errors
    /// [`Error::NoTexts`].
    pub fn sha256(&self) -> Result<String, Error> {
        let texts = self.texts()?;
        let line = |Query { text, candidates, relevant }: &Query| {
            let candidates =
                candidates.iter().zip(relevant).map(|(&candidate, relevant)| (&texts[candidate], relevant));
            json!([texts[*text], candidates.collect::<Vec<_>>()])
        };
        Ok(sha256(self.queries.iter().map(line)))
    }

    /// Encodes every distinct text once and scores the rankings by cosine similarity. The model's
    /// prompts for queries and documents, if it has any, are put in front of queries and
    /// candidates.
    ///
    /// # Errors
    /// [`Error::NoTexts`], the encoder's errors, and embeddings with NaN or infinite values.
    pub fn evaluate(&self, encoder: &SentenceEncoder) -> Result<RerankScores, Error> {
        let scores = self.evaluate_while(encoder, None, |_| true)?;
        Ok(scores.expect("nothing stops it"))
    }

    /// [`evaluate`](Self::evaluate) with `prompt`, if it is given, in front of all texts instead of
    /// the model's prompts. It can be stopped: now and then `go_on` gets the number of texts
    /// encoded so far, and the result is `None` if it returns `false`.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate).
    pub fn evaluate_while(
        &self,
        encoder: &SentenceEncoder,
        prompt: Option<&str>,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<RerankScores>, Error> {
        let texts = self.texts()?;
        let prompts = &encoder.directory.prompts;
        let query_prompt = prompt.unwrap_or(prompts.query());
        let document_prompt = prompt.unwrap_or(prompts.document());
        if query_prompt == document_prompt {
            let embeddings = encoder.encode_with_prompt_while(query_prompt, texts, go_on)?;
            return embeddings.map(|embeddings| self.score(embeddings.view())).transpose();
        }
        // A text that is both a query and a candidate has two embeddings.
        let queries = Selection::new(self.queries.iter().map(|query| query.text));
        let candidates = Selection::new(self.queries.iter().flat_map(|query| query.candidates.iter().copied()));
        let query_texts = queries.select(texts);
        let Some(query_rows) = encoder.encode_with_prompt_while(query_prompt, &query_texts, &mut go_on)? else {
            return Ok(None);
        };
        let go_on = |done| go_on(query_texts.len() + done);
        let candidate_texts = candidates.select(texts);
        let Some(candidate_rows) = encoder.encode_with_prompt_while(document_prompt, &candidate_texts, go_on)? else {
            return Ok(None);
        };
        let query_rows = unit_rows(query_rows.view());
        let candidate_rows = unit_rows(candidate_rows.view());
        let similarity = |query: usize, candidate: usize| {
            query_rows.row(queries.rows[&query]).dot(&candidate_rows.row(candidates.rows[&candidate]))
        };
        self.score_by(texts, similarity).map(Some)
    }

    /// Scores the rankings by the cosine similarity of `embeddings`, (texts, C): one row for each
    /// of [`Reranking::texts`], whose norms do not matter.
    ///
    /// # Errors
    /// [`Error::NoTexts`], and [`Error::Query`] if a similarity is not finite.
    ///
    /// # Panics
    /// If the number of rows is not that of the texts.
    pub fn score(&self, embeddings: ArrayView2<f32>) -> Result<RerankScores, Error> {
        let texts = self.texts()?;
        assert_eq!(embeddings.nrows(), texts.len(), "one embedding for each distinct text");
        let unit = unit_rows(embeddings);
        self.score_by(texts, |query, candidate| unit.row(query).dot(&unit.row(candidate)))
    }

    /// Scores the rankings by the similarity of two texts, a query and a candidate.
    fn score_by(&self, texts: &[String], similarity: impl Fn(usize, usize) -> f32) -> Result<RerankScores, Error> {
        let of_query = |query: &Query| {
            let scores: Vec<f32> =
                query.candidates.iter().map(|&candidate| similarity(query.text, candidate)).collect();
            RerankScores::of_query(&query.relevant, &scores)
                .map_err(|source| Error::Query { query: shown(&texts[query.text]), source })
        };
        let each = self.queries.iter().map(of_query).collect::<Result<Vec<_>, _>>()?;
        Ok(RerankScores::mean(&each))
    }

    /// Scores the order in which the directory lists the candidates, which is BM25's. (BM25's
    /// scores have ties; the order has none.)
    ///
    /// # Errors
    /// [`Error::NoBm25Order`] for a `.jsonl` file.
    pub fn baseline_bm25(&self) -> Result<Bm25Scores, Error> {
        let rankings = self.bm25_order.as_ref().ok_or_else(|| Error::NoBm25Order { path: self.path.clone() })?;
        let mut published = Vec::new();
        let mut comparable = Vec::new();
        let mut reciprocal_ranks = 0.0;
        for relevant in rankings {
            // Metrics take scores, not ranks: any scores that fall with the rank will do.
            let falling: Vec<f32> = (0..relevant.len()).map(|rank| -(rank as f32)).collect();
            let undefined = |source| Error::Query { query: "BM25".to_owned(), source };
            let scores = RerankScores::of_query(relevant, &falling).map_err(undefined)?;
            reciprocal_ranks += mrr(relevant, &falling, relevant.len()).map_err(undefined)?;
            published.push(scores);
            if relevant.contains(&false) {
                comparable.push(scores);
            }
        }
        Ok(Bm25Scores {
            published: RerankScores::mean(&published),
            mrr: reciprocal_ranks / rankings.len().max(1) as f64,
            comparable: RerankScores::mean(&comparable),
        })
    }
}

/// Some of the texts, each once.
struct Selection {
    texts: Vec<usize>,
    /// The row of each text among the embeddings of the selection.
    rows: HashMap<usize, usize>,
}

impl Selection {
    fn new(all: impl Iterator<Item = usize>) -> Self {
        let mut texts = Vec::new();
        let mut rows = HashMap::new();
        for text in all {
            rows.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() - 1
            });
        }
        Self { texts, rows }
    }

    fn select<'a>(&self, texts: &'a [String]) -> Vec<&'a str> {
        self.texts.iter().map(|&text| texts[text].as_str()).collect()
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
