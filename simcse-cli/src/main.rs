//! The `simcse` command. Data goes to standard output, everything else to standard error.
//!
//! | file | what it knows |
//! |---|---|
//! | `main.rs` | the commands there are, and what exit status a failure has |
//! | `commands/` | one file or folder for each command: its arguments and what it does |
//! | `inputs.rs`, `corpus.rs` | the models, data sets and texts that arguments name |
//! | `args.rs`, `setting_args.rs` | arguments that several commands share; flags of settings |
//! | `origins.rs` | arguments from the environment and from files |
//! | `hits.rs` | searches of an index: its model, filters, and hits as JSON |
//! | `figures.rs` | figures with their intervals, as text and as JSON |
//! | `runs/` | runs on disk: finding them, their settings, their logs and figures |
//! | `page/` | `report.html`, which shows a run, and the page that shows several |
//! | `report.rs`, `progress.rs`, `download_progress.rs` | what the user sees: lines, tables, bars |
//! | `ranks.rs` | the processes that a launcher has started to train together |
//! | `error.rs`, `stop.rs` | why a command ends early |
//!
//! No mathematics and no file formats: those are the libraries'.

mod args;
mod commands;
mod corpus;
mod download_progress;
mod error;
mod figures;
mod hits;
mod inputs;
mod origins;
mod page;
mod progress;
mod ranks;
mod report;
mod runs;
mod setting_args;
mod stop;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use simcse_model::Isa;

use commands::bench::BenchArgs;
use commands::encode::EncodeArgs;
use commands::eval::EvalArgs;
use commands::export::ExportArgs;
use commands::fetch::FetchArgs;
use commands::index::IndexArgs;
use commands::manuals::{CompletionsArgs, ManArgs};
use commands::mine::MineArgs;
use commands::paraphrases::{ClusterArgs, ParaphrasesArgs};
use commands::pretrain::PretrainArgs;
use commands::report::ReportArgs;
use commands::runs::RunsArgs;
use commands::search::SearchArgs;
use commands::serve::ServeArgs;
use commands::similarity::SimilarityArgs;
use commands::sweep::SweepArgs;
use commands::train::TrainArgs;
use error::Failure;
use origins::Origins;
use report::Verbosity;

const HELP: &str = "\
Examples:
  simcse train titles.txt --model distilroberta-base --output-dir output/m
  simcse eval sts --model output/m --data sts-dev.csv
  simcse encode titles.txt --model output/m --output titles.npy
  simcse index titles.txt --model output/m --output titles
  simcse search --index titles --query 'no sound after the update'

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
    /// Print warnings and errors only on standard error, without progress bars
    #[arg(long, short, global = true, display_order = 101)]
    quiet: bool,
    /// Also print every step, and where every setting comes from
    #[arg(long, short, global = true, display_order = 102, conflicts_with = "quiet")]
    verbose: bool,
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
    /// Compare texts with one another
    Similarity(SimilarityArgs),
    /// Encode a corpus for `search`
    Index(IndexArgs),
    /// Find the texts of an index that are most similar to a query
    Search(SearchArgs),
    /// Answer requests for embeddings and searches over HTTP
    Serve(ServeArgs),
    /// Find the most similar pairs of sentences in a corpus
    Paraphrases(ParaphrasesArgs),
    /// Find groups of similar sentences in a corpus
    Cluster(ClusterArgs),
    /// Find hard negatives for pairs
    Mine(MineArgs),
    /// Show a run, or several, on one page
    Report(ReportArgs),
    /// List runs, or compare two
    Runs(RunsArgs),
    /// Train with all combinations of some settings, and make a table of the results
    Sweep(SweepArgs),
    /// Write a model for ONNX Runtime, or with smaller weights
    Export(ExportArgs),
    /// Download data
    Fetch(FetchArgs),
    /// Measure where the time of a training step goes
    Bench(BenchArgs),
    /// Print a script that completes commands and flags in a shell
    Completions(CompletionsArgs),
    /// Write manual pages
    Man(ManArgs),
}

fn main() -> ExitCode {
    // Kernels ignore a name that they do not know; the user must not think that it had an effect.
    let allowed = Isa::allowed().map_err(|unknown| Failure::Usage(format!("{}: {unknown}", Isa::VARIABLE)));
    let line = std::env::args_os().collect();
    match allowed
        .and_then(|_| origins::parse(line, |name| std::env::var_os(name)))
        .and_then(|(cli, origins)| run(cli, &origins))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => exit_status(failure),
    }
}

fn run(cli: Cli, origins: &Origins) -> Result<(), Failure> {
    stop::listen()?;
    report::set_verbosity(match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    });
    ranks::check_launched(matches!(cli.command, Command::Train(_) | Command::Pretrain(_)))?;
    if ranks::is_follower() {
        report::set_verbosity(Verbosity::Silent);
    }
    if let Some(threads) = cli.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    match cli.command {
        Command::Train(args) => commands::train::run(*args, origins),
        Command::Pretrain(args) => commands::pretrain::run(*args, origins),
        Command::Eval(args) => commands::eval::run(args),
        Command::Encode(args) => commands::encode::run(args),
        Command::Similarity(args) => commands::similarity::run(&args),
        Command::Index(args) => commands::index::run(&args),
        Command::Search(args) => commands::search::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Paraphrases(args) => commands::paraphrases::run_paraphrases(&args),
        Command::Cluster(args) => commands::paraphrases::run_cluster(&args),
        Command::Mine(args) => commands::mine::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Sweep(args) => commands::sweep::run(&args),
        Command::Runs(args) => commands::runs::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Fetch(args) => commands::fetch::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Completions(args) => commands::manuals::complete(&args, Cli::command()),
        Command::Man(args) => commands::manuals::write_pages(&args, Cli::command()),
    }
}

/// Prints why the command ended early and returns its exit status.
fn exit_status(failure: Failure) -> ExitCode {
    let status = match &failure {
        Failure::ReaderGone => return ExitCode::SUCCESS,
        Failure::Failed(_) => 1,
        Failure::Usage(_) => 2,
        Failure::Stopped(_) => stop::STATUS,
    };
    match failure {
        Failure::Stopped(message) => report::note(&message),
        Failure::Failed(message) | Failure::Usage(message) => {
            ranks::let_the_first_speak();
            report::error(&message);
        }
        Failure::ReaderGone => {}
    }
    ExitCode::from(status)
}
