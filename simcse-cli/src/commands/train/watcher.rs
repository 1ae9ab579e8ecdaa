//! Watches a run and scores its model.

use std::path::Path;

use indicatif::ProgressBar;
use ndarray::Array2;
use serde_json::{Map, Value, json};
use simcse_eval::{Reranking, Sts};
use simcse_model::SentenceEncoder;
use simcse_train::{Error, Evaluation, Host, StepRecord};

use crate::report;
use crate::stop;

/// What a model is scored on.
#[derive(Default)]
pub(super) struct Scorer {
    /// The development set of reranking; models are compared by its MAP.
    pub(super) rerank: Option<Reranking>,
    /// The development set of similarities; without `rerank`, models are compared by Spearman's correlation.
    pub(super) sts: Option<Sts>,
    /// The test set, which the final model alone is scored on.
    pub(super) test: Option<Reranking>,
}

impl Scorer {
    /// Whether there is no development set.
    pub(super) fn is_blind(&self) -> bool {
        self.rerank.is_none() && self.sts.is_none()
    }

    /// The number of texts of the largest set.
    pub(super) fn texts(&self) -> usize {
        let rerank = self.rerank.iter().chain(&self.test).map(|set| set.texts().map_or(0, <[String]>::len));
        rerank.chain(self.sts.iter().map(|set| set.texts().len())).max().unwrap_or(0)
    }

    /// The figures of the development sets, under `eval_…`; `None` if there are none or the run is to stop.
    fn score(&self, encoder: &SentenceEncoder) -> Result<Option<Evaluation>, simcse_eval::Error> {
        let rerank = self.rerank.as_ref().map(|set| rerank(set, encoder, "eval")).transpose()?.flatten();
        let sts = self.sts.as_ref().map(|set| sts(set, encoder)).transpose()?.flatten();
        if stop::requested() {
            return Ok(None);
        }
        Ok(match (rerank, sts) {
            (Some(mut rerank), Some(sts)) => {
                rerank.figures.extend(sts.figures);
                Some(rerank)
            }
            (rerank, sts) => rerank.or(sts),
        })
    }
}

fn rerank(set: &Reranking, encoder: &SentenceEncoder, prefix: &str) -> Result<Option<Evaluation>, simcse_eval::Error> {
    let Some(embeddings) = encode(encoder, set.texts()?)? else { return Ok(None) };
    let scores = set.score(embeddings.view())?;
    Ok(Some(Evaluation { figures: figures(&json!(scores), prefix), objective: scores.map }))
}

fn sts(set: &Sts, encoder: &SentenceEncoder) -> Result<Option<Evaluation>, simcse_eval::Error> {
    let Some(embeddings) = encode(encoder, set.texts())? else { return Ok(None) };
    let scores = set.score(embeddings.view())?;
    Ok(Some(Evaluation { figures: figures(&json!(scores), "eval"), objective: scores.spearman_cosine }))
}

/// The embeddings of `texts`, one row each; `None` if the run is to stop.
fn encode(encoder: &SentenceEncoder, texts: &[String]) -> Result<Option<Array2<f32>>, simcse_eval::Error> {
    Ok(encoder.encode_while(texts, |_| !stop::requested())?)
}

/// The fields of `scores` but the counts, which do not change, under `<prefix>_…`.
pub(super) fn figures(scores: &Value, prefix: &str) -> Map<String, Value> {
    let fields =
        scores.as_object().into_iter().flatten().filter(|(name, _)| !["queries", "pairs"].contains(&name.as_str()));
    fields.map(|(name, value)| (format!("{prefix}_{name}"), value.clone())).collect()
}

/// Shows the run and scores its model.
pub(super) struct Watcher {
    pub(super) scorer: Scorer,
    pub(super) bar: ProgressBar,
}

impl Host for Watcher {
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        let evaluation = self.scorer.score(encoder).map_err(failed)?;
        if let Some(evaluation) = &evaluation {
            let figures = evaluation.figures.iter().filter_map(|(name, value)| {
                Some(format!("{} {:.4}", name.trim_start_matches("eval_"), value.as_f64()?))
            });
            let figures: Vec<_> = figures.collect();
            self.tell(&format!("step {}: {}", self.bar.position(), figures.join(", ")));
        }
        Ok(evaluation)
    }

    fn test(&mut self, encoder: &SentenceEncoder) -> simcse_train::Result<Option<Evaluation>> {
        self.scorer
            .test
            .as_ref()
            .map(|set| rerank(set, encoder, "test"))
            .transpose()
            .map(Option::flatten)
            .map_err(failed)
    }

    fn stepped(&mut self, record: &StepRecord, total_steps: u64) {
        let StepRecord { step, loss, learning_rate, sentences_per_second, .. } = record;
        let text = format!("loss {loss:.4}, learning rate {learning_rate:.2e}, {sentences_per_second:.1} sentences/s");
        self.bar.set_position(*step);
        self.bar.set_message(text.clone());
        if record.skipped {
            self.tell(&format!("warning: step {step}: loss or gradient is not finite; its update is skipped"));
        }
        let every = (total_steps / 10).max(1);
        if self.bar.is_hidden() && (step.is_multiple_of(every) || *step == 1) {
            self.tell(&format!("step {step}/{total_steps}: {text}"));
        }
    }

    fn saved(&mut self, checkpoint: &Path) {
        self.tell(&format!("saved {}", checkpoint.display()));
    }

    fn stop_requested(&self) -> bool {
        stop::requested()
    }
}

fn failed(error: simcse_eval::Error) -> Error {
    Error::Evaluation(Box::new(error))
}

impl Watcher {
    fn tell(&self, text: &str) {
        self.bar.suspend(|| report::note(text));
    }
}
