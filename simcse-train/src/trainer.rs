//! The loop.

use std::time::Instant;

use simcse_model::{SentenceEncoder, Tokens};
use simcse_tensor::Grads;

use crate::data::sentences::Sentences;
use crate::error::{Error, Result};
use crate::evaluation::{Figures, Host};
use crate::optim::adamw::{AdamW, clip_scale, gradient_norm};
use crate::optim::schedule::LinearSchedule;
use crate::run::RunDirectory;
use crate::run::checkpoint::State;
use crate::run::metrics::StepRecord;
use crate::run::progress::Progress;
use crate::run::summary::Summary;
use crate::settings::Settings;
use crate::step::gradient::{Workspace, mean_gradient};
use crate::step::gradient_flow::check_gradient_flow;
use crate::steps::{steps, total_steps};

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
