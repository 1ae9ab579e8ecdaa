//! `simcse report`: one page that shows a run, or several.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::Failure;
use crate::page::pictures::Pictures;
use crate::runs::find::find;
use crate::runs::log::Log;
use crate::runs::run::Run;
use crate::{page, report};

const HELP: &str = "\
A run writes its own page itself, at every evaluation, measurement and checkpoint, and at its end; for
one run, this command writes it again from its files, for example after an update of simcse. For several
runs, it writes one page that compares them: a line for each run on every chart, and the settings and
figures that differ. Pages need no network and can be sent to others.

Examples:
  simcse report output/my-model
  simcse report output/a output/b --output ab.html
  simcse report output";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ReportArgs {
    /// Output directories of runs, or directories below which runs are
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The page [default: report.html in the directory of a single run; of several runs, runs.html
    /// in the directory that is given, or in the current one]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let ReportArgs { directories, output } = args;
    if let [directory] = &directories[..]
        && Run::is_logged(directory)
    {
        return write_one(directory, output.as_deref());
    }
    let found = find(directories)?;
    found.notes.iter().for_each(|note| report::note(&format!("warning: {note}")));
    if let [run] = &found.runs[..] {
        return write_one(&run.path, output.as_deref());
    }
    let place = if let [directory] = &directories[..] { directory } else { Path::new("") };
    let path = output.clone().unwrap_or_else(|| place.join(page::several::FILE));
    page::several::write(&found.runs, &path)?;
    report::print(&path.display().to_string())
}

/// Writes the page of one run.
fn write_one(directory: &Path, output: Option<&Path>) -> Result<(), Failure> {
    let pictures = Pictures::read(directory).unwrap_or_default();
    let path = output.map_or_else(|| directory.join(page::report::FILE), Path::to_path_buf);
    page::report::write(directory, &Log::read(directory)?, &pictures, &path)?;
    report::print(&path.display().to_string())
}
