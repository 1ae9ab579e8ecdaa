//! The page of one run.

use std::path::Path;

use simcse_model::io::write_bytes;

use crate::error::Failure;
use crate::page::document::{Part, document};
use crate::page::pictures::Pictures;
use crate::page::sections;
use crate::runs::log::Log;
use crate::runs::record::Record;

/// The name of the page in a run's output directory.
pub(crate) const FILE: &str = "report.html";

/// Writes the page of the run in `output` to `path`, in one go. `log` is that of the run, and
/// `pictures` are those of its probe.
///
/// # Errors
/// As [`Record::read`]; if the page cannot be written.
pub(crate) fn write(output: &Path, log: &Log, pictures: &Pictures, path: &Path) -> Result<(), Failure> {
    let record = Record::read(output)?;
    let parts = vec![
        Part::new("warnings", "Warnings", sections::warnings(log)),
        Part::new("scores", "Scores", sections::scores(log)),
        Part::new("training", "Training", sections::training(log)),
        Part::new("embeddings", "Embeddings", sections::embeddings(log, pictures)),
        Part::new("map", "Map of sentences", sections::maps(pictures)),
        Part::new("neighbors", "Nearest neighbors", sections::neighbors(pictures)),
        Part::new("settings", "Settings", sections::record(&record)),
    ];
    let page = document(&output.display().to_string(), &sections::summary(log), parts, "");
    Ok(write_bytes(path, page.as_bytes())?)
}
