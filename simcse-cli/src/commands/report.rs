//! `simcse report`: one page that shows a run.

use std::path::PathBuf;

use clap::Args;

use crate::error::Failure;
use crate::page::pictures::Pictures;
use crate::{page, report};

const HELP: &str = "\
A run writes the page itself, at every evaluation, measurement and checkpoint, and at its end; this
command writes it again from the files of the run, for example after an update of simcse. The page
needs no network and can be sent to others.

Example:
  simcse report output/my-model";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ReportArgs {
    /// The output directory of a run; report.html is written into it
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let pictures = Pictures::read(&args.directory).unwrap_or_default();
    let path = page::report::write(&args.directory, &pictures)?;
    report::print(&path.display().to_string())
}
