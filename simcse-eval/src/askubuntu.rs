//! AskUbuntu: rank the candidates of a question so that similar questions come first.
//!
//! Two layouts are read. A directory like github.com/taolei87/askubuntu (Lei et al. 2016):
//!
//! | file | fields, separated by tabs |
//! |---|---|
//! | `text_tokenized.txt.gz` or `.txt` | question id, title, body (only titles are used) |
//! | `dev.txt`, `test.txt` | query id, similar ids, candidate ids, BM25 scores; lists separated by spaces |
//!
//! Or a file with one JSON object `{"query": "…", "positive": ["…"], "negative": ["…"]}` a line.
//!
//! As in sentence-transformers' `RerankingEvaluator`, candidates are scored by cosine similarity to the query, and
//! queries without positives, or without negatives, are left out.

use std::path::{Path, PathBuf};

use ndarray::ArrayView2;
use serde::Serialize;
use serde_json::json;
use simcse_model::SentenceEncoder;

use crate::corpus::{Annotations, each_sample, text_file, titles_of};
use crate::error::{Error, shown};
use crate::metrics::{self, MetricError};
use crate::text::{Interner, Lines, sha256};

/// The cut-off of MRR and nDCG.
const AT_K: usize = 10;

/// Which queries of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// `dev.txt`
    Dev,
    /// `test.txt`
    Test,
}

impl Split {
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Dev => "dev.txt",
            Self::Test => "test.txt",
        }
    }
}

/// How many queries are left out, and why.
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

/// Queries with candidates to rank, each distinct text once.
#[derive(Debug, Clone)]
pub struct Reranking {
    /// The queries that have positives and negatives.
    pub queries: Vec<Query>,
    /// The queries left out.
    pub skipped: Skipped,
    path: PathBuf,
    /// `None` for a directory without a text file: the indices then number ids.
    texts: Option<Vec<String>>,
    /// Labels in BM25's order, for every query with a positive; `None` where the order means nothing.
    bm25_order: Option<Vec<Vec<bool>>>,
}

/// Averages over queries, each between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RerankScores {
    /// Mean average precision.
    pub map: f64,
    /// Mean reciprocal rank, 0 for a first positive beyond rank 10.
    #[serde(rename = "mrr@10")]
    pub mrr_at_10: f64,
    /// Normalized discounted cumulative gain of the first 10.
    #[serde(rename = "ndcg@10")]
    pub ndcg_at_10: f64,
    /// Share of queries whose first candidate is similar.
    #[serde(rename = "p@1")]
    pub p_at_1: f64,
    /// Share of similar candidates among the first 5.
    #[serde(rename = "p@5")]
    pub p_at_5: f64,
    /// How many queries were averaged.
    pub queries: usize,
}

/// The baseline: candidates in the order in which BM25 found them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bm25Scores {
    /// Over every query with a positive, those without negatives included: the rule of the published figures.
    #[serde(flatten)]
    pub published: RerankScores,
    /// Mean reciprocal rank over the whole list, which is what was published.
    pub mrr: f64,
    /// Over the queries that [`Reranking::evaluate`] scores: what a model's figures compare with.
    pub comparable: RerankScores,
}

impl RerankScores {
    fn of_query(relevant: &[bool], scores: &[f32]) -> Result<Self, MetricError> {
        Ok(Self {
            map: metrics::average_precision(relevant, scores)?,
            mrr_at_10: metrics::mrr(relevant, scores, AT_K)?,
            ndcg_at_10: metrics::ndcg(relevant, scores, AT_K)?,
            p_at_1: metrics::precision(relevant, scores, 1)?,
            p_at_5: metrics::precision(relevant, scores, 5)?,
            queries: 1,
        })
    }

    /// The mean over queries; of none, zeros.
    fn mean(each: &[Self]) -> Self {
        let mean = |figure: fn(&Self) -> f64| each.iter().map(figure).sum::<f64>() / each.len().max(1) as f64;
        Self {
            map: mean(|scores| scores.map),
            mrr_at_10: mean(|scores| scores.mrr_at_10),
            ndcg_at_10: mean(|scores| scores.ndcg_at_10),
            p_at_1: mean(|scores| scores.p_at_1),
            p_at_5: mean(|scores| scores.p_at_5),
            queries: each.len(),
        }
    }
}

impl Reranking {
    /// Reads a directory's split, or a `.jsonl` file, which has no splits.
    ///
    /// A directory without a text file is read too: it can score [`Reranking::baseline_bm25`].
    ///
    /// # Errors
    /// Unreadable files, lines not in the format, ids without a title, and data without any query to rank.
    pub fn read(path: &Path, split: Split) -> Result<Self, Error> {
        if path.is_dir() { Self::read_directory(path, split) } else { Self::read_jsonl(Lines::open(path)?, path) }
    }

    /// Takes the content of a `.jsonl` file from memory; `name` stands for its path in errors.
    ///
    /// # Errors
    /// Lines not in the format, and data without any query to rank.
    pub fn from_jsonl(text: &'static str, name: &str) -> Result<Self, Error> {
        Self::read_jsonl(Lines::of(text, name), Path::new(name))
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
        each_sample(lines, |sample| {
            let relevant = [vec![true; sample.positive.len()], vec![false; sample.negative.len()]].concat();
            if !builder.skips(&relevant) {
                builder.push(&sample.query, &[sample.positive, sample.negative].concat(), relevant);
            }
        })?;
        builder.finish(path)
    }

    /// The distinct texts that [`Reranking::score`] wants embeddings of.
    ///
    /// # Errors
    /// [`Error::NoTexts`] for a directory without a text file.
    pub fn texts(&self) -> Result<&[String], Error> {
        self.texts.as_deref().ok_or_else(|| Error::NoTexts { path: self.path.clone() })
    }

    /// SHA-256 of what is scored, a JSON line `[query, [[candidate, relevant], …]]` for each query, in hexadecimal.
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

    /// Encodes every distinct text once and scores the rankings by cosine similarity.
    ///
    /// # Errors
    /// [`Error::NoTexts`], what the encoder says, and embeddings with NaN or infinite values.
    pub fn evaluate(&self, encoder: &SentenceEncoder) -> Result<RerankScores, Error> {
        self.score(encoder.encode(self.texts()?)?.view())
    }

    /// Scores the rankings by the cosine similarity of `embeddings`, (texts, C), one row for each of
    /// [`Reranking::texts`], of any length.
    ///
    /// # Errors
    /// [`Error::NoTexts`], and [`Error::Query`] if a similarity is not finite.
    ///
    /// # Panics
    /// If there are not as many rows as texts.
    pub fn score(&self, embeddings: ArrayView2<f32>) -> Result<RerankScores, Error> {
        let texts = self.texts()?;
        assert_eq!(embeddings.nrows(), texts.len(), "one embedding for each distinct text");
        let unit = metrics::unit_rows(embeddings);
        let of_query = |query: &Query| {
            let similarity = |&candidate: &usize| unit.row(query.text).dot(&unit.row(candidate));
            let scores: Vec<f32> = query.candidates.iter().map(similarity).collect();
            RerankScores::of_query(&query.relevant, &scores)
                .map_err(|source| Error::Query { query: shown(&texts[query.text]), source })
        };
        let each = self.queries.iter().map(of_query).collect::<Result<Vec<_>, _>>()?;
        Ok(RerankScores::mean(&each))
    }

    /// Scores the order in which the directory lists the candidates, which is BM25's. (Its scores have ties; the order
    /// has none.)
    ///
    /// # Errors
    /// [`Error::NoBm25Order`] for a `.jsonl` file.
    pub fn baseline_bm25(&self) -> Result<Bm25Scores, Error> {
        let rankings = self.bm25_order.as_ref().ok_or_else(|| Error::NoBm25Order { path: self.path.clone() })?;
        let (mut published, mut comparable, mut reciprocal_ranks) = (Vec::new(), Vec::new(), 0.0);
        for relevant in rankings {
            let falling: Vec<f32> = (0..relevant.len()).map(|rank| -(rank as f32)).collect();
            let undefined = |source| Error::Query { query: "BM25".to_owned(), source };
            let scores = RerankScores::of_query(relevant, &falling).map_err(undefined)?;
            reciprocal_ranks += metrics::mrr(relevant, &falling, relevant.len()).map_err(undefined)?;
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

#[derive(Default)]
struct Builder {
    interner: Interner,
    queries: Vec<Query>,
    skipped: Skipped,
}

impl Builder {
    /// Whether a query is to be left out; counts it.
    fn skips(&mut self, relevant: &[bool]) -> bool {
        let (positives, negatives) = (relevant.contains(&true), relevant.contains(&false));
        self.skipped.without_positives += usize::from(!positives);
        self.skipped.without_negatives += usize::from(positives && !negatives);
        !positives || !negatives
    }

    fn push(&mut self, query: &str, candidates: &[String], relevant: Vec<bool>) {
        let text = self.interner.number(query);
        let candidates = candidates.iter().map(|candidate| self.interner.number(candidate)).collect();
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
            texts: Some(self.interner.into_texts()),
            bm25_order: None,
        })
    }
}
