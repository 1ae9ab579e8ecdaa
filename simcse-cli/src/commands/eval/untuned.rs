//! Finds the model that a model was tuned from.

use std::path::Path;

use simcse_model::{Precision, SentenceEncoder, hub};
use simcse_train::{ModelSource, Provenance};

use crate::error::Failure;
use crate::inputs::load_to_encode;
use crate::report;

/// The untuned model: the one that is given, or the one that the `run.toml` in the directory
/// `model`, or in its parent, names, if that is a directory or in the hub's cache. (To download it
/// is more than anybody has asked for.) If it is known but not at hand, a note says so.
pub(crate) fn untuned(
    model: &str,
    given: Option<&str>,
    precision: Precision,
) -> Result<Option<SentenceEncoder>, Failure> {
    if let Some(given) = given {
        return load_to_encode(given, precision).map(Some);
    }
    let directory = Path::new(model);
    let records = [Some(directory), directory.parent()].into_iter().flatten();
    let Some(record) = records.filter_map(|directory| Provenance::read(directory).ok()).next() else {
        return Ok(None);
    };
    let name = &record.model.name;
    let Ok(directory) = hub::resolve_cached(name) else {
        report::note(&format!("the untuned model, {name}, is not scored: --untuned says where it is"));
        return Ok(None);
    };
    let mut encoder = SentenceEncoder::load_directory(&directory)?;
    encoder.precision = precision;
    match record.check_same_model(&ModelSource::of(name, &encoder)) {
        Ok(()) => Ok(Some(encoder)),
        Err(error) => {
            report::note(&format!("the untuned model is not scored: {error}"));
            Ok(None)
        }
    }
}
