//! `simcse completions` and `simcse man`: the command's own description in the formats of shells
//! and of `man`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use simcse_model::io::{create_directory, write_bytes};

use crate::error::Failure;
use crate::report::STANDARD_OUTPUT;

const COMPLETIONS_HELP: &str = "\
Examples:
  simcse completions bash > ~/.local/share/bash-completion/completions/simcse
  simcse completions zsh > ~/.zfunc/_simcse
  simcse completions fish > ~/.config/fish/completions/simcse.fish";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const MAN_HELP: &str = "\
Example:
  simcse man ~/.local/share/man/man1 && man simcse-train";

#[derive(Debug, Args)]
#[command(after_help = MAN_HELP)]
pub(crate) struct ManArgs {
    /// The directory to write the pages to: simcse.1, simcse-train.1, …
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Prints a script that completes `command` in a shell.
pub(crate) fn complete(args: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "simcse", &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script).map_err(Failure::writing(STANDARD_OUTPUT))
}

/// Writes a manual page for `command` and for each of its subcommands.
pub(crate) fn write_pages(args: &ManArgs, mut command: Command) -> Result<(), Failure> {
    command.build();
    if !args.directory.is_dir() {
        create_directory(&args.directory).map_err(Failure::writing(args.directory.display()))?;
    }
    write_page(&args.directory, &command, "simcse")
}

fn write_page(directory: &Path, command: &Command, name: &str) -> Result<(), Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().name(name.to_owned())).render(&mut page)?;
    write_bytes(&directory.join(format!("{name}.1")), &page)?;
    let shown = command.get_subcommands().filter(|command| command.get_name() != "help");
    shown.into_iter().try_for_each(|command| write_page(directory, command, &format!("{name}-{}", command.get_name())))
}
