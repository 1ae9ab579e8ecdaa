//! The `simcse` command. Data goes to standard output, everything else to standard error.
//!
//! | file | what it knows |
//! |---|---|
//! | `main.rs` | the commands there are, and what exit status a failure has |
//! | `commands/` | one file or folder for each command: its arguments and what it does |
//! | `inputs.rs` | the models and data sets that arguments name |
//! | `args.rs`, `setting_args.rs` | arguments that several commands share; flags of settings |
//! | `figures.rs` | figures with their intervals, as text and as JSON |
//! | `runs/` | runs on disk: finding them, their settings, their logs and figures |
//! | `page/` | `report.html`, which shows a run, and the page that shows several |
//! | `report.rs`, `progress.rs`, `download_progress.rs` | what the user sees: lines, tables, bars |
//! | `error.rs`, `stop.rs` | why a command ends early |
//!
//! No mathematics and no file formats: those are the libraries'.

mod args;
mod commands;
mod download_progress;
mod error;
mod figures;
mod inputs;
mod page;
mod progress;
mod report;
mod runs;
mod setting_args;
mod stop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use simcse_model::Isa;

use commands::bench::BenchArgs;
use commands::encode::EncodeArgs;
use commands::eval::EvalArgs;
use commands::fetch::FetchArgs;
use commands::pretrain::PretrainArgs;
use commands::report::ReportArgs;
use commands::runs::RunsArgs;
use commands::train::TrainArgs;
use error::Failure;

const HELP: &str = "\
Examples:
  simcse train titles.txt --model distilroberta-base --output-dir output/m
  simcse eval sts --model output/m --data sts-dev.csv
  simcse encode titles.txt --model output/m --output titles.npy

Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C or SIGTERM.";

/// Train sentence encoders without labels (SimCSE), evaluate them, and encode sentences with them.
#[derive(Debug, Parser)]
#[command(name = "simcse", version, arg_required_else_help = true)]
#[command(after_help = HELP)]
struct Cli {
    /// Number of threads to compute with, 1 to 1024 [default: all cores]
    #[arg(long, global = true, display_order = 100, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a sentence encoder
    Train(Box<TrainArgs>),
    /// Train a language model by predicting masked tokens, from a model or from nothing
    Pretrain(Box<PretrainArgs>),
    /// Score a model
    Eval(EvalArgs),
    /// Write the embeddings of sentences
    Encode(EncodeArgs),
    /// Show a run, or several, on one page
    Report(ReportArgs),
    /// List runs, or compare two
    Runs(RunsArgs),
    /// Download data
    Fetch(FetchArgs),
    /// Measure where the time of a training step goes
    Bench(BenchArgs),
}

fn main() -> ExitCode {
    // Kernels ignore a name that they do not know; the user must not think that it had an effect.
    let allowed = Isa::allowed().map_err(|unknown| Failure::Usage(format!("{}: {unknown}", Isa::VARIABLE)));
    match allowed.and_then(|_| run(Cli::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => exit_status(failure),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    stop::listen()?;
    if let Some(threads) = cli.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    match cli.command {
        Command::Train(args) => commands::train::run(*args),
        Command::Pretrain(args) => commands::pretrain::run(*args),
        Command::Eval(args) => commands::eval::run(args),
        Command::Encode(args) => commands::encode::run(args),
        Command::Report(args) => commands::report::run(&args),
        Command::Runs(args) => commands::runs::run(&args),
        Command::Fetch(args) => commands::fetch::run(args),
        Command::Bench(args) => commands::bench::run(args),
    }
}

/// Prints why the command ended early and returns its exit status.
fn exit_status(failure: Failure) -> ExitCode {
    let (message, status) = match failure {
        Failure::ReaderGone => return ExitCode::SUCCESS,
        Failure::Failed(message) => (format!("error: {message}"), 1),
        Failure::Usage(message) => (format!("error: {message}"), 2),
        Failure::Stopped(message) => (message, stop::STATUS),
    };
    report::note(&message);
    ExitCode::from(status)
}
