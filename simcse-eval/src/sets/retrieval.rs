//! Retrieval: rank all documents of a corpus for each query.
//!
//! The figures are those of sentence-transformers' `InformationRetrievalEvaluator`: equally similar
//! documents are ranked by their ids, a relevant document that the corpus lacks counts as not
//! found, and average precision at 100 is divided by the number of relevant documents, at most 100.
//! As in BEIR, a document with the id of the query is left out of its candidates, unless it is
//! judged relevant.
//!
//! A data set is a directory in BEIR's layout: `corpus.jsonl`, `queries.jsonl` and
//! `qrels/<split>.tsv`, each plain or gzip. Documents are encoded in blocks, and only the best of
//! them are kept for each query: the embeddings of a large corpus are never in memory together.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::json;
use simcse_model::io::counted;

use crate::data::beir::Beir;
use crate::data::texts::sha256;
use crate::error::Error;
use crate::metrics::retrieval::{average_precision_at, ndcg_at, recall_at, reciprocal_rank_at};
use crate::scores::{Figure, Scores, Unit};
use crate::set::{EvaluationSet, LeftOut, SetKind};
use crate::similarity::judge::{Relation, Similarity};
use crate::statistics::sample::Sample;

/// The cutoff of average precision and recall.
const DEEP: usize = 100;
/// The cutoff of MRR and nDCG.
const SHALLOW: usize = 10;

/// Queries, a corpus, and which documents are relevant.
#[derive(Debug, Clone)]
pub struct Retrieval {
    path: PathBuf,
    queries: Vec<String>,
    /// The documents, sorted by id.
    corpus: Vec<String>,
    ids: Vec<String>,
    judgments: Vec<Judgment>,
    without_positives: usize,
}

/// What is known about a query.
#[derive(Debug, Clone)]
struct Judgment {
    /// The relevant documents of the corpus.
    relevant: HashSet<usize>,
    /// The ids of all relevant documents, of which the corpus may lack some.
    ids: BTreeSet<String>,
    /// The document with the query's own id, which is not a candidate.
    own: Option<usize>,
}

impl Retrieval {
    /// Reads a directory, and of its judgments one split, `test` by default.
    ///
    /// # Errors
    /// [`Error::Missing`] for files that are not there, unreadable files, malformed lines, ids that
    /// occur twice, judgments of unknown queries, and data without any relevant document.
    pub fn read(directory: impl AsRef<Path>, split: Option<&str>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let Beir { corpus, queries, relevant, without_positives } = Beir::read(directory, split)?;
        let (ids, corpus): (Vec<_>, Vec<_>) = corpus.into_iter().unzip();
        let places: HashMap<&str, usize> = ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        let judged = |((id, _), ids): (&(String, String), BTreeSet<String>)| {
            let relevant: HashSet<usize> = ids.iter().filter_map(|id| places.get(&id[..]).copied()).collect();
            let own = places.get(&id[..]).copied().filter(|own| !relevant.contains(own));
            Judgment { relevant, ids, own }
        };
        let judgments = queries.iter().zip(relevant).map(judged).collect();
        let queries = queries.into_iter().map(|(_, text)| text).collect();
        Ok(Self { path: directory.to_owned(), queries, corpus, ids, judgments, without_positives })
    }

    /// How many documents there are.
    #[must_use]
    pub fn corpus_size(&self) -> usize {
        self.corpus.len()
    }

    /// What a reader of the figures must know about the data.
    fn warnings(&self) -> Vec<String> {
        let absent = |judgment: &Judgment| judgment.ids.len() - judgment.relevant.len();
        let absent: usize = self.judgments.iter().map(absent).sum();
        let own = self.judgments.iter().filter(|judgment| judgment.own.is_some()).count();
        let mut warnings = Vec::new();
        if absent > 0 {
            let documents = counted(absent, "relevant document", "relevant documents");
            warnings.push(format!("{documents} missing from the corpus: counted as not found"));
        }
        if own > 0 {
            let queries = counted(own, "query", "queries");
            warnings.push(format!("a document with the query's own id was left out of the candidates of {queries}"));
        }
        warnings
    }
}

impl EvaluationSet for Retrieval {
    fn kind(&self) -> SetKind {
        SetKind::Retrieval
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn texts_to_encode(&self) -> usize {
        let distinct: HashSet<&String> = self.corpus.iter().chain(&self.queries).collect();
        distinct.len()
    }

    fn left_out(&self) -> LeftOut {
        LeftOut { reasons: vec![("without_positives", self.without_positives)] }
    }

    /// JSON lines `[id, text]` of the documents, sorted by id, and `[query, [id, …]]` of the
    /// queries with their relevant documents are digested.
    fn sha256(&self) -> Result<String, Error> {
        let documents = self.ids.iter().zip(&self.corpus).map(|(id, text)| json!([id, text]));
        let queries = self.queries.iter().zip(&self.judgments).map(|(query, judgment)| json!([query, judgment.ids]));
        Ok(sha256(documents.chain(queries)))
    }

    fn entry(&self, index: usize) -> Vec<&str> {
        vec![&self.queries[index]]
    }

    /// Ranks the corpus for each query by similarity.
    fn score(&self, similarity: &mut dyn Similarity) -> Result<Option<Scores>, Error> {
        // One more than counts, because the query's own document may be among them.
        let found = similarity.nearest(&self.queries, &self.corpus, Relation::QueryDocument, DEEP + 1)?;
        let Some(found) = found else { return Ok(None) };
        let mut values = [const { Vec::new() }; 4];
        for (hits, judgment) in found.iter().zip(&self.judgments) {
            let candidates = hits.iter().map(|hit| hit.index).filter(|&index| Some(index) != judgment.own);
            let hits: Vec<bool> = candidates.take(DEEP).map(|index| judgment.relevant.contains(&index)).collect();
            let relevant = judgment.ids.len();
            values[0].push(average_precision_at(&hits, relevant, DEEP));
            values[1].push(reciprocal_rank_at(&hits, SHALLOW));
            values[2].push(ndcg_at(&hits, relevant, SHALLOW));
            values[3].push(recall_at(&hits, relevant, DEEP));
        }
        let names =
            [("map@100", "MAP@100"), ("mrr@10", "MRR@10"), ("ndcg@10", "nDCG@10"), ("recall@100", "Recall@100")];
        let figure = |((name, label), values)| Figure { name, label, sample: Sample::Mean(values) };
        let figures = names.into_iter().zip(values).map(figure).collect();
        let mut scores = Scores::new(figures, self.queries.len(), Unit::Queries, similarity);
        scores.warnings.extend(self.warnings());
        Ok(Some(scores))
    }
}
