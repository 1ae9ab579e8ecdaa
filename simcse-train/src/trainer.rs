//! The loop.

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value};
use simcse_model::{SentenceEncoder, Tokens};
use simcse_tensor::Grads;

use crate::adamw::{AdamW, clip_scale, gradient_norm};
use crate::data::Sentences;
use crate::error::{Error, Result};
use crate::gradient_flow::check_gradient_flow;
use crate::run::{RunDirectory, StepRecord};
use crate::schedule::LinearSchedule;
use crate::settings::Settings;
use crate::step::{Workspace, mean_gradient};

/// What the loop asks of its surroundings: to score the model, and to be watched.
pub trait Host {
    /// Scores the model on development sets: figures for the log by name, and the one by which models are compared, the
    /// higher the better. `None` without a development set.
    ///
    /// # Errors
    /// [`Error::Evaluation`].
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> Result<Option<Evaluation>>;

    /// Scores the final model on a test set: figures for the log, under keys that begin with `test_`. `None` without one.
    ///
    /// # Errors
    /// [`Error::Evaluation`].
    fn test(&mut self, _encoder: &SentenceEncoder) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    /// One of `total_steps` steps is done.
    fn stepped(&mut self, record: &StepRecord, total_steps: u64);

    /// A checkpoint is on disk.
    fn saved(&mut self, checkpoint: &Path);
}

/// The figures of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// For `metrics.jsonl`, under keys that begin with `eval_`, or `test_`.
    pub figures: Map<String, Value>,
    /// What the best model is chosen by, the higher the better.
    pub objective: f64,
}

/// What a finished run was.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Steps done.
    pub steps: u64,
    /// Mean loss over all steps.
    pub train_loss: f64,
    /// How often a sentence that was drawn had more tokens than `max_seq_length` and lost its end.
    pub cut: u64,
    /// Wall-clock seconds of the steps.
    pub train_seconds: f64,
    /// Figures before the first step.
    pub before: Option<Evaluation>,
    /// Figures of the final model.
    pub after: Option<Evaluation>,
    /// Figures of the final model on the test set.
    pub test: Option<Evaluation>,
    /// The step whose model was taken, if not the last one's.
    pub best_step: Option<u64>,
}

/// How many steps the settings make of the sentences.
///
/// # Errors
/// [`Error::TooFewSentences`] if there is not one batch.
pub fn total_steps(settings: &Settings, sentences: &Sentences) -> Result<u64> {
    let batches_per_step = settings.gradient_accumulation_steps;
    let per_epoch = |epoch| settings.batching().count(sentences, epoch).div_ceil(batches_per_step) as u64;
    if per_epoch(0) == 0 {
        let found = sentences.len() - sentences.duplicates();
        let (name, batch_size) = (sentences.name().to_owned(), settings.batch_size);
        return Err(Error::TooFewSentences { name, batch_size, found });
    }
    Ok(settings.max_steps.unwrap_or_else(|| (0..settings.epochs).map(per_epoch).sum()))
}

/// Trains `encoder` on `sentences` and leaves the final model and its checkpoints in `run`.
///
/// # Errors
/// See [`Error`]; checkpoints that were reported as saved stay.
pub fn train(
    encoder: &mut SentenceEncoder,
    sentences: &Sentences,
    settings: &Settings,
    run: &mut RunDirectory,
    host: &mut dyn Host,
) -> Result<Summary> {
    let total_steps = total_steps(settings, sentences)?;
    let schedule = LinearSchedule::new(settings.warmup, total_steps);
    let mut optimizer = AdamW::new(encoder.params.layout(), settings.weight_decay, settings.adam_epsilon);
    let mut grads = Grads::zeros(encoder.params.layout().clone());
    let mut workspace = Workspace::new(settings.mini_batch_tokens);
    let mut best = Best::new(settings.load_best_model_at_end);
    let mut epochs = 0.0;
    let mut summary = Summary { before: host.evaluate(encoder)?, ..Summary::default() };
    run.log_evaluation(0, 0.0, summary.before.as_ref())?;

    for (epoch, batches) in steps(settings, sentences).take(total_steps as usize) {
        let started = Instant::now();
        let step = summary.steps;
        let tokenize = |batch: &Vec<u32>| encoder.tokenize(&sentences.select(batch));
        let drawn = batches.iter().map(tokenize).collect::<simcse_model::Result<Vec<Tokens>>>()?;
        let cut: u64 = drawn.iter().map(|tokens| tokens.cut as u64).sum();
        let tokens: Vec<_> = drawn.into_iter().map(|tokens| tokens.ids).collect();
        if step == 0 {
            check_gradient_flow(encoder, &tokens[0], &settings.dropout(step, 0), settings.scale, &mut grads)?;
        }

        let dropout = |batch| settings.dropout(step, batch);
        let loss = mean_gradient(encoder, &tokens, dropout, settings.scale, &mut workspace, &mut grads);
        let norm = gradient_norm(&grads);
        finite(step, "loss", loss.into())?;
        finite(step, "gradient's length", norm)?;
        let learning_rate = settings.learning_rate * schedule.factor(step);
        optimizer.update(&mut encoder.params, &grads, learning_rate, clip_scale(norm, settings.max_grad_norm));

        let record = StepRecord::new(step + 1, epoch, loss, learning_rate, norm, &tokens.concat(), started.elapsed());
        summary.add(&record);
        summary.cut += cut;
        run.log_step(&record)?;
        host.stepped(&record, total_steps);
        epochs = epoch;
        let (step, last) = (summary.steps, summary.steps == total_steps);
        if last || settings.eval_steps.is_some_and(|every| step.is_multiple_of(every)) {
            summary.after = host.evaluate(encoder)?;
            run.log_evaluation(step, epoch, summary.after.as_ref())?;
            best.consider(step, summary.after.as_ref(), encoder);
        }
        if last || step.is_multiple_of(settings.save_steps) {
            host.saved(&run.save_checkpoint(encoder, &summary, epoch)?);
        }
    }

    if let Some((step, evaluation)) = best.restore(encoder) {
        (summary.best_step, summary.after) = (Some(step), Some(evaluation));
    }
    summary.test = host.test(encoder)?;
    run.log_evaluation(summary.best_step.unwrap_or(summary.steps), epochs, summary.test.as_ref())?;
    run.save_model(encoder, &summary)?;
    Ok(summary)
}

/// The batches of step after step, without end, each with the epochs that are done when it is. The last step of an epoch
/// takes what batches are left, as the HF Trainer's does.
pub(crate) fn steps(settings: &Settings, sentences: &Sentences) -> impl Iterator<Item = (f64, Vec<Vec<u32>>)> {
    let (batching, batches_per_step) = (settings.batching(), settings.gradient_accumulation_steps);
    (0..u32::MAX).flat_map(move |epoch| {
        let count = batching.count(sentences, epoch);
        let mut batches = batching.batches(sentences, epoch);
        (0..count).step_by(batches_per_step).map(move |first| {
            let batches: Vec<_> = batches.by_ref().take(batches_per_step).collect();
            (f64::from(epoch) + (first + batches.len()) as f64 / count as f64, batches)
        })
    })
}

fn finite(step: u64, what: &'static str, value: f64) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::NotFinite { step: step + 1, what, value }) }
}

impl Summary {
    fn add(&mut self, record: &StepRecord) {
        let done = self.steps as f64;
        self.train_loss = (self.train_loss * done + f64::from(record.loss)) / (done + 1.0);
        self.train_seconds += record.step_seconds;
        self.steps = record.step;
    }
}

/// The best evaluated model so far, if the run asks for it.
enum Best {
    Off,
    None,
    Some { step: u64, evaluation: Evaluation, values: Vec<f32> },
}

impl Best {
    fn new(wanted: bool) -> Self {
        if wanted { Self::None } else { Self::Off }
    }

    fn consider(&mut self, step: u64, evaluation: Option<&Evaluation>, encoder: &SentenceEncoder) {
        let Some(evaluation) = evaluation.cloned() else { return };
        let better = match self {
            Self::Off => false,
            Self::None => true,
            Self::Some { evaluation: best, .. } => evaluation.objective > best.objective,
        };
        if better {
            *self = Self::Some { step, evaluation, values: encoder.params.values().to_vec() };
        }
    }

    fn restore(self, encoder: &mut SentenceEncoder) -> Option<(u64, Evaluation)> {
        let Self::Some { step, evaluation, values } = self else { return None };
        encoder.params.values_mut().copy_from_slice(&values);
        Some((step, evaluation))
    }
}
