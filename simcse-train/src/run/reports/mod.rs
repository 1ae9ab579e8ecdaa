//! What other programs read of a run, next to `metrics.jsonl`: TensorBoard's event files and
//! `metrics.csv`.
//!
//! This room knows other programs' formats. A report is a function of the log: whatever a report
//! lacks is taken from there, and whatever the log no longer has is cut off. So reports are never
//! synced, and one that is asked for when a run is resumed is complete. The room must not know what
//! the figures mean.

mod columns;
mod events;
mod report;
mod tensorboard;

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::run::reports::columns::Columns;
use crate::run::reports::report::Report;
use crate::run::reports::tensorboard::TensorBoard;
use crate::settings::ReportTo;

/// The reports of a run.
#[derive(Debug, Default)]
pub(super) struct Reports(Vec<Box<dyn Report>>);

impl Reports {
    /// Opens the reports in `output` and brings them up to date with its log. `record` is that of
    /// the run, of which `done` steps are done. What cannot be opened is left out, and reported.
    pub(super) fn open(output: &Path, to: ReportTo, record: &str, done: u64) -> (Self, Vec<Error>) {
        let mut reports = Self::default();
        let mut failed = Vec::new();
        let mut add = |report: Result<Box<dyn Report>>| match report {
            Ok(report) => reports.0.push(report),
            Err(error) => failed.push(error),
        };
        if to.tensorboard {
            add(TensorBoard::open(output, record, done).map(|report| Box::new(report) as Box<dyn Report>));
        }
        if to.csv {
            add(Columns::open(output).map(|report| Box::new(report) as Box<dyn Report>));
        }
        (reports, failed)
    }

    /// Adds the newest line of the log to each report. One that cannot be written is given up, and
    /// reported: the run matters more.
    pub(super) fn add(&mut self, line: &Map<String, Value>) -> Vec<Error> {
        let mut failed = Vec::new();
        self.0.retain_mut(|report| match report.add(line) {
            Ok(()) => true,
            Err(error) => {
                failed.push(error);
                false
            }
        });
        failed
    }
}
