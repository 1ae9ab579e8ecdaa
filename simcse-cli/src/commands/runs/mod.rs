//! `simcse runs`: lists runs, and compares two.

mod compare;
mod object;
mod order;
mod table;

use std::path::PathBuf;

use clap::Args;

use crate::args::JsonArgs;
use crate::error::Failure;
use crate::report;
use crate::runs::find::find;
use crate::runs::run::Run;

const HELP: &str = "\
A run is a directory with run.toml and metrics.jsonl; runs that are still going on are listed, too.
The columns are the settings that differ, the steps done, the main development figure with its 95%
interval, the test figure, the loss of the last step, and the time that the steps took.

Examples:
  simcse runs output
  simcse runs output --sort-by map
  simcse runs output --sort-by learning_rate --json
  simcse runs --compare output/a output/b";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct RunsArgs {
    /// Directories of runs, or directories below which runs are
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Compare two runs: the settings that differ, and all figures side by side, with their
    /// intervals
    #[arg(long)]
    compare: bool,
    /// Sort by a setting, by a figure such as map or test_map, or by name, steps, loss or time;
    /// what is better comes first, and settings ascend [default: name]
    #[arg(long, value_name = "NAME", conflicts_with = "compare")]
    sort_by: Option<String>,
    /// The largest value first
    #[arg(long, requires = "sort_by")]
    descending: bool,
    /// The smallest value first
    #[arg(long, requires = "sort_by", conflicts_with = "descending")]
    ascending: bool,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &RunsArgs) -> Result<(), Failure> {
    let mut found = find(&args.directories)?;
    found.notes.iter().for_each(|note| report::warn(note));
    if args.compare {
        let pair = <&[Run; 2]>::try_from(&found.runs[..]).map_err(|_| {
            let names: Vec<_> = found.runs.iter().map(|run| run.name.as_str()).collect();
            Failure::Usage(format!("--compare: expected two runs, found {}: {}", names.len(), names.join(", ")))
        })?;
        let compared = compare::Compared::new(pair);
        return if args.json.json { report::print_json(&compared.json()) } else { report::print(&compared.text()) };
    }
    if let Some(name) = &args.sort_by {
        let direction = if args.descending { Some(true) } else { args.ascending.then_some(false) };
        order::sort(&mut found.runs, name, direction)?;
    }
    match args.json.json {
        true => report::print_json(&object::listed(&found.runs, &found.notes)),
        false => report::print(&table::table(&found.runs, report::width())),
    }
}
