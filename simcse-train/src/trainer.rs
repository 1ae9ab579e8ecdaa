//! The loop.

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value};
use simcse_model::{SentenceEncoder, Tokens};
use simcse_tensor::Grads;

use crate::adamw::{AdamW, clip_scale, gradient_norm};
use crate::checkpoint::State;
use crate::data::Sentences;
use crate::error::{Error, Result};
use crate::gradient_flow::check_gradient_flow;
use crate::progress::Progress;
use crate::run::RunDirectory;
use crate::schedule::LinearSchedule;
use crate::settings::Settings;
use crate::step::{Workspace, mean_gradient};
use crate::step_record::StepRecord;

/// What the loop asks of its surroundings: to score the model, and to be watched.
pub trait Host {
    /// Scores the model on development sets: figures for the log by name, and the one by which models are compared, the
    /// higher the better. `None` without a development set, and when it stops early because it is asked to.
    ///
    /// # Errors
    /// [`Error::Evaluation`].
    fn evaluate(&mut self, encoder: &SentenceEncoder) -> Result<Option<Evaluation>>;

    /// Scores the final model on a test set: figures for the log, under keys that begin with `test_`. `None` without one,
    /// and when it stops early because it is asked to.
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

    /// Whether the run is to save a checkpoint and stop as soon as it can.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// Figures by name.
pub type Figures = Map<String, Value>;

/// The figures of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// For `metrics.jsonl`, under keys that begin with `eval_`, or `test_`.
    pub figures: Figures,
    /// What the best model is chosen by, the higher the better.
    pub objective: f64,
}

/// What a finished run was.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Steps done.
    pub steps: u64,
    /// Those of them without an update, for their loss or gradient was not finite.
    pub skipped: u64,
    /// Mean loss over the updates.
    pub train_loss: f64,
    /// How often a sentence that was drawn had more tokens than `max_seq_length` and lost its end.
    pub cut: u64,
    /// Wall-clock seconds of the steps.
    pub train_seconds: f64,
    /// Figures before the first step.
    pub before: Option<Figures>,
    /// Figures of the final model.
    pub after: Option<Figures>,
    /// Figures of the final model on the test set.
    pub test: Option<Figures>,
    /// The step of the best evaluated model, if it was asked for: the final one is its.
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

/// Trains `encoder` on `sentences` and leaves the final model and its checkpoints in `run`, which may be in its middle. Batches
/// go through the encoder as `workspace` has it.
///
/// # Errors
/// See [`Error`]; checkpoints that were reported as saved stay.
pub fn train(
    encoder: &mut SentenceEncoder,
    sentences: &Sentences,
    settings: &Settings,
    mut workspace: Workspace,
    run: &mut RunDirectory,
    host: &mut dyn Host,
) -> Result<Summary> {
    let total_steps = total_steps(settings, sentences)?;
    let schedule = LinearSchedule::new(settings.warmup, total_steps);
    let mut optimizer = AdamW::new(encoder.params.layout(), settings.weight_decay, settings.adam_epsilon);
    let mut progress = run.restore(&mut optimizer, total_steps)?;
    let mut steps = steps(settings, sentences).skip(progress.global_step as usize);
    let mut grads = Grads::zeros(encoder.params.layout().clone());

    loop {
        let (step, last) = (progress.global_step, progress.global_step == total_steps);
        let improved = due(step, settings.eval_steps, last) && evaluate(encoder, &mut progress, run, host)?;
        let best = improved && settings.load_best_model_at_end;
        let stopping = host.stop_requested();
        if best || stopping || (step > 0 && due(step, Some(settings.save_steps), last)) {
            let state = State { encoder, optimizer: &optimizer, progress: &progress, total_steps };
            run.save_checkpoint(&state)?.inspect(|checkpoint| host.saved(checkpoint));
            run.rotate(&progress)?;
        }
        if stopping {
            return Err(Error::Stopped { step, path: run.path().to_path_buf() });
        }
        if last {
            break;
        }

        let (epoch, batches) = steps.next().expect("epochs without end");
        let started = Instant::now();
        let tokenize = |batch: &Vec<u32>| encoder.tokenize(&sentences.select(batch));
        let drawn = batches.iter().map(tokenize).collect::<simcse_model::Result<Vec<Tokens>>>()?;
        let cut: u64 = drawn.iter().map(|tokens| tokens.cut as u64).sum();
        let tokens: Vec<_> = drawn.into_iter().map(|tokens| tokens.ids).collect();
        if step == 0 {
            let dropout = settings.dropout(step, 0);
            check_gradient_flow(encoder, &tokens[0], &dropout, settings.scale, &mut workspace, &mut grads)?;
        }

        let dropout = |batch| settings.dropout(step, batch);
        let loss = mean_gradient(encoder, &tokens, dropout, settings.scale, &mut workspace, &mut grads);
        let norm = gradient_norm(&grads);
        let learning_rate = settings.learning_rate * schedule.factor(step);
        if loss.is_finite() && norm.is_finite() {
            optimizer.update(&mut encoder.params, &grads, learning_rate, clip_scale(norm, settings.max_grad_norm));
        }

        let record = StepRecord::new(step + 1, epoch, loss, learning_rate, norm, &tokens.concat(), started.elapsed());
        run.log_step(&record)?;
        host.stepped(&record, total_steps);
        progress.add(&record, cut)?;
    }

    let best = progress.best_global_step.filter(|&best| settings.load_best_model_at_end && best != total_steps);
    if let Some(best) = best {
        run.load_weights(best, encoder)?;
    }
    let summary = Summary { test: test(encoder, &progress, run, host)?, ..Summary::of(&progress, settings) };
    run.save_model(encoder, &summary)?;
    Ok(summary)
}

/// Whether something that is done every so many steps, at step 0 and at the last one, is done at this one.
fn due(step: u64, every: Option<u64>, last: bool) -> bool {
    step == 0 || last || every.is_some_and(|every| step.is_multiple_of(every))
}

/// Scores this step's model, unless that was done before a stop, and tells whether it is the best one so far.
fn evaluate(
    encoder: &SentenceEncoder,
    progress: &mut Progress,
    run: &mut RunDirectory,
    host: &mut dyn Host,
) -> Result<bool> {
    if progress.is_evaluated() {
        return Ok(false);
    }
    let Some(evaluation) = host.evaluate(encoder)? else { return Ok(false) };
    run.log_evaluation(progress.line(&evaluation))?;
    Ok(progress.add_evaluation(&evaluation))
}

/// Scores the final model on the test set.
fn test(
    encoder: &SentenceEncoder,
    progress: &Progress,
    run: &mut RunDirectory,
    host: &mut dyn Host,
) -> Result<Option<Figures>> {
    let evaluation = host.test(encoder)?;
    if host.stop_requested() {
        return Err(Error::Stopped { step: progress.global_step, path: run.path().to_path_buf() });
    }
    let Some(evaluation) = evaluation else { return Ok(None) };
    run.log_evaluation(progress.line(&evaluation))?;
    Ok(Some(evaluation.figures))
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

impl Summary {
    /// What a run has been so far.
    pub(crate) fn of(progress: &Progress, settings: &Settings) -> Self {
        let last = progress.log_history.last().and_then(|line| line["step"].as_u64());
        let best = progress.best_global_step.filter(|_| settings.load_best_model_at_end);
        Self {
            steps: progress.global_step,
            skipped: progress.skipped_updates,
            train_loss: progress.train_loss,
            cut: progress.cut,
            train_seconds: progress.train_seconds,
            before: progress.figures(0),
            after: best.or(last).filter(|&step| step > 0).and_then(|step| progress.figures(step)),
            test: None,
            best_step: best,
        }
    }
}
