//! Scores the models of a run.

use serde_json::{Map, Value};
use simcse_eval::{Cosine, Encoded, EvaluationSet, Reranking, Scores, Sts};
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
        let rerank = |set: &Option<Reranking>| set.as_ref().map(EvaluationSet::sha256).transpose();
        let sts = self.sts.as_ref().map(EvaluationSet::sha256).transpose()?;
        Ok(EvaluationSource { rerank: rerank(&self.rerank)?, sts, test: rerank(&self.test)? })
    }

    /// The number of texts in the largest set.
    pub(super) fn texts(&self) -> usize {
        let rerank = self.rerank.iter().chain(&self.test).map(|set| set.texts().map_or(0, <[String]>::len));
        rerank.chain(self.sts.iter().map(|set| set.texts().len())).max().unwrap_or(0)
    }

    /// The figures on the development sets, named `eval_…`; `None` if there are no sets, or if a
    /// stop was requested.
    pub(super) fn score(&self, encoder: &SentenceEncoder) -> Result<Option<Scored>, simcse_eval::Error> {
        let sets: [Option<&dyn EvaluationSet>; 2] =
            [self.rerank.as_ref().map(|set| set as _), self.sts.as_ref().map(|set| set as _)];
        let mut all: Option<Scored> = None;
        for set in sets.into_iter().flatten() {
            let Some(scored) = evaluate(set, encoder, "eval")? else { return Ok(None) };
            match &mut all {
                None => all = Some(scored),
                Some(all) => {
                    all.evaluation.figures.extend(scored.evaluation.figures);
                    all.warnings.extend(scored.warnings);
                }
            }
        }
        Ok(all.filter(|_| !stop::requested()))
    }
}

/// The figures of a model, and what is odd about them.
pub(super) struct Scored {
    pub(super) evaluation: Evaluation,
    pub(super) warnings: Vec<String>,
}

/// The figures of a model on a set, named `<prefix>_…`; `None` if a stop was requested. An
/// undefined main figure counts as the lowest value that it can have.
pub(super) fn evaluate(
    set: &dyn EvaluationSet,
    encoder: &SentenceEncoder,
    prefix: &str,
) -> Result<Option<Scored>, simcse_eval::Error> {
    let encoded = Encoded::new(encoder).going_on_while(|_| !stop::requested());
    let Some(scores) = set.score(&mut Cosine::of(encoded))? else { return Ok(None) };
    let main = &scores.main().sample;
    let metric = main.value().unwrap_or(main.lowest());
    let evaluation = Evaluation { figures: figures(&scores, prefix), metric };
    Ok(Some(Scored { evaluation, warnings: scores.warnings }))
}

/// The figures of `scores`, named `<prefix>_…`, without the count, which does not change.
pub(super) fn figures(scores: &Scores, prefix: &str) -> Map<String, Value> {
    let mut figures = scores.to_json();
    figures.shift_remove(scores.unit.key());
    figures.into_iter().map(|(name, value)| (format!("{prefix}_{name}"), value)).collect()
}
