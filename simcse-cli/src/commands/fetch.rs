//! `simcse fetch`: data from the network.

use std::env;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use simcse_model::Error;
use simcse_model::hub::{self, HubError};

use crate::download_progress::DownloadProgress;
use crate::error::Failure;
use crate::inputs::default_askubuntu_dir;
use crate::report;

/// Where the files of taolei87/askubuntu are served.
const ASKUBUNTU_URL: &str = "https://raw.githubusercontent.com/taolei87/askubuntu/master";
/// A mirror of it.
const ASKUBUNTU_URL_VARIABLE: &str = "SIMCSE_ASKUBUNTU_URL";
/// The texts, and the queries with their candidates.
const ASKUBUNTU_FILES: [&str; 3] = ["text_tokenized.txt.gz", "dev.txt", "test.txt"];

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    #[command(subcommand)]
    data: Data,
}

#[derive(Debug, Subcommand)]
enum Data {
    /// The AskUbuntu questions of github.com/taolei87/askubuntu, for --data askubuntu; prints their
    /// directory
    Askubuntu {
        /// Directory for the files [default: simcse/askubuntu in the user's cache directory]
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
    },
}

pub(crate) fn run(args: FetchArgs) -> Result<(), Failure> {
    let Data::Askubuntu { output_dir } = args.data;
    let dir = output_dir.unwrap_or_else(default_askubuntu_dir);
    fetch_askubuntu(&dir)?;
    report::print(&dir.display().to_string())
}

/// Downloads the files that `dir` lacks.
fn fetch_askubuntu(dir: &Path) -> Result<(), Failure> {
    let mirror = env::var(ASKUBUNTU_URL_VARIABLE).ok().filter(|url| !url.is_empty());
    let base = mirror.as_deref().unwrap_or(ASKUBUNTU_URL).trim_end_matches('/');
    let mut progress = DownloadProgress::default();
    for name in ASKUBUNTU_FILES {
        // The user may have unpacked the texts.
        if dir.join(name.trim_end_matches(".gz")).is_file() {
            continue;
        }
        let url = format!("{base}/{name}");
        hub::download_file(&url, dir, name, &mut |event| progress.show(event)).map_err(|error| match error {
            Error::Hub(HubError::BadAddress { .. }) => Failure::Failed(format!("{ASKUBUNTU_URL_VARIABLE}: {error}")),
            error => error.into(),
        })?;
    }
    Ok(())
}
