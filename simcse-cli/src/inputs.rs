//! The models and data sets that arguments name.
//!
//! This file knows the libraries and the hub. It must not know any one command.

use std::path::{Path, PathBuf};

use simcse_model::hub::{self, HubError};
use simcse_model::{Error, Precision, SentenceEncoder};

use crate::download_progress::DownloadProgress;
use crate::error::Failure;
use crate::report;

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
    path_or_fetched(data, "askubuntu", default_askubuntu_dir(), "AskUbuntu data", "simcse fetch askubuntu")
}

/// What `--data` names: a directory, or `senteval` for what `simcse fetch sts` has downloaded.
pub(crate) fn senteval_dir(data: &Path) -> Result<PathBuf, Failure> {
    path_or_fetched(data, "senteval", default_senteval_dir(), "SentEval data", "simcse fetch sts")
}

/// What `--data` names, for data of any kind: a path, or the name of data that were fetched.
pub(crate) fn set_path(data: &Path) -> Result<PathBuf, Failure> {
    senteval_dir(&data_path(data)?)
}

fn path_or_fetched(data: &Path, name: &str, fetched: PathBuf, what: &str, fetch: &str) -> Result<PathBuf, Failure> {
    if data != Path::new(name) || data.exists() {
        return Ok(data.to_owned());
    }
    if fetched.is_dir() {
        return Ok(fetched);
    }
    Err(Failure::Failed(format!("no {what} in {}: download it with `{fetch}`", fetched.display())))
}

/// The directory of AskUbuntu's files, unless another is given.
pub(crate) fn default_askubuntu_dir() -> PathBuf {
    hub::user_cache_dir().join("simcse").join("askubuntu")
}

/// The directory of SentEval's files, unless another is given.
pub(crate) fn default_senteval_dir() -> PathBuf {
    hub::user_cache_dir().join("simcse").join("senteval")
}

/// [`load`] for encoding alone: weights are packed for products once.
pub(crate) fn load_to_encode(name: &str, precision: Precision) -> Result<SentenceEncoder, Failure> {
    let mut encoder = load(name, precision)?;
    encoder.params.keep_packed();
    Ok(encoder)
}

/// Loads the model that `--model` names, and warns about anything in it that is ignored.
pub(crate) fn load(name: &str, precision: Precision) -> Result<SentenceEncoder, Failure> {
    let mut encoder = SentenceEncoder::load_directory(&model_dir(name)?)?;
    encoder.precision = precision;
    for warning in encoder.warnings() {
        report::warn(&warning.to_string());
    }
    Ok(encoder)
}
