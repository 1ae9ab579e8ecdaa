//! Scores the models of a run through its callbacks, and logs what they find.

use simcse_model::SentenceEncoder;

use crate::callbacks::Callbacks;
use crate::error::{Error, Result};
use crate::evaluation::Figures;
use crate::run::RunDirectory;
use crate::run::progress::Progress;
use crate::settings::Settings;

/// Scores this step's model and returns whether it is the best one so far. A model that was scored
/// before the run was stopped at this step is not scored again.
pub(crate) fn evaluate(
    encoder: &SentenceEncoder,
    settings: &Settings,
    progress: &mut Progress,
    run: &mut RunDirectory,
    callbacks: &mut dyn Callbacks,
) -> Result<bool> {
    if progress.is_evaluated() {
        return Ok(false);
    }
    let Some(evaluation) = callbacks.evaluate(encoder)? else { return Ok(false) };
    run.log_evaluation(progress.line(&evaluation))?;
    Ok(progress.add_evaluation(&evaluation, settings.early_stopping_threshold))
}

/// Scores the final model on the test set.
pub(crate) fn test(
    encoder: &SentenceEncoder,
    progress: &Progress,
    run: &mut RunDirectory,
    callbacks: &mut dyn Callbacks,
) -> Result<Option<Figures>> {
    let evaluation = callbacks.test(encoder)?;
    if callbacks.stop_requested() {
        return Err(Error::Stopped { step: progress.global_step, path: run.path().to_path_buf() });
    }
    let Some(evaluation) = evaluation else { return Ok(None) };
    run.log_evaluation(progress.line(&evaluation))?;
    Ok(Some(evaluation.figures))
}
