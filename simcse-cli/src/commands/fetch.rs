//! `simcse fetch`: data from the network.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::error::Failure;
use crate::fetching::Fetching;
use crate::{hub, report};

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    #[command(subcommand)]
    data: Data,
}

#[derive(Debug, Subcommand)]
enum Data {
    /// The AskUbuntu questions of github.com/taolei87/askubuntu, for --data askubuntu; prints their directory
    Askubuntu {
        /// Where they go [default: simcse/askubuntu in the user's cache directory]
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
    },
}

pub(crate) fn run(args: FetchArgs) -> Result<(), Failure> {
    let Data::Askubuntu { output_dir } = args.data;
    let dir = output_dir.unwrap_or_else(hub::default_askubuntu_dir);
    let mut fetching = Fetching::default();
    hub::fetch_askubuntu(&dir, &mut |progress| fetching.show(progress))?;
    report::print(&dir.display().to_string())
}
