//! Follows the figures of a run and says when something is wrong.
//!
//! Every rule compares a figure with what it was before, or with the loss of a model that tells
//! nothing apart. What a rule remembers is part of the run's progress, so a resumed run gives the
//! same warnings.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use simcse_model::io::figure;

use crate::draws::Draw;
use crate::evaluation::{Evaluation, Probed};
use crate::run::metrics::StepRecord;
use crate::settings::Settings;
use crate::step::gradient::Objectives;
use crate::step::in_batch::loss_of_chance;
use crate::warnings::warning::Warning;

/// Steps over which losses are averaged.
const WINDOW: usize = 20;
/// The squared distance of two views below which they are the same for all that training can tell.
/// With a dropout rate of 0.1, it is 0.02 to 0.3.
const SAME: f64 = 2e-3;
/// Texts that show how many of all are truncated.
const ENOUGH_TEXTS: u64 = 500;
/// Losses that jump so often within [`JUMPS_WITHIN`] steps are no accident.
const JUMPS: usize = 3;
const JUMPS_WITHIN: u64 = 50;

/// What figures are compared with.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The contrastive loss of a model that tells nothing apart: ln(batch size), for sentences.
    chance: Option<f64>,
    /// What the loss of masked tokens is multiplied by.
    mlm_weight: f64,
    warmup_steps: u64,
    pub(crate) total_steps: u64,
    /// Whether the two views of an example differ by dropout alone.
    dropout_alone: bool,
    max_seq_length: usize,
}

/// What has been seen so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Watch {
    /// The names of the warnings that were given.
    pub(crate) given: Vec<String>,
    /// The newest contrastive losses, at most [`WINDOW`] of them.
    losses: VecDeque<f64>,
    /// Their lowest mean so far.
    lowest: Option<f64>,
    /// The newest steps whose loss jumped.
    jumps: Vec<u64>,
    texts: u64,
    cut: u64,
    /// The embeddings before the first step.
    before: Option<Probed>,
    /// The best score so far, that before the first step included, and how many evaluations in a
    /// row were clearly worse.
    best: Option<f64>,
    worse: u32,
}

impl Rules {
    /// The rules for a run of `total_steps` steps on examples of `columns` texts, whose embeddings
    /// have `width` values.
    pub(crate) fn new(
        settings: &Settings,
        objectives: &Objectives,
        columns: usize,
        width: usize,
        total_steps: u64,
    ) -> Self {
        let views = settings.contrastive(columns).columns;
        let chance = |objective| loss_of_chance(objective, settings.batch_size, views, width);
        Self {
            chance: objectives.embeddings.as_deref().map(chance),
            mlm_weight: settings.mlm_weight.into(),
            warmup_steps: settings.warmup_steps_of(total_steps),
            total_steps,
            dropout_alone: columns == 1 && !settings.changes_views(),
            max_seq_length: settings.max_seq_length,
        }
    }
}

impl Watch {
    /// Those of `found` that have not been given yet, which are now.
    pub(crate) fn give(&mut self, found: Vec<Warning>) -> Vec<Warning> {
        let mut new = Vec::new();
        for warning in found {
            if !self.given.iter().any(|given| given == warning.name) {
                self.given.push(warning.name.to_owned());
                new.push(warning);
            }
        }
        new
    }

    /// What a step shows.
    pub(crate) fn after_step(&mut self, rules: &Rules, record: &StepRecord, draw: &Draw) -> Vec<Warning> {
        self.texts += draw.texts() as u64;
        self.cut += draw.cut;
        let mut found: Vec<Warning> = self.many_cut(rules, record).into_iter().collect();
        if record.skipped {
            let text = "loss or gradient is not finite; the update is skipped: if this goes on, lower --learning-rate";
            found.push(Warning::new("not-finite", text));
            return found;
        }
        let Some(chance) = rules.chance else { return found };
        let loss = f64::from(record.loss) - record.mlm_loss.map_or(0.0, |loss| rules.mlm_weight * loss);
        if self.jumps(loss, chance, record.step) {
            found.push(learning_rate_too_high(record.learning_rate));
        }
        if self.losses.len() == WINDOW {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
        found.extend(self.judge_level(rules, chance, record));
        found
    }

    /// Whether the loss has jumped, now and several times not long ago: it is far above everything
    /// that came shortly before.
    fn jumps(&mut self, loss: f64, chance: f64, step: u64) -> bool {
        let largest = self.losses.iter().copied().fold(0.0, f64::max);
        let jumped = self.losses.len() == WINDOW && loss > 1.5 * largest && loss > mean(&self.losses) + 0.25 * chance;
        if jumped {
            self.jumps.push(step);
        }
        self.jumps.retain(|&jump| jump + JUMPS_WITHIN > step);
        jumped && self.jumps.len() >= JUMPS
    }

    /// What the mean of the newest losses shows.
    fn judge_level(&mut self, rules: &Rules, chance: f64, record: &StepRecord) -> Vec<Warning> {
        if self.losses.len() < WINDOW {
            return Vec::new();
        }
        let mut found = Vec::new();
        let level = mean(&self.losses);
        let lowest = self.lowest.map_or(level, |lowest| lowest.min(level));
        self.lowest = Some(lowest);
        if level > 2.0 * lowest && level > lowest + 0.3 * chance {
            found.push(learning_rate_too_high(record.learning_rate));
        }
        let warmed_up = record.step >= rules.warmup_steps + WINDOW as u64;
        if warmed_up && self.losses.iter().all(|&loss| (loss / chance - 1.0).abs() < 0.02) {
            found.push(Warning::new(
                "stuck",
                format!(
                    "the loss stays at {}, as if by guessing ({} for this batch size): the model tells no two texts \
                     apart. If it has never been lower, raise --learning-rate; if it has, lower it; if nothing helps, \
                     look at the sentences and at the tokenizer",
                    figure(level),
                    figure(chance)
                ),
            ));
        }
        found
    }

    fn many_cut(&self, rules: &Rules, record: &StepRecord) -> Option<Warning> {
        let enough = self.texts >= ENOUGH_TEXTS || record.step == rules.total_steps;
        let share = self.cut as f64 / self.texts.max(1) as f64;
        (enough && share > 0.1).then(|| {
            Warning::new(
                "many-cut",
                format!(
                    "{:.0}% of the texts have more than {} tokens; what comes after them is lost: raise \
                     --max-seq-length, or split long texts into sentences",
                    100.0 * share,
                    rules.max_seq_length
                ),
            )
        })
    }

    /// What the embeddings of the probe show.
    pub(crate) fn after_probe(&mut self, rules: &Rules, probed: &Probed, step: u64) -> Vec<Warning> {
        if step == 0 {
            self.before = Some(*probed);
            let same = rules.dropout_alone && probed.alignment < SAME;
            return same.then(dropout_inactive).into_iter().collect();
        }
        // Models that were never trained on sentences may have high cosines, which fall.
        let spread = 1.0 - probed.mean_cosine;
        let before = self.before.map_or(0.1, |before| 1.0 - before.mean_cosine);
        let collapsed = probed.mean_cosine > 0.9 && spread < 0.5 * before;
        let warning = || {
            Warning::new(
                "collapse",
                format!(
                    "different sentences have become almost the same: their mean cosine is {}, their effective rank \
                     {:.1}. Start again with a lower --learning-rate or a longer warm-up (--warmup-ratio)",
                    figure(probed.mean_cosine),
                    probed.effective_rank
                ),
            )
        };
        collapsed.then(warning).into_iter().collect()
    }

    /// What the score of a development set shows.
    pub(crate) fn after_evaluation(&mut self, rules: &Rules, evaluation: &Evaluation) -> Vec<Warning> {
        let metric = evaluation.metric;
        if !evaluation.has_labels || !metric.is_finite() {
            return Vec::new();
        }
        let best = self.best.map_or(metric, |best| best.max(metric));
        self.best = Some(best);
        let worse = metric < best - 0.01 * best.abs();
        self.worse = if worse { self.worse + 1 } else { 0 };
        let level = (self.losses.len() == WINDOW).then(|| mean(&self.losses));
        let nothing_left = rules.chance.zip(level).is_some_and(|(chance, level)| level < 0.05 * chance);
        let warning = || {
            Warning::new(
                "overfitting",
                format!(
                    "the loss is almost zero ({}) while the development score falls, from {} to {}: there is nothing \
                     left to learn from these batches. Keep the best model with --load-best-model-at-end; stop \
                     earlier, or make the task harder with a larger --batch-size or more dropout",
                    figure(level.unwrap_or_default()),
                    figure(best),
                    figure(metric)
                ),
            )
        };
        (nothing_left && self.worse >= 2).then(warning).into_iter().collect()
    }
}

fn learning_rate_too_high(learning_rate: f64) -> Warning {
    Warning::new(
        "learning-rate-too-high",
        format!(
            "the loss jumps at a learning rate of {learning_rate:.1e}: start again with a lower --learning-rate, a \
             third of it, or a longer warm-up (--warmup-ratio)"
        ),
    )
}

pub(super) fn dropout_inactive() -> Warning {
    Warning::new(
        "dropout-inactive",
        "dropout hardly changes an embedding, so both views of a sentence are the same and there is nothing to pull \
         together: set --hidden-dropout and --attention-dropout (0.1 is usual)",
    )
}

fn mean(values: &VecDeque<f64>) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
