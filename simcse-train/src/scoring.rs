//! Scores the models of a run through its callbacks, measures their embeddings, gives warnings, and
//! logs what was found.

use std::time::Instant;

use serde_json::{Value, json};
use simcse_model::SentenceEncoder;

use crate::callbacks::Callbacks;
use crate::draws::Draw;
use crate::error::{Error, Result};
use crate::evaluation::Figures;
use crate::memory::peak_memory;
use crate::ranks::Ranks;
use crate::run::RunDirectory;
use crate::run::metrics::StepRecord;
use crate::run::progress::Progress;
use crate::settings::Settings;
use crate::warnings::warning::Warning;
use crate::warnings::watch::Rules;

/// Scores this step's model and returns whether it is the best one so far. A model that was scored
/// before the run was stopped at this step is not scored again.
pub(crate) fn evaluate(
    encoder: &SentenceEncoder,
    (settings, rules): (&Settings, &Rules),
    progress: &mut Progress,
    run: &mut RunDirectory,
    callbacks: &mut dyn Callbacks,
) -> Result<bool> {
    if progress.is_evaluated() {
        return Ok(false);
    }
    let Some(evaluation) = callbacks.evaluate(encoder)? else { return Ok(false) };
    log(progress.line(evaluation.figures.clone()), run, callbacks)?;
    let found = progress.watch.after_evaluation(rules, &evaluation);
    warn(found, progress, run, callbacks)?;
    Ok(progress.add_evaluation(&evaluation, settings.early_stopping_threshold))
}

/// Measures the embeddings of this step's model.
pub(crate) fn probe(
    encoder: &SentenceEncoder,
    rules: &Rules,
    progress: &mut Progress,
    run: &mut RunDirectory,
    callbacks: &mut dyn Callbacks,
) -> Result<()> {
    let started = Instant::now();
    let Some(probed) = callbacks.probe(encoder)? else { return Ok(()) };
    let Value::Object(mut figures) = json!(probed) else { unreachable!("figures have names") };
    figures.insert("probe_seconds".to_owned(), started.elapsed().as_secs_f64().into());
    if let Some(bytes) = peak_memory() {
        figures.insert("peak_memory_bytes".to_owned(), bytes.into());
    }
    log(progress.line(figures), run, callbacks)?;
    let found = progress.watch.after_probe(rules, &probed, progress.global_step);
    warn(found, progress, run, callbacks)
}

/// Logs a step and adds it to the progress.
pub(crate) fn log_step(
    (record, draw): (&StepRecord, &Draw),
    rules: &Rules,
    progress: &mut Progress,
    run: &mut RunDirectory,
    callbacks: &mut dyn Callbacks,
) -> Result<()> {
    run.log_step(record)?.iter().for_each(|error| callbacks.on_report_failed(error));
    callbacks.on_step_end(record, rules.total_steps);
    let added = progress.add(record, draw.cut);
    let found = progress.watch.after_step(rules, record, draw);
    warn(found, progress, run, callbacks)?;
    added
}

/// Gives and logs those warnings that are new.
pub(crate) fn warn(
    found: Vec<Warning>,
    progress: &mut Progress,
    run: &mut RunDirectory,
    callbacks: &mut dyn Callbacks,
) -> Result<()> {
    for warning in progress.watch.give(found) {
        let Warning { name, text } = &warning;
        let figures = [("warning".to_owned(), json!(name)), ("text".to_owned(), json!(text))];
        log(progress.line(Figures::from_iter(figures)), run, callbacks)?;
        callbacks.on_warning(progress.global_step, &warning);
    }
    Ok(())
}

/// Scores the final model on the test set.
pub(crate) fn test(
    encoder: &SentenceEncoder,
    ranks: &Ranks,
    progress: &Progress,
    run: &mut RunDirectory,
    callbacks: &mut dyn Callbacks,
) -> Result<Option<Figures>> {
    let evaluation = callbacks.test(encoder)?;
    if ranks.any(callbacks.stop_requested()) {
        return Err(Error::Stopped { step: progress.global_step, path: run.path().to_path_buf() });
    }
    let Some(evaluation) = evaluation else { return Ok(None) };
    log(progress.line(evaluation.figures.clone()), run, callbacks)?;
    Ok(Some(evaluation.figures))
}

/// Logs a line.
fn log(line: Figures, run: &mut RunDirectory, callbacks: &mut dyn Callbacks) -> Result<()> {
    run.log_figures(line)?.iter().for_each(|error| callbacks.on_report_failed(error));
    Ok(())
}
