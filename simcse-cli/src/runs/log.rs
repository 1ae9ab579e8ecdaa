//! `metrics.jsonl`, as far as it is shown.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use simcse_model::io::MAX_LINE;

use crate::error::Failure;

/// The name of the file in a run's directory.
pub(super) const METRICS: &str = "metrics.jsonl";

/// What a run has logged.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) steps: Vec<Step>,
    /// What was measured on the probe.
    pub(crate) probes: Vec<Map<String, Value>>,
    /// Figures of development and test sets.
    pub(crate) evaluations: Vec<Map<String, Value>>,
    pub(crate) warnings: Vec<Given>,
    /// How many lines and bytes of the file have been read.
    read: (usize, u64),
}

/// The figures of a step; what is not finite is `None`.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) step: u64,
    pub(crate) loss: Option<f64>,
    #[serde(default)]
    pub(crate) in_batch_accuracy: Option<f64>,
    pub(crate) learning_rate: f64,
    pub(crate) grad_norm: Option<f64>,
    pub(crate) step_seconds: f64,
    pub(crate) sentences_per_second: f64,
    #[serde(default)]
    pub(crate) tokens: u64,
    #[serde(default)]
    pub(crate) cut_share: f64,
}

/// A warning.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    pub(crate) step: u64,
    pub(crate) warning: String,
    pub(crate) text: String,
}

impl Log {
    /// Reads the log in `output`. A last line that is incomplete, because the run is writing it, is
    /// left out.
    ///
    /// # Errors
    /// If there is no log, or a line is not one of a run.
    pub(crate) fn read(output: &Path) -> Result<Self, Failure> {
        let mut log = Self::default();
        log.read_on(output)?;
        Ok(log)
    }

    /// Reads what has been added to the log in `output` since it was read the last time.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub(crate) fn read_on(&mut self, output: &Path) -> Result<(), Failure> {
        let path = output.join(METRICS);
        let failed =
            |found: String| Failure::Failed(format!("{}: expected the log of a run, found {found}", path.display()));
        let mut file = File::open(&path).map_err(|error| failed(error.to_string()))?;
        let length = file.metadata().map_err(|error| failed(error.to_string()))?.len();
        if length < self.read.1 {
            *self = Self::default();
        }
        file.seek(SeekFrom::Start(self.read.1)).map_err(|error| failed(error.to_string()))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let number = self.read.0 + 1;
            let most = MAX_LINE as u64 + 1;
            lines.by_ref().take(most).read_until(b'\n', &mut line).map_err(|error| failed(error.to_string()))?;
            if line.len() > MAX_LINE {
                return Err(failed(format!("more than {MAX_LINE} bytes in line {number}")));
            }
            if !line.ends_with(b"\n") {
                return Ok(());
            }
            self.add(&line).map_err(|error| failed(format!("in line {number}: {error}")))?;
            self.read = (number, self.read.1 + line.len() as u64);
        }
    }

    fn add(&mut self, line: &[u8]) -> serde_json::Result<()> {
        let has = |key: &[u8]| line.windows(key.len()).any(|window| window == key);
        if has(b"\"loss\":") {
            self.steps.push(serde_json::from_slice(line)?);
        } else if has(b"\"warning\":") {
            self.warnings.push(serde_json::from_slice(line)?);
        } else if has(b"\"probe_alignment\":") {
            self.probes.push(serde_json::from_slice(line)?);
        } else {
            self.evaluations.push(serde_json::from_slice(line)?);
        }
        Ok(())
    }
}

/// The values of a figure, with the steps after which it has them.
pub(crate) fn series(lines: &[Map<String, Value>], name: &str) -> Vec<(f64, f64)> {
    lines.iter().filter_map(|line| Some((line.get("step")?.as_f64()?, line.get(name)?.as_f64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_and_a_torn_one_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let lines = [
            r#"{"step":0,"epoch":0,"warning":"few-batches","text":"an epoch has a \"loss\" of batches"}"#,
            r#"{"step":0,"epoch":0,"probe_alignment":0.5,"probe_uniformity":-1}"#,
            r#"{"step":1,"epoch":0.1,"loss":null,"learning_rate":1e-3,"grad_norm":null,"step_seconds":1,"sentences_per_second":9}"#,
            r#"{"step":1,"epoch":0.1,"eval_map":0.25}"#,
            r#"{"step":2,"epo"#,
        ];
        std::fs::write(dir.path().join(METRICS), lines.join("\n")).unwrap();
        let log = Log::read(dir.path()).unwrap();
        assert_eq!((log.warnings[0].warning.as_str(), log.steps[0].step, log.steps[0].loss), ("few-batches", 1, None));
        assert_eq!(series(&log.probes, "probe_uniformity"), [(0.0, -1.0)]);
        assert_eq!(series(&log.evaluations, "eval_map"), [(1.0, 0.25)]);

        // The torn line is completed, and another one is added.
        let more = r#"ch":0.2,"eval_map":0.5}"#.to_owned() + "\n" + r#"{"step":3,"epoch":0.3,"eval_map":0.75}"# + "\n";
        std::fs::write(dir.path().join(METRICS), lines.join("\n") + &more).unwrap();
        let mut log = log;
        log.read_on(dir.path()).unwrap();
        assert_eq!(series(&log.evaluations, "eval_map"), [(1.0, 0.25), (2.0, 0.5), (3.0, 0.75)]);
        assert_eq!((log.warnings.len(), log.steps.len(), log.probes.len()), (1, 1, 1));
        // A log that was cut back is read from its beginning.
        std::fs::write(dir.path().join(METRICS), lines[..3].join("\n") + "\n").unwrap();
        log.read_on(dir.path()).unwrap();
        assert_eq!((log.warnings.len(), log.steps.len(), log.evaluations.len()), (1, 1, 0));

        std::fs::write(dir.path().join(METRICS), "{\"step\":\n").unwrap();
        let Err(Failure::Failed(message)) = Log::read(dir.path()) else { panic!("expected an error") };
        assert!(message.contains("metrics.jsonl: expected the log of a run, found in line 1: "), "{message}");
    }
}
