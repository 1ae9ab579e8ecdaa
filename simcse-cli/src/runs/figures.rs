//! The scores in a log: a run's figures on its development sets and on its test set.

use serde_json::{Map, Value};
use simcse_eval::UnlabeledScores;

use crate::runs::log::Log;

/// The value of a figure in one of a run's models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    pub(crate) step: u64,
    pub(crate) value: f64,
    /// Its 95% interval, low and high.
    pub(crate) interval: Option<[f64; 2]>,
}

/// A figure, in the models of a run.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    /// Its name in `metrics.jsonl`, without `eval_`.
    pub(crate) name: String,
    /// In order; those that are undefined are left out.
    pub(crate) scores: Vec<Score>,
}

impl Scored {
    /// That of the model before the first step.
    pub(crate) fn before(&self) -> Option<Score> {
        self.scores.iter().copied().find(|score| score.step == 0)
    }

    /// The newest one of a model that was trained.
    pub(crate) fn last(&self) -> Option<Score> {
        self.scores.iter().copied().rfind(|score| score.step > 0)
    }

    /// The best one of a model that was trained, the first of equals.
    pub(crate) fn best(&self) -> Option<Score> {
        let sign = if is_lower_better(&self.name) { -1.0 } else { 1.0 };
        let trained = self.scores.iter().copied().filter(|score| score.step > 0);
        trained.reduce(|best, score| if sign * score.value > sign * best.value { score } else { best })
    }
}

/// Whether the figure of this name, as in `metrics.jsonl`, is better when it is lower.
pub(crate) fn is_lower_better(name: &str) -> bool {
    let unlabeled = || UnlabeledScores::LOWER_IS_BETTER.iter().any(|figure| name.ends_with(figure));
    name.ends_with("loss") || (name.contains("unlabeled_") && unlabeled())
}

/// Whether the development figure of this name, without `eval_`, comes from labels.
pub(crate) fn has_labels(name: &str) -> bool {
    !name.starts_with("unlabeled_") && !name.starts_with("mlm_")
}

impl Log {
    /// The figures on the development sets, in the order of the log.
    pub(crate) fn development(&self) -> Vec<Scored> {
        self.scored("eval_")
    }

    /// The figures of the final model on the test set.
    pub(crate) fn test(&self) -> Vec<Scored> {
        self.scored("test_")
    }

    fn scored(&self, prefix: &str) -> Vec<Scored> {
        let mut figures: Vec<Scored> = Vec::new();
        for name in self.evaluations.iter().flat_map(Map::keys).filter(|name| !name.ends_with("_interval")) {
            let Some(plain) = name.strip_prefix(prefix) else { continue };
            if figures.iter().all(|figure| figure.name != plain) {
                let scores = self.evaluations.iter().filter_map(|line| score(line, name)).collect();
                figures.push(Scored { name: plain.to_owned(), scores });
            }
        }
        figures
    }
}

fn score(line: &Map<String, Value>, name: &str) -> Option<Score> {
    let ends = line.get(&format!("{name}_interval")).and_then(Value::as_array);
    let interval = ends.and_then(|ends| Some([ends.first()?.as_f64()?, ends.get(1)?.as_f64()?]));
    Some(Score { step: line.get("step")?.as_u64()?, value: line.get(name)?.as_f64()?, interval })
}
