//! Pairs of texts that belong together: how often the nearest text of the other side is the right
//! one.
//!
//! The accuracies are those of sentence-transformers' `TranslationEvaluator`: from left to right,
//! from right to left, and their mean. MRR@10 is the mean of both directions. A file is a table
//! whose columns are named `anchor` and `positive`, `query` and `answer`, `sentence1` and
//! `sentence2`, or the like.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use simcse_model::io::counted;

use crate::data::positives::read_positives;
use crate::data::rows::RowOptions;
use crate::data::texts::{DistinctTexts, sha256};
use crate::error::Error;
use crate::scores::{Figure, Scores, Unit};
use crate::set::{EvaluationSet, LeftOut, SetKind};
use crate::similarity::judge::{Hit, Relation, Similarity};
use crate::statistics::sample::Sample;

/// The cutoff of MRR.
const AT_K: usize = 10;

/// Pairs of texts that belong together; each distinct text of a side is held once.
#[derive(Debug, Clone)]
pub struct Positives {
    /// The texts of each pair, as indices into the texts of the left and of the right side.
    pub pairs: Vec<[usize; 2]>,
    path: PathBuf,
    sides: [Vec<String>; 2],
}

impl Positives {
    /// Reads a `.jsonl`, `.csv` or `.tsv` file, plain or gzip.
    ///
    /// # Errors
    /// An unreadable file, [`Error::Columns`] if it is not clear which columns hold the texts,
    /// [`Error::Splits`] if there are several splits and none is chosen, lines with missing or
    /// other fields, and [`Error::TooFew`] if there are not two different texts to choose from.
    pub fn read(path: impl AsRef<Path>, options: &RowOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut sides = [DistinctTexts::default(), DistinctTexts::default()];
        let mut pairs = Vec::new();
        for [left, right] in read_positives(path, options)? {
            pairs.push([sides[0].number(&left), sides[1].number(&right)]);
        }
        let sides = sides.map(DistinctTexts::into_vec);
        if sides.iter().any(|texts| texts.len() < 2) {
            let found = counted(pairs.len(), "pair", "pairs");
            return Err(Error::TooFew { path: path.to_owned(), expected: "pairs of different texts", found });
        }
        Ok(Self { pairs, path: path.to_owned(), sides })
    }

    /// The distinct texts of the left and of the right side.
    #[must_use]
    pub fn sides(&self) -> [&[String]; 2] {
        self.sides.each_ref().map(Vec::as_slice)
    }
}

impl EvaluationSet for Positives {
    fn kind(&self) -> SetKind {
        SetKind::Pairs
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn texts_to_encode(&self) -> usize {
        self.sides.iter().flatten().collect::<HashSet<_>>().len()
    }

    fn left_out(&self) -> LeftOut {
        LeftOut::default()
    }

    /// For each pair, a JSON line `[left, right]` is digested.
    fn sha256(&self) -> Result<String, Error> {
        let [left, right] = self.sides();
        Ok(sha256(self.pairs.iter().map(|&[a, b]| json!([left[a], right[b]]))))
    }

    fn entry(&self, index: usize) -> Vec<&str> {
        let [a, b] = self.pairs[index];
        vec![&self.sides[0][a], &self.sides[1][b]]
    }

    /// Finds the right text among those of the other side, in both directions.
    fn score(&self, similarity: &mut dyn Similarity) -> Result<Option<Scores>, Error> {
        let [left, right] = self.sides();
        let Some(to_right) = similarity.nearest(left, right, Relation::Symmetric, AT_K)? else {
            return Ok(None);
        };
        let Some(to_left) = similarity.nearest(right, left, Relation::Symmetric, AT_K)? else {
            return Ok(None);
        };
        let to_right: Vec<f64> = self.pairs.iter().map(|&[a, b]| reciprocal_rank(&to_right[a], b)).collect();
        let to_left: Vec<f64> = self.pairs.iter().map(|&[a, b]| reciprocal_rank(&to_left[b], a)).collect();
        let first = |ranks: &[f64]| ranks.iter().map(|&rank| f64::from(u8::from(rank == 1.0))).collect::<Vec<_>>();
        let mean = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect::<Vec<_>>();
        let figure = |name, label, values| Figure { name, label, sample: Sample::Mean(values) };
        let [right_first, left_first] = [first(&to_right), first(&to_left)];
        let figures = vec![
            figure("mean_accuracy", "Accuracy", mean(&right_first, &left_first)),
            figure("src2trg_accuracy", "left to right", right_first),
            figure("trg2src_accuracy", "right to left", left_first),
            figure("mrr@10", "MRR@10", mean(&to_right, &to_left)),
        ];
        Ok(Some(Scores::new(figures, self.pairs.len(), Unit::Pairs, similarity)))
    }
}

/// 1 divided by the rank of the text, 0 if it is not among the hits.
fn reciprocal_rank(hits: &[Hit], text: usize) -> f64 {
    hits.iter().position(|hit| hit.index == text).map_or(0.0, |index| 1.0 / (index + 1) as f64)
}
