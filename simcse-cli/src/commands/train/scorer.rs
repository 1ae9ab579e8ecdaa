//! Scores the models of a run.

use serde_json::Value;
use simcse_eval::{Cosine, Encoded, EvaluationSet, Figure, Scores, Unlabeled, UnlabeledScores};
use simcse_model::SentenceEncoder;
use simcse_train::ranks::Ranks;
use simcse_train::{Evaluation, EvaluationSource, Figures, MaskedFigures, Masking, SetDigest, score_masked_lm};

use crate::commands::train::args::TrainArgs;
use crate::commands::train::divided::Divided;
use crate::commands::train::eval_sets::EvalSet;
use crate::error::Failure;
use crate::runs::figures::has_labels;
use crate::stop;

/// A development set under the name that the run gives it.
pub(super) struct DevSet {
    pub(super) given: EvalSet,
    pub(super) set: Box<dyn EvaluationSet>,
}

/// What a model is scored on.
#[derive(Default)]
pub(super) struct Scorer {
    /// The development sets.
    pub(super) sets: Vec<DevSet>,
    /// The test set, on which only the final model is scored.
    pub(super) test: Option<Box<dyn EvaluationSet>>,
    /// Sentences that were held out.
    pub(super) unlabeled: Option<Unlabeled>,
    /// How tokens of these are masked, if the run trains a language model.
    pub(super) masking: Option<Masking>,
    /// The figure that models are compared by, without `eval_`; empty for the first one of the
    /// first set.
    pub(super) choose_best_by: String,
    /// Who encodes what.
    pub(super) ranks: Ranks,
}

impl Scorer {
    /// Checks that there is a development set if the arguments need one.
    pub(super) fn check_used(&self, args: &TrainArgs) -> Result<(), Failure> {
        let needed = ["eval_steps", "load_best_model_at_end"].iter().any(|name| args.settings.get(name).is_some());
        if !needed || !self.is_empty() {
            return Ok(());
        }
        let message = "--eval-steps and --load-best-model-at-end need a development set, such as --eval-rerank or \
                       --eval-sts, or sentences to --hold-out";
        Err(Failure::Usage(message.to_owned()))
    }

    fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.unlabeled.is_none()
    }

    /// The digests of the sets, for `run.toml`.
    pub(super) fn source(&self) -> Result<EvaluationSource, simcse_eval::Error> {
        let digest = |DevSet { given, set }: &DevSet| Ok(SetDigest { flag: given.flag(), sha256: set.sha256()? });
        let sets = self.sets.iter().map(digest).collect::<Result<_, simcse_eval::Error>>()?;
        Ok(EvaluationSource { sets, test: self.test.as_ref().map(|set| set.sha256()).transpose()? })
    }

    /// The number of texts that are encoded for each evaluation.
    pub(super) fn developed_texts(&self) -> usize {
        let labeled: usize = self.sets.iter().map(|dev| dev.set.texts_to_encode()).sum();
        labeled + self.unlabeled.as_ref().map_or(0, Unlabeled::encoded)
    }

    /// The number of texts that are encoded for the test.
    pub(super) fn tested_texts(&self) -> usize {
        self.test.as_ref().map_or(0, |set| set.texts_to_encode())
    }

    /// The number of texts in the largest set.
    pub(super) fn texts(&self) -> usize {
        let labeled = self.sets.iter().map(|dev| &dev.set).chain(&self.test).map(|set| set.texts_to_encode());
        labeled.chain(self.unlabeled.iter().map(Unlabeled::encoded)).max().unwrap_or(0)
    }

    /// The figures on the development sets, named `eval_…`; `None` if there are no sets, or if a
    /// stop was requested.
    pub(super) fn score(&self, encoder: &SentenceEncoder) -> Result<Option<Scored>, simcse_eval::Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut scored = Scored::default();
        let mut judge = judge(encoder, &self.ranks);
        for DevSet { given, set } in &self.sets {
            let Some(scores) = set.score(&mut judge)? else { return Ok(None) };
            scored.add(&given.prefix(), scores);
        }
        if let Some(set) = &self.unlabeled {
            // Every rank does this by itself.
            let scores = set.evaluate_while(encoder, |_| !stop::requested())?;
            let stopped = self.ranks.any(scores.is_none());
            let Some(scores) = scores.filter(|_| !stopped) else { return Ok(None) };
            scored.add_unlabeled(&scores);
            if let Some(masking) = &self.masking {
                scored.add_masked_lm(masked_lm(encoder, set.texts(), masking)?);
            }
        }
        Ok((!self.ranks.any(stop::requested())).then_some(scored))
    }
}

/// Judges similarity by the embeddings of `encoder`, until a stop is requested.
fn judge<'a>(encoder: &'a SentenceEncoder, ranks: &Ranks) -> Cosine<Divided<Encoded<'a>>> {
    let embedder = Encoded::new(encoder).going_on_while(|_| !stop::requested());
    Cosine::of(Divided { embedder, ranks: ranks.clone() })
}

/// The figures of one evaluation.
#[derive(Default)]
pub(super) struct Scored {
    pub(super) figures: Figures,
    /// Without `eval_`: the value of each figure, or the lowest possible one if it is undefined. Of
    /// a figure that is better when it is lower, the negative.
    metrics: Vec<(String, f64)>,
    pub(super) warnings: Vec<String>,
    /// The scores of each set.
    pub(super) scores: Vec<Scores>,
}

impl Scored {
    fn add(&mut self, prefix: &str, scores: Scores) {
        for Figure { name, sample, .. } in &scores.figures {
            let metric = sample.value().unwrap_or(sample.lowest());
            self.metrics.push((plain(&format!("{prefix}_{name}")).to_owned(), metric));
        }
        self.figures.extend(figures(&scores, prefix));
        self.warnings.extend(scores.warnings.iter().cloned());
        self.scores.push(scores);
    }

    fn add_unlabeled(&mut self, scores: &UnlabeledScores) {
        let figures = scores.to_json("eval_unlabeled");
        let metric = |(name, value): (&String, &Value)| {
            let sign =
                if UnlabeledScores::LOWER_IS_BETTER.iter().any(|figure| name.ends_with(figure)) { -1.0 } else { 1.0 };
            (plain(name).to_owned(), sign * value.as_f64().unwrap_or(0.0))
        };
        self.metrics.extend(figures.iter().map(metric));
        self.figures.extend(figures);
    }

    fn add_masked_lm(&mut self, found: MaskedFigures) {
        for (name, sign, value) in [("mlm_loss", -1.0, found.loss), ("mlm_accuracy", 1.0, found.accuracy)] {
            self.metrics.push((name.to_owned(), sign * value));
            self.figures.insert(format!("eval_{name}"), value.into());
        }
    }

    /// The figure that models are compared by: the first one, if `name` is empty. Its value, of
    /// which a higher one is better, and whether it comes from labels.
    ///
    /// # Errors
    /// If there is no such figure: the names that there are.
    pub(super) fn metric(&self, name: &str) -> Result<(f64, bool), String> {
        let found = self.metrics.iter().find(|(found, _)| name.is_empty() || found == name);
        found.map(|(name, value)| (*value, has_labels(name))).ok_or_else(|| {
            let names: Vec<_> = self.metrics.iter().map(|(name, _)| name.as_str()).collect();
            names.join(", ")
        })
    }
}

/// How well masked tokens of texts are predicted. The same ones are masked in every run.
fn masked_lm(
    encoder: &SentenceEncoder,
    texts: &[String],
    masking: &Masking,
) -> Result<MaskedFigures, simcse_eval::Error> {
    const SEED: u64 = 42;
    let ids = encoder.tokenize(texts)?.ids;
    Ok(score_masked_lm(encoder, &ids, masking, SEED))
}

/// The name of a figure of a development set without `eval_`.
pub(super) fn plain(name: &str) -> &str {
    name.trim_start_matches("eval_")
}

/// Whether this is the name of a figure's interval.
pub(super) fn is_interval(name: &str) -> bool {
    name.ends_with("_interval")
}

/// The figures of `scores`, named `<prefix>_…`, without the count, which does not change.
pub(super) fn figures(scores: &Scores, prefix: &str) -> Figures {
    let mut figures = scores.to_json();
    figures.shift_remove(scores.unit.key());
    figures.into_iter().map(|(name, value)| (format!("{prefix}_{name}"), value)).collect()
}

/// The figures of the final model on the test set, named `test_…`; `None` if a stop was requested.
pub(super) fn test(
    set: &dyn EvaluationSet,
    encoder: &SentenceEncoder,
    ranks: &Ranks,
) -> Result<Option<Evaluation>, simcse_eval::Error> {
    let Some(scores) = set.score(&mut judge(encoder, ranks))? else { return Ok(None) };
    let main = &scores.main().sample;
    let metric = main.value().unwrap_or(main.lowest());
    Ok(Some(Evaluation { figures: figures(&scores, "test"), metric, has_labels: true }))
}
