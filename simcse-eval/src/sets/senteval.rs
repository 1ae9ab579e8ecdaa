//! The STS sets that the SimCSE paper is judged by: STS12–16, STS-B and SICK-R.
//!
//! The figures are those of SentEval: Spearman's correlation of similarities and gold scores, for
//! STS12–16 over all subsets together or averaged over them ([`Aggregation`]), and the average of
//! the tasks. Pairs without a gold score are left out. STS13 is without its SMT subset.
//! [`data`](crate::data) describes the layout of the directory.

use std::path::{Path, PathBuf};

use serde_json::json;
use simcse_model::Named;

use crate::data::directories::entries_of;
use crate::data::senteval::{SentEvalTask, read_task};
use crate::data::texts::{DistinctTexts, sha256};
use crate::error::Error;
use crate::scores::{Figure, Scores, Unit};
use crate::set::{EvaluationSet, LeftOut, SetKind};
use crate::sets::sts::{Pair, check_differ};
use crate::similarity::judge::{Relation, Similarity};
use crate::statistics::sample::Sample;

/// How the subsets of a task become one figure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// All pairs together, as in the SimCSE paper.
    #[default]
    All,
    /// The mean of the subsets' figures.
    Mean,
    /// The mean weighted by the subsets' numbers of pairs.
    WeightedMean,
}

impl Named for Aggregation {
    const ALL: &'static [Self] = &[Self::All, Self::Mean, Self::WeightedMean];

    /// SentEval's names.
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mean => "mean",
            Self::WeightedMean => "wmean",
        }
    }
}

/// The tasks that a directory has; each distinct sentence is held once.
#[derive(Debug, Clone)]
pub struct SentEval {
    /// How the subsets of a task become one figure.
    pub aggregation: Aggregation,
    path: PathBuf,
    tasks: Vec<Task>,
    missing: Vec<SentEvalTask>,
    texts: Vec<String>,
}

#[derive(Debug, Clone)]
struct Task {
    task: SentEvalTask,
    subsets: Vec<Vec<Pair>>,
    skipped: usize,
}

impl SentEval {
    /// Reads the tasks that a directory has: SentEval's `data/downstream`, or one with the folders
    /// `STS12-en-test` and so on.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none of the tasks, or a task lacks a file; unreadable files,
    /// malformed lines, files of different lengths, and [`Error::EqualScores`].
    pub fn read(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let path = directory.as_ref();
        let mut texts = DistinctTexts::default();
        let mut tasks = Vec::new();
        let mut missing = Vec::new();
        for &task in SentEvalTask::ALL {
            let Some(subsets) = read_task(path, task)? else {
                missing.push(task);
                continue;
            };
            let mut found = Task { task, subsets: Vec::new(), skipped: 0 };
            for subset in subsets {
                let mut pairs = Vec::new();
                for pair in subset.pairs {
                    match pair.score {
                        Some(score) => {
                            let sentences = pair.sentences.each_ref().map(|sentence| texts.number(sentence));
                            pairs.push(Pair { score, sentences });
                        }
                        None => found.skipped += 1,
                    }
                }
                if pairs.is_empty() {
                    let expected = "pair with a score";
                    return Err(Error::Empty { path: subset.path, expected, skipped: found.skipped });
                }
                check_differ(&subset.path, &pairs)?;
                found.subsets.push(pairs);
            }
            tasks.push(found);
        }
        if tasks.is_empty() {
            let expected = "SentEval's layout (STS/STS12-en-test, STS/STSBenchmark, SICK, …)".to_owned();
            return Err(Error::Missing { path: path.to_owned(), expected, found: entries_of(path) });
        }
        let aggregation = Aggregation::default();
        Ok(Self { aggregation, path: path.to_owned(), tasks, missing, texts: texts.into_vec() })
    }

    /// The tasks that the directory has, with the number of pairs that are scored.
    pub fn tasks(&self) -> impl Iterator<Item = (SentEvalTask, usize)> {
        self.tasks.iter().map(|task| (task.task, task.pairs().count()))
    }

    /// The tasks that the directory does not have.
    #[must_use]
    pub fn missing(&self) -> &[SentEvalTask] {
        &self.missing
    }

    /// The distinct sentences.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.tasks.iter().flat_map(Task::pairs)
    }

    /// What a reader of the figures must know about the data.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.missing.is_empty() {
            let names: Vec<_> = self.missing.iter().map(|task| task.label()).collect();
            let all = SentEvalTask::ALL.len();
            let found = self.tasks.len();
            warnings.push(format!(
                "not in the directory: {}; the average is over {found} of {all} tasks",
                names.join(", ")
            ));
        }
        for (task, found) in self.tasks() {
            let published = task.published_pairs();
            if found != published {
                warnings.push(format!(
                    "{} has {found} pairs with a score; the published set has {published}",
                    task.label()
                ));
            }
        }
        warnings
    }
}

impl Task {
    fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.subsets.iter().flatten()
    }

    /// The figure of the task. `predicted` begins with the similarities of the task's pairs, which
    /// are taken from it.
    fn sample(&self, aggregation: Aggregation, predicted: &mut &[f32]) -> Sample {
        let mut take = |pairs: &[&Pair]| {
            let (taken, rest) = predicted.split_at(pairs.len());
            *predicted = rest;
            Sample::Spearman { gold: pairs.iter().map(|pair| pair.score).collect(), predicted: taken.to_vec() }
        };
        if aggregation == Aggregation::All || self.subsets.len() == 1 {
            return take(&self.pairs().collect::<Vec<_>>());
        }
        let weight = |pairs: &Vec<Pair>| if aggregation == Aggregation::Mean { 1.0 } else { pairs.len() as f64 };
        Sample::Average {
            weights: self.subsets.iter().map(weight).collect(),
            parts: self.subsets.iter().map(|pairs| take(&pairs.iter().collect::<Vec<_>>())).collect(),
        }
    }
}

impl EvaluationSet for SentEval {
    fn kind(&self) -> SetKind {
        SetKind::Sts
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn texts_to_encode(&self) -> usize {
        self.texts.len()
    }

    fn left_out(&self) -> LeftOut {
        LeftOut { reasons: vec![("without_score", self.tasks.iter().map(|task| task.skipped).sum())] }
    }

    /// For each pair, a JSON line `[task, score, a, b]` is digested.
    fn sha256(&self) -> Result<String, Error> {
        let text = |index: usize| &self.texts[index];
        let line = |task: SentEvalTask, pair: &Pair| {
            let [a, b] = pair.sentences;
            json!([task.name(), pair.score, text(a), text(b)])
        };
        let lines = self.tasks.iter().flat_map(|task| task.pairs().map(|pair| line(task.task, pair)));
        Ok(sha256(lines))
    }

    fn entry(&self, index: usize) -> Vec<&str> {
        let pair = self.pairs().nth(index).expect("an entry of the set");
        pair.sentences.iter().map(|&text| self.texts[text].as_str()).collect()
    }

    /// Correlates similarities with gold scores, for each task; the first figure is their average.
    fn score(&self, similarity: &mut dyn Similarity) -> Result<Option<Scores>, Error> {
        let pairs: Vec<[usize; 2]> = self.pairs().map(|pair| pair.sentences).collect();
        let Some(predicted) = similarity.pairs(&self.texts, Relation::Symmetric, &pairs)? else {
            return Ok(None);
        };
        let mut rest = &predicted[..];
        let samples: Vec<Sample> = self.tasks.iter().map(|task| task.sample(self.aggregation, &mut rest)).collect();
        let weights = vec![1.0; samples.len()];
        let average = Sample::Average { parts: samples.clone(), weights };
        let mut figures = vec![Figure { name: "average", label: "Average", sample: average }];
        for (task, sample) in self.tasks.iter().zip(samples) {
            figures.push(Figure { name: task.task.name(), label: task.task.label(), sample });
        }
        let mut scores = Scores::new(figures, pairs.len(), Unit::Pairs, similarity);
        scores.warnings.extend(self.warnings());
        Ok(Some(scores))
    }
}
