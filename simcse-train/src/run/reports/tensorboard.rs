//! Event files for TensorBoard: a file for each process that worked on the run.
//!
//! They are in the output directory itself, so that `tensorboard --logdir output` shows each run
//! under the name of its directory. The names of the figures are those of the Hugging Face Trainer:
//! `train/loss`, `eval/map`, `test/map`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use simcse_model::io::uninterrupted;

use crate::error::{Error, Result};
use crate::run::metrics::{logged, named_values};
use crate::run::output::{EVENTS, METRICS, entries, open};
use crate::run::reports::events::{Event, SessionLog, Status, Summary, Tagged, VERSION, What, events, record};
use crate::run::reports::report::Report;

/// The tag of the run's record. transformers: `TensorBoardCallback`.
const ARGS: &str = "args";

/// The event file of this process.
#[derive(Debug)]
pub(super) struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Cuts the files of earlier processes in `output` back to what its log has, and begins a new
    /// one with what they lack.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(super) fn open(output: &Path, run: &str, done: u64) -> Result<Self> {
        let log = output.join(METRICS);
        let mut lines = logged(&log).map_err(Error::write(&log))?.peekable();
        let earlier = event_files(output)?;
        for path in &earlier {
            cut_back(path, &mut lines).map_err(Error::write(path))?;
        }

        // Readers take files in the order of their names, which begin with the time.
        let after = earlier.last().and_then(|path| time_of(path)).map_or(0, |time| time + 1);
        let path = output.join(name(after.max(now() as u64)));
        let file = open(OpenOptions::new().append(true).create_new(true), &path).map_err(Error::write(&path))?;
        let mut board = Self { path, file };
        board.write(0, What::FileVersion(VERSION.to_owned()))?;
        if done > 0 {
            // A TensorBoard that has been open all the time forgets later steps, too.
            board.write(done + 1, What::SessionLog(SessionLog { status: Status::Start.into() }))?;
        }
        // Markdown: indented lines are shown as they are.
        let indented: String = run.lines().map(|line| format!("    {line}\n")).collect();
        board.write(done, What::Summary(Summary { value: vec![Tagged::text(ARGS, &indented)] }))?;
        for line in lines {
            board.add(&line.map_err(Error::write(&log))?)?;
        }
        Ok(board)
    }

    fn write(&mut self, step: u64, what: What) -> Result<()> {
        let event = Event { wall_time: now(), step: step as i64, what: Some(what) };
        self.file.write_all(&record(&event)).map_err(Error::write(&self.path))
    }
}

impl Report for TensorBoard {
    fn add(&mut self, line: &Map<String, Value>) -> Result<()> {
        let step = line.get("step").and_then(Value::as_u64).unwrap_or(0);
        self.write(step, What::Summary(Summary { value: summary(line) }))
    }
}

/// The values of a line. What is not finite is NaN, which TensorBoard marks on its charts.
fn summary(line: &Map<String, Value>) -> Vec<Tagged> {
    if let (Some(Value::String(name)), Some(Value::String(text))) = (line.get("warning"), line.get("text")) {
        return vec![Tagged::text("warnings", &format!("**{name}**: {text}"))];
    }
    // Lines about the same step have the same epoch.
    let repeated = |name: &str| name == "step" || (name == "epoch" && !line.contains_key("loss"));
    let value = |(name, value): (String, &Value)| {
        let value = match value {
            Value::Bool(is) => f64::from(u8::from(*is)),
            Value::Null if !name.ends_with("_interval") => f64::NAN,
            value => value.as_f64()?,
        };
        Some(Tagged::scalar(tag(&name), value))
    };
    named_values(line).into_iter().filter(|(name, _)| !repeated(name)).filter_map(value).collect()
}

/// The name of a figure on a board. transformers: `rewrite_logs`.
fn tag(name: &str) -> String {
    let groups = [("eval_", "eval"), ("test_", "test"), ("probe_", "probe"), ("", "train")];
    let group = groups.iter().find_map(|(prefix, group)| Some(format!("{group}/{}", name.strip_prefix(prefix)?)));
    group.unwrap_or_default()
}

/// Cuts an event file off before the first event that is not about the next one of `lines`, which
/// are left where they are. A file without any of them is removed.
fn cut_back(
    path: &Path,
    lines: &mut std::iter::Peekable<impl Iterator<Item = io::Result<Map<String, Value>>>>,
) -> io::Result<()> {
    let mut kept = 0;
    for found in events(path)? {
        let (event, end) = found?;
        let What::Summary(summary) = event.what.unwrap_or(What::FileVersion(String::new())) else { continue };
        if summary.value.first().is_some_and(|value| value.tag.starts_with(ARGS)) {
            continue;
        }
        let is_next = lines.next_if(|line| {
            line.as_ref().is_ok_and(|line| line.get("step").and_then(Value::as_i64) == Some(event.step))
        });
        if is_next.is_none() {
            break;
        }
        kept = end;
    }
    match kept {
        0 => uninterrupted(|| fs::remove_file(path)),
        kept => open(OpenOptions::new().write(true), path)?.set_len(kept),
    }
}

/// The event files in `output`, in order.
fn event_files(output: &Path) -> Result<Vec<PathBuf>> {
    let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
    let found = entries(output)?.into_iter().filter(|(name, entry)| name.starts_with(EVENTS) && is_file(entry));
    let mut paths: Vec<_> = found.map(|(_, entry)| entry.path()).collect();
    paths.sort_unstable();
    Ok(paths)
}

/// The time in the name of an event file.
fn time_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(EVENTS)?.split('.').next()?.parse().ok()
}

/// The name of an event file, as PyTorch's `SummaryWriter` chooses it.
fn name(time: u64) -> String {
    format!("{EVENTS}{time:010}.{}.{}.0", host(), std::process::id())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The name of this machine, as far as it may be in the name of a file.
fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = String::new();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that `transformers.integrations.integration_utils.rewrite_logs` gives.
    #[test]
    fn names_are_those_of_transformers() {
        for (name, expected) in [
            ("loss", "train/loss"),
            ("eval_map", "eval/map"),
            ("test_map_interval_low", "test/map_interval_low"),
            ("probe_alignment", "probe/alignment"),
        ] {
            assert_eq!(tag(name), expected);
        }
    }
}
