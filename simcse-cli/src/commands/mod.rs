//! One file per subcommand, and what they share.

pub(crate) mod encode;
pub(crate) mod eval;
pub(crate) mod train;

use std::path::PathBuf;

use ndarray::{Array2, Axis};
use simcse_model::SentenceEncoder;

use crate::error::Failure;
use crate::report;

/// Sentences encoded between two steps of a progress bar.
const CHUNK: usize = 512;

/// The directory of the model that `--model` names.
pub(crate) fn model_dir(name: &str) -> Result<PathBuf, Failure> {
    Ok(PathBuf::from(name))
}

/// Loads the model that `--model` names.
fn load(name: &str) -> Result<SentenceEncoder, Failure> {
    Ok(SentenceEncoder::load(&model_dir(name)?)?)
}

/// The embeddings of `texts`, one row each, under a progress bar.
fn encode_texts(encoder: &SentenceEncoder, texts: &[String]) -> Result<Array2<f32>, Failure> {
    let bar = report::sentences_bar(Some(texts.len() as u64));
    let mut embeddings = Array2::zeros((texts.len(), encoder.dimension()));
    for (texts, mut rows) in texts.chunks(CHUNK).zip(embeddings.axis_chunks_iter_mut(Axis(0), CHUNK)) {
        rows.assign(&encoder.encode(texts)?);
        bar.inc(texts.len() as u64);
    }
    Ok(embeddings)
}
