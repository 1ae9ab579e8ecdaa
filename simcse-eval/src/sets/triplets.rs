//! Triplets: how often a text is more similar to the one that belongs to it than to the other.
//!
//! The figure is that of sentence-transformers' `TripletEvaluator`. A file is a table whose columns
//! are named `anchor`, `positive` and `negative`, `query`, `positive` and `negative`, or, as in
//! SimCSE's NLI file, `sent0`, `sent1` and `hard_neg`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::data::rows::RowOptions;
use crate::data::texts::{DistinctTexts, sha256};
use crate::data::triplets::read_triplets;
use crate::error::Error;
use crate::scores::{Figure, Scores, Unit};
use crate::set::{EvaluationSet, LeftOut, SetKind};
use crate::similarity::judge::{Relation, Similarity};
use crate::statistics::sample::Sample;

/// Anchors with a positive and a negative; each distinct text is held once.
#[derive(Debug, Clone)]
pub struct Triplets {
    /// Anchor, positive and negative, as indices into [`Triplets::texts`].
    pub triplets: Vec<[usize; 3]>,
    path: PathBuf,
    texts: Vec<String>,
}

impl Triplets {
    /// Reads a `.jsonl`, `.csv` or `.tsv` file, plain or gzip.
    ///
    /// # Errors
    /// An unreadable file, [`Error::Columns`] if it is not clear which columns hold the texts,
    /// [`Error::Splits`] if there are several splits and none is chosen, lines with missing or
    /// other fields, and data without any triplet.
    pub fn read(path: impl AsRef<Path>, options: &RowOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut texts = DistinctTexts::default();
        let rows = read_triplets(path, options)?;
        let triplets: Vec<_> = rows.iter().map(|row| row.each_ref().map(|text| texts.number(text))).collect();
        if triplets.is_empty() {
            return Err(Error::Empty { path: path.to_owned(), expected: "triplet", skipped: 0 });
        }
        Ok(Self { triplets, path: path.to_owned(), texts: texts.into_vec() })
    }

    /// The distinct texts.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}

impl EvaluationSet for Triplets {
    fn kind(&self) -> SetKind {
        SetKind::Triplets
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn texts_to_encode(&self) -> usize {
        self.texts.len()
    }

    fn left_out(&self) -> LeftOut {
        LeftOut::default()
    }

    /// For each triplet, a JSON line `[anchor, positive, negative]` is digested.
    fn sha256(&self) -> Result<String, Error> {
        Ok(sha256(self.triplets.iter().map(|triplet| json!(triplet.map(|text| &self.texts[text])))))
    }

    fn entry(&self, index: usize) -> Vec<&str> {
        self.triplets[index].iter().map(|&text| self.texts[text].as_str()).collect()
    }

    /// Compares the two similarities of each anchor. Equal ones count against the judge.
    fn score(&self, similarity: &mut dyn Similarity) -> Result<Option<Scores>, Error> {
        let pairs: Vec<[usize; 2]> = self
            .triplets
            .iter()
            .flat_map(|&[anchor, positive, negative]| [[anchor, positive], [anchor, negative]])
            .collect();
        let Some(similarities) = similarity.pairs(&self.texts, Relation::QueryDocument, &pairs)? else {
            return Ok(None);
        };
        let right = similarities.chunks_exact(2).map(|pair| f64::from(u8::from(pair[0] > pair[1]))).collect();
        let figures = vec![Figure { name: "cosine_accuracy", label: "Accuracy", sample: Sample::Mean(right) }];
        Ok(Some(Scores::new(figures, self.triplets.len(), Unit::Triplets, similarity)))
    }
}
