//! `simcse sweep`: many runs of `simcse train`, and a table of what came out.
//!
//! Each run is a process of its own, with its arguments in `NAME.toml`, its directory `NAME/`, and
//! its results in `NAME.json`, which appears when it has ended well. So the sweep's state is what
//! is on disk: the same command goes on where it was stopped or killed.
//!
//! | file | what it knows |
//! |---|---|
//! | `plan.rs` | the sweep's file, and the runs that it describes |
//! | `child.rs` | a run as a process |
//! | `results.rs` | the runs' figures, by group |
//! | `table.rs`, `picture.rs` | those as Markdown, CSV and SVG |

mod child;
mod picture;
mod plan;
mod results;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::HumanDuration;
use serde_json::Value;
use simcse_model::io::{create_directory, format_bytes, write_bytes};
use toml::Table;

use crate::args::JsonArgs;
use crate::error::Failure;
use crate::origins::read_toml;
use crate::report::{self, counted};
use crate::stop;
use child::Ended;
use plan::{Run, SweepFile};
use results::Results;

/// Sweeps that the program knows, by name.
const PRESETS: [(&str, &str); 3] = [
    ("askubuntu-base-models", include_str!("presets/askubuntu-base-models.toml")),
    ("askubuntu-batch-sizes", include_str!("presets/askubuntu-batch-sizes.toml")),
    ("askubuntu-poolings", include_str!("presets/askubuntu-poolings.toml")),
];

const HELP: &str = "\
The file has flags of `simcse train` that all runs share, and lists of values that are combined:

  [settings]
  sentences = \"titles.txt\"
  model = \"distilroberta-base\"
  eval_rerank = \"dev.jsonl\"

  [vary]
  batch_size = [128, 512]
  seed = [1, 2, 3]

Runs that differ in the seed alone are one row of the table: mean ± standard deviation. The same
command goes on with a sweep that was stopped or killed, from the last checkpoint of each run.

Presets, which print as such a file with --print: askubuntu-base-models, askubuntu-batch-sizes and
askubuntu-poolings, sentence-transformers' tables for AskUbuntu.

Examples:
  simcse sweep batch-sizes.toml --plan
  simcse sweep batch-sizes.toml --output-dir output/batch-sizes
  simcse sweep askubuntu-poolings --print > poolings.toml";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SweepArgs {
    /// The sweep: a TOML file, or the name of a preset
    #[arg(value_name = "FILE.toml|PRESET")]
    file: PathBuf,
    /// Directory for the runs and the table [default: output/sweep-FILE]
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Print the runs with their steps, time and memory, and start none
    #[arg(long)]
    plan: bool,
    /// Print the file, for example of a preset, and do nothing else
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &SweepArgs) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let preset = PRESETS.into_iter().find(|(preset, _)| *preset == name && !args.file.exists());
    if args.print {
        let text = preset.map_or_else(|| fs::read_to_string(&args.file), |(_, text)| Ok(text.to_owned()));
        return report::print(text.map_err(|error| Failure::Failed(format!("{name}: {error}")))?.trim_end());
    }
    let table = match preset {
        Some((_, text)) => text.parse::<Table>()?,
        None => read_toml(&args.file)?,
    };
    let file: SweepFile =
        table.try_into().map_err(|error| Failure::Failed(format!("{name}: {}", toml::de::Error::message(&error))))?;
    let runs = file.runs(&name)?;
    let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
    let output = args.output_dir.clone().unwrap_or_else(|| PathBuf::from(format!("output/sweep-{stem}")));
    let sweep = Sweep { output, file, runs };
    sweep.check_agrees()?;
    let _deferred = stop::defer();
    sweep.forecast()?;
    if args.plan {
        return Ok(());
    }
    let failed = sweep.carry_out()?;
    let results = sweep.results()?;
    if args.json.json {
        report::print_json(&results.json())?;
    } else {
        report::print(&table::markdown(&results))?;
        report::note(&format!("written to {}: table.md, table.csv, table.svg", sweep.output.display()));
    }
    if failed.is_empty() {
        return Ok(());
    }
    let count = counted(failed.len(), "run", "runs");
    Err(Failure::Failed(format!("{count} failed ({}); the same command tries again", failed.join(", "))))
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// There is a checkpoint.
    Begun,
    Done,
}

struct Sweep {
    output: PathBuf,
    file: SweepFile,
    runs: Vec<Run>,
}

impl Sweep {
    fn path(&self, run: &Run, extension: &str) -> PathBuf {
        // The name may have dots.
        self.output.join(format!("{}.{extension}", run.name))
    }

    fn directory(&self, run: &Run) -> PathBuf {
        self.output.join(&run.name)
    }

    /// The arguments of a run's process.
    fn arguments(&self, run: &Run) -> Table {
        let mut arguments = run.arguments.clone();
        arguments.insert("output_dir".to_owned(), self.directory(run).to_string_lossy().into_owned().into());
        arguments
    }

    fn state(&self, run: &Run) -> State {
        let is_checkpoint =
            |name: &str| name.strip_prefix("checkpoint-").is_some_and(|step| step.parse::<u64>().is_ok());
        let mut entries = fs::read_dir(self.directory(run)).into_iter().flatten().flatten();
        match self.path(run, "json").exists() {
            true => State::Done,
            false if entries.any(|entry| entry.file_name().to_str().is_some_and(is_checkpoint)) => State::Begun,
            false => State::New,
        }
    }

    /// Checks that runs that were started before have the arguments that they would have now.
    fn check_agrees(&self) -> Result<(), Failure> {
        for run in &self.runs {
            let path = self.path(run, "toml");
            if !path.exists() {
                continue;
            }
            let (recorded, now) = (read_toml(&path)?, self.arguments(run));
            let keys = recorded.keys().chain(now.keys());
            let Some(key) = keys.into_iter().find(|key| recorded.get(*key) != now.get(*key)) else { continue };
            let text = |table: &Table| table.get(key).map_or("nothing".to_owned(), ToString::to_string);
            return Err(Failure::Failed(format!(
                "{}: {key}: this run was started with {}, and the sweep now says {}: choose another --output-dir",
                path.display(),
                text(&recorded),
                text(&now)
            )));
        }
        Ok(())
    }

    /// Prints what each run that is not done yet will take, and all of them together. Runs that
    /// differ in the seed alone are measured once.
    fn forecast(&self) -> Result<(), Failure> {
        let mut measured: Vec<(Table, Value)> = Vec::new();
        let mut total = 0.0;
        let width = self.runs.iter().map(|run| run.name.len()).max().unwrap_or(0);
        report::note(&format!("{:width$}  {:>7}  {:>9}  {:>9}", "run", "steps", "time", "memory"));
        for run in &self.runs {
            if self.state(run) == State::Done {
                report::note(&format!("{:width$}  done", run.name));
                continue;
            }
            let known = measured.iter().position(|(group, _)| *group == run.group());
            let known = match known {
                Some(known) => known,
                None => {
                    measured.push((run.group(), self.dry_run(run)?));
                    measured.len() - 1
                }
            };
            let value = &measured[known].1;
            let number = |name: &str| value[name].as_f64().unwrap_or(0.0);
            total += number("seconds");
            let time = HumanDuration(Duration::from_secs_f64(number("seconds")));
            let memory = format_bytes(number("predicted_memory_bytes") as u64);
            let note = if self.state(run) == State::Begun { "  begun" } else { "" };
            report::note(&format!("{:width$}  {:>7}  {time:>9}  {memory:>9}{note}", run.name, number("steps")));
        }
        let total = HumanDuration(Duration::from_secs_f64(total));
        report::note(&format!(
            "{}, about {total}, written to {}",
            counted(self.runs.len(), "run", "runs"),
            self.output.display()
        ));
        Ok(())
    }

    /// What `simcse train --dry-run` prints of a run, which is tried in a directory of its own.
    fn dry_run(&self, run: &Run) -> Result<Value, Failure> {
        let scratch = tempfile::tempdir()?;
        let config = scratch.path().join("run.toml");
        let mut arguments = self.arguments(run);
        let output = scratch.path().join("out").to_string_lossy().into_owned();
        arguments.insert("output_dir".to_owned(), output.into());
        fs::write(&config, arguments.to_string())?;
        match child::train(&config, &["--dry-run"], true)? {
            Ended::Well(value) => Ok(value),
            Ended::Stopped => Err(Failure::Stopped("stopped".to_owned())),
            Ended::Badly(_) => Err(Failure::Failed(format!("{} cannot be run", run.name))),
        }
    }

    /// Carries out the runs that are not done, and writes the table after each. Returns the names
    /// of those that failed.
    fn carry_out(&self) -> Result<Vec<String>, Failure> {
        create_directory(&self.output).map_err(Failure::writing(self.output.display()))?;
        let mut failed = Vec::new();
        for (index, run) in self.runs.iter().enumerate() {
            let state = self.state(run);
            if state == State::Done {
                continue;
            }
            if stop::requested() {
                return Err(Failure::Stopped("stopped; the same command goes on".to_owned()));
            }
            report::note(&format!("run {} of {}: {}", index + 1, self.runs.len(), run.name));
            let config = self.path(run, "toml");
            write_bytes(&config, self.arguments(run).to_string().as_bytes())?;
            let resume = ["--resume-from-checkpoint", "auto"];
            let more = if state == State::Begun { &resume[..] } else { &[] };
            match child::train(&config, more, false)? {
                Ended::Well(value) => write_bytes(&self.path(run, "json"), value.to_string().as_bytes())?,
                Ended::Stopped => return Err(Failure::Stopped("stopped; the same command goes on".to_owned())),
                Ended::Badly(status) => {
                    report::warn(&format!("{}: {status}; going on with the next run", run.name));
                    failed.push(run.name.clone());
                }
            }
            self.write_tables()?;
        }
        self.write_tables()?;
        Ok(failed)
    }

    fn write_tables(&self) -> Result<(), Failure> {
        let results = self.results()?;
        let write = |name: &str, text: String| write_bytes(&self.output.join(name), text.as_bytes());
        write("table.md", table::markdown(&results) + "\n")?;
        write("table.csv", table::csv(&results)?)?;
        write("table.svg", picture::svg(&results))?;
        Ok(())
    }

    /// The figures of the runs that are done.
    fn results(&self) -> Result<Results, Failure> {
        let mut done = Vec::new();
        for run in &self.runs {
            done.push((run, read_json(&self.path(run, "json"))?));
        }
        Ok(Results::of(&done, &self.file))
    }
}

/// The results of a run; `None` if there are none yet.
fn read_json(path: &Path) -> Result<Option<Value>, Failure> {
    match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => {
            let bytes = read.map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
            let value = serde_json::from_slice(&bytes);
            value.map(Some).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
        }
    }
}
