//! Scores the models of a run.

use serde_json::{Map, Value, json};
use simcse_eval::{Reranking, Sts};
use simcse_model::SentenceEncoder;
use simcse_train::{Evaluation, EvaluationSource};

use crate::commands::train::args::TrainArgs;
use crate::error::Failure;
use crate::stop;

/// What a model is scored on.
#[derive(Default)]
pub(super) struct Scorer {
    /// The reranking development set; models are compared by their MAP on it.
    pub(super) rerank: Option<Reranking>,
    /// The similarity development set; without `rerank`, models are compared by their Spearman
    /// correlation on it.
    pub(super) sts: Option<Sts>,
    /// The test set, on which only the final model is scored.
    pub(super) test: Option<Reranking>,
    pub(super) unlabeled: Option<simcse_eval::Unlabeled>,
}

impl Scorer {
    /// Checks that there is a development set if the arguments need one.
    pub(super) fn check_used(&self, args: &TrainArgs) -> Result<(), Failure> {
        let needed = ["eval_steps", "load_best_model_at_end"].iter().any(|name| args.settings.get(name).is_some());
        if !needed || self.rerank.is_some() || self.sts.is_some() {
            return Ok(());
        }
        let message = "--eval-steps and --load-best-model-at-end need a development set: --eval-rerank or --eval-sts";
        Err(Failure::Usage(message.to_owned()))
    }

    /// The digests of the sets, for `run.toml`.
    pub(super) fn source(&self) -> Result<EvaluationSource, simcse_eval::Error> {
        let rerank = |set: &Option<Reranking>| set.as_ref().map(Reranking::sha256).transpose();
        let sts = self.sts.as_ref().map(Sts::sha256);
        Ok(EvaluationSource { rerank: rerank(&self.rerank)?, sts, test: rerank(&self.test)? })
    }

    /// The number of texts in the largest set.
    pub(super) fn texts(&self) -> usize {
        let rerank = self.rerank.iter().chain(&self.test).map(|set| set.texts().map_or(0, <[String]>::len));
        rerank.chain(self.sts.iter().map(|set| set.texts().len())).max().unwrap_or(0)
    }

    /// The figures on the development sets, named `eval_…`; `None` if there are no sets, or if a
    /// stop was requested.
    pub(super) fn score(&self, encoder: &SentenceEncoder) -> Result<Option<Evaluation>, simcse_eval::Error> {
        let rerank = self.rerank.as_ref().map(|set| rerank(set, encoder, "eval")).transpose()?.flatten();
        let sts = self.sts.as_ref().map(|set| sts(set, encoder)).transpose()?.flatten();
        let unlabeled = self.unlabeled.as_ref().map(|set| unlabeled(set, encoder)).transpose()?.flatten();
        if stop::requested() {
            return Ok(None);
        }
        let sts = match (sts, unlabeled) {
            (Some(mut sts), Some(unlabeled)) => {
                sts.figures.extend(unlabeled.figures);
                Some(sts)
            }
            (sts, unlabeled) => sts.or(unlabeled),
        };
        Ok(match (rerank, sts) {
            (Some(mut rerank), Some(sts)) => {
                rerank.figures.extend(sts.figures);
                Some(rerank)
            }
            (rerank, sts) => rerank.or(sts),
        })
    }
}

pub(super) fn rerank(
    set: &Reranking,
    encoder: &SentenceEncoder,
    prefix: &str,
) -> Result<Option<Evaluation>, simcse_eval::Error> {
    let Some(scores) = set.evaluate_while(encoder, None, |_| !stop::requested())? else { return Ok(None) };
    Ok(Some(Evaluation { figures: figures(&json!(scores), prefix), metric: scores.map }))
}

fn sts(set: &Sts, encoder: &SentenceEncoder) -> Result<Option<Evaluation>, simcse_eval::Error> {
    let Some(scores) = set.evaluate_while(encoder, None, |_| !stop::requested())? else { return Ok(None) };
    Ok(Some(Evaluation { figures: figures(&json!(scores), "eval"), metric: scores.spearman_cosine }))
}

fn unlabeled(
    set: &simcse_eval::Unlabeled,
    encoder: &SentenceEncoder,
) -> Result<Option<Evaluation>, simcse_eval::Error> {
    let Some(scores) = set.evaluate_while(encoder, |_| !stop::requested())? else { return Ok(None) };
    Ok(Some(Evaluation { figures: figures(&json!(scores), "eval_unlabeled"), metric: scores.corruption_mrr }))
}

/// The fields of `scores`, named `<prefix>_…`, without the counts, which do not change.
pub(super) fn figures(scores: &Value, prefix: &str) -> Map<String, Value> {
    let fields =
        scores.as_object().into_iter().flatten().filter(|(name, _)| !["queries", "pairs"].contains(&name.as_str()));
    fields.map(|(name, value)| (format!("{prefix}_{name}"), value.clone())).collect()
}
