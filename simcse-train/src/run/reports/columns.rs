//! `metrics.csv`: the log as a table, a row for each line.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use simcse_model::io::write_atomically;

use crate::error::{Error, Result};
use crate::run::metrics::{logged, named_values};
use crate::run::output::{METRICS, METRICS_CSV, open};
use crate::run::reports::report::Report;

/// The table, open for more rows.
#[derive(Debug)]
pub(super) struct Columns {
    log: PathBuf,
    path: PathBuf,
    /// The place of each column.
    places: HashMap<String, usize>,
    file: File,
}

impl Columns {
    /// Writes the table of the log in `output`.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Model`].
    pub(super) fn open(output: &Path) -> Result<Self> {
        let [log, path] = [METRICS, METRICS_CSV].map(|name| output.join(name));
        let mut places = HashMap::new();
        for line in logged(&log).map_err(Error::write(&path))? {
            let line = line.map_err(Error::write(&path))?;
            for (name, _) in named_values(&line) {
                let next = places.len();
                places.entry(name).or_insert(next);
            }
        }
        let mut names: Vec<_> = places.iter().map(|(name, &place)| (place, name.as_str())).collect();
        names.sort_unstable();
        write_atomically(&path, |file| {
            let mut table = csv::Writer::from_writer(file);
            if !names.is_empty() {
                table.write_record(names.iter().map(|(_, name)| name))?;
            }
            for line in logged(&log)? {
                table.write_record(row(&line?, &places).expect("a column for every name"))?;
            }
            table.flush()
        })?;
        let file = open(OpenOptions::new().append(true), &path).map_err(Error::write(&path))?;
        Ok(Self { log, path, places, file })
    }

    fn append(&mut self, row: &[String]) -> io::Result<()> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(row)?;
        let bytes = table.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        self.file.write_all(&bytes)
    }
}

impl Report for Columns {
    /// A line with a figure that no line before it has makes the table wider: it is written again,
    /// which happens a few times in a run.
    fn add(&mut self, line: &Map<String, Value>) -> Result<()> {
        match row(line, &self.places) {
            Some(row) => self.append(&row).map_err(Error::write(&self.path)),
            None => {
                *self = Self::open(self.log.parent().unwrap_or(Path::new("")))?;
                Ok(())
            }
        }
    }
}

/// The cells of a line; `None` if there is no column for one of its values.
fn row(line: &Map<String, Value>, places: &HashMap<String, usize>) -> Option<Vec<String>> {
    let mut row = vec![String::new(); places.len()];
    for (name, value) in named_values(line) {
        let cell = row.get_mut(*places.get(&name)?)?;
        *cell = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
    }
    Some(row)
}
