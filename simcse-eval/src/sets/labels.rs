//! Texts with a label: how often the nearest neighbors of a text have the same label.
//!
//! Each text gets the label that most of its ten nearest neighbors have, itself excluded. Equally
//! frequent labels are decided by their order: by number if all are integers, otherwise by
//! character. The figures are those of scikit-learn's `accuracy_score` and `f1_score` with
//! `average="macro"`, for the predictions of `KNeighborsClassifier(10, metric="cosine")` on each
//! text when it is trained on all others; of equally similar neighbors, the first in the file
//! count. A file is a table whose columns are named `text` and `label`, or the like.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use simcse_model::io::counted;

use crate::data::labels::read_labels;
use crate::data::rows::RowOptions;
use crate::data::texts::sha256;
use crate::error::Error;
use crate::metrics::classification::majority;
use crate::scores::{Figure, Scores, Unit};
use crate::set::{EvaluationSet, LeftOut, SetKind};
use crate::similarity::judge::{Relation, Similarity};
use crate::statistics::sample::Sample;

/// How many neighbors vote.
const NEIGHBORS: usize = 10;

/// Texts, each with a label.
#[derive(Debug, Clone)]
pub struct Labels {
    /// How many texts have no label.
    pub skipped: usize,
    path: PathBuf,
    texts: Vec<String>,
    /// The label of each text, as an index into `names`.
    labels: Vec<usize>,
    names: Vec<String>,
}

impl Labels {
    /// Reads a `.jsonl`, `.csv` or `.tsv` file, plain or gzip.
    ///
    /// # Errors
    /// An unreadable file, [`Error::Columns`] if it is not clear which columns hold texts and
    /// labels, [`Error::Splits`] if there are several splits and none is chosen, lines with missing
    /// or other fields, and [`Error::TooFew`] if there are not two different labels.
    pub fn read(path: impl AsRef<Path>, options: &RowOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut skipped = 0;
        let mut texts = Vec::new();
        let mut found = Vec::new();
        for row in read_labels(path, options)? {
            let Some(label) = row.label else {
                skipped += 1;
                continue;
            };
            texts.push(row.text);
            found.push(label);
        }
        let names = ordered(&found);
        if names.len() < 2 {
            let found =
                format!("{} in {}", counted(names.len(), "label", "labels"), counted(texts.len(), "text", "texts"));
            return Err(Error::TooFew { path: path.to_owned(), expected: "different labels", found });
        }
        let labels = found.iter().map(|label| names.iter().position(|name| name == label).expect("a known label"));
        Ok(Self { skipped, path: path.to_owned(), labels: labels.collect(), texts, names })
    }

    /// The texts, in the order of the file.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The distinct labels, in their order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// The distinct labels: by number if all are integers, otherwise by character.
fn ordered(labels: &[String]) -> Vec<String> {
    let mut names: Vec<String> = labels.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().ok());
    }
    names
}

impl EvaluationSet for Labels {
    fn kind(&self) -> SetKind {
        SetKind::Labels
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn texts_to_encode(&self) -> usize {
        self.texts.iter().collect::<BTreeSet<_>>().len()
    }

    fn left_out(&self) -> LeftOut {
        LeftOut { reasons: vec![("without_label", self.skipped)] }
    }

    /// For each text, a JSON line `[text, label]` is digested.
    fn sha256(&self) -> Result<String, Error> {
        Ok(sha256(self.texts.iter().zip(&self.labels).map(|(text, &label)| json!([text, self.names[label]]))))
    }

    fn entry(&self, index: usize) -> Vec<&str> {
        vec![&self.texts[index], &self.names[self.labels[index]]]
    }

    /// Lets the neighbors of each text vote. A text without any neighbor, which only judges that
    /// look for shared words leave, gets the most frequent label.
    fn score(&self, similarity: &mut dyn Similarity) -> Result<Option<Scores>, Error> {
        // One more than vote, because a text is usually the nearest to itself.
        let Some(hits) = similarity.nearest(&self.texts, &self.texts, Relation::Symmetric, NEIGHBORS + 1)? else {
            return Ok(None);
        };
        let fallback = majority(self.labels.iter().copied()).expect("at least two labels");
        let vote = |text: usize| {
            let others = hits[text].iter().map(|hit| hit.index).filter(|&index| index != text);
            majority(others.take(NEIGHBORS).map(|index| self.labels[index])).unwrap_or(fallback)
        };
        let predicted: Vec<usize> = (0..self.texts.len()).map(vote).collect();
        let right = predicted.iter().zip(&self.labels).map(|(a, b)| f64::from(u8::from(a == b))).collect();
        let figures = vec![
            Figure { name: "accuracy", label: "Accuracy", sample: Sample::Mean(right) },
            Figure {
                name: "macro_f1",
                label: "Macro F1",
                sample: Sample::MacroF1 { gold: self.labels.clone(), predicted },
            },
        ];
        Ok(Some(Scores::new(figures, self.texts.len(), Unit::Texts, similarity)))
    }
}
