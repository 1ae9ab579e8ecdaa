//! The models and data sets that arguments name, and the embeddings of texts under a progress bar.
//!
//! This file knows the libraries and the hub. It must not know any one command.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use simcse_model::hub::{self, HubError};
use simcse_model::{Error, Precision, SentenceEncoder};

use crate::download_progress::DownloadProgress;
use crate::error::Failure;
use crate::{progress, report};

/// The directory of the model that `--model` names: the name itself if it is a directory, else one
/// in the hub's cache, downloaded if it is not there.
fn model_dir(name: &str) -> Result<PathBuf, Failure> {
    use HubError::{BadName, NoSuchPath, NotADirectory};

    let mut progress = DownloadProgress::default();
    hub::resolve(name, &mut |event| progress.show(event)).map_err(|error| match error {
        Error::Hub(NoSuchPath { .. } | NotADirectory { .. } | BadName { .. }) => {
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
    let downloaded = default_askubuntu_dir();
    if downloaded.is_dir() {
        return Ok(downloaded);
    }
    let place = downloaded.display();
    Err(Failure::Failed(format!("no AskUbuntu data in {place}: download it with `simcse fetch askubuntu`")))
}

/// The directory of AskUbuntu's files, unless another is given.
pub(crate) fn default_askubuntu_dir() -> PathBuf {
    hub::user_cache_dir().join("simcse").join("askubuntu")
}

/// Loads the model that `--model` names, and warns about anything in it that is ignored.
pub(crate) fn load(name: &str, precision: Precision) -> Result<SentenceEncoder, Failure> {
    let mut encoder = SentenceEncoder::load_directory(&model_dir(name)?)?;
    encoder.precision = precision;
    for warning in encoder.warnings() {
        report::note(&format!("warning: {warning}"));
    }
    Ok(encoder)
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
