//! The `simcse` command. Data goes to standard output, everything else to standard error.

mod args;
mod commands;
mod download_progress;
mod error;
mod report;
mod stop;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use error::Failure;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    stop::listen()?;
    if let Some(threads) = cli.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    match cli.command {
        Command::Train(args) => commands::train::run(*args),
        Command::Eval(args) => commands::eval::run(args),
        Command::Encode(args) => commands::encode::run(args),
        Command::Fetch(args) => commands::fetch::run(args),
        Command::Bench(args) => commands::bench::run(args),
    }
}
