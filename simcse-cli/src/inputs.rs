//! The models and data sets that arguments name, and the embeddings of texts under a progress bar.
//!
//! This file knows the libraries and the hub. It must not know any one command.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use simcse_model::SentenceEncoder;
use simcse_train::Settings;

use crate::args::PrecisionArgs;
use crate::error::Failure;
use crate::fetching::Fetching;
use crate::hub::{self, HubError};
use crate::progress;

/// The directory of the model that `--model` names: itself, or one in the hub's cache, downloaded
/// if it is not there.
fn model_dir(name: &str) -> Result<PathBuf, Failure> {
    let mut fetching = Fetching::default();
    hub::resolve(name, &mut |progress| fetching.show(progress)).map_err(|error| match error {
        HubError::NoSuchPath { .. } | HubError::NotADirectory { .. } | HubError::BadName { .. } => {
            Failure::Usage(format!("--model: {error}"))
        }
        error => error.into(),
    })
}

/// What `--data` names: a path, or `askubuntu` for what `simcse fetch askubuntu` has downloaded.
pub(crate) fn data_path(data: &Path) -> Result<PathBuf, Failure> {
    if data != Path::new("askubuntu") || data.exists() {
        return Ok(data.to_owned());
    }
    let fetched = hub::default_askubuntu_dir();
    if fetched.is_dir() {
        return Ok(fetched);
    }
    let place = fetched.display();
    Err(Failure::Failed(format!("no AskUbuntu data in {place}: download it with `simcse fetch askubuntu`")))
}

/// Loads the model that `--model` names.
pub(crate) fn load(name: &str, precision: &PrecisionArgs) -> Result<SentenceEncoder, Failure> {
    let mut encoder = SentenceEncoder::load(&model_dir(name)?)?;
    encoder.precision = precision.precision.unwrap_or_default();
    Ok(encoder)
}

/// Applies the settings that concern the model to `encoder`.
pub(crate) fn apply(settings: &Settings, encoder: &mut SentenceEncoder) -> Result<(), Failure> {
    let most = encoder.config().max_tokens();
    if settings.max_seq_length > most {
        let message =
            format!("--max-seq-length: expected at most {most} for this model, found {}", settings.max_seq_length);
        return Err(Failure::Failed(message));
    }
    encoder.directory.max_seq_length = settings.max_seq_length;
    encoder.directory.pooling = settings.pooling;
    encoder.precision = settings.precision;
    Ok(())
}

/// The embeddings of `texts`, one row each, (texts, C), under a progress bar.
pub(crate) fn encode_texts(encoder: &SentenceEncoder, texts: &[String]) -> Result<Array2<f32>, Failure> {
    let bar = progress::sentences_bar(Some(texts.len() as u64));
    let embeddings = encoder.encode_while(texts, |done| {
        bar.set_position(done as u64);
        true
    })?;
    bar.set_position(texts.len() as u64);
    Ok(embeddings.expect("the callback never asks to stop"))
}
