//! Runs of `simcse train` in processes of their own: one that fails, or is killed for its memory,
//! takes nothing with it.
//!
//! This file knows processes. It must not know what a sweep is.

use std::env;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use simcse_model::Isa;

use crate::error::Failure;
use crate::report::{self, Verbosity};
use crate::stop;

/// How a process ended.
pub(super) enum Ended {
    /// With this JSON object on standard output.
    Well(Value),
    /// Because a stop was requested.
    Stopped,
    /// Otherwise.
    Badly(String),
}

/// Runs `simcse train` with arguments from `config`, and `more`. What it says on standard error is
/// shown. Variables of the environment have no effect on it: what a sweep compares must not depend
/// on them.
pub(super) fn train(config: &Path, more: &[&str], is_quiet: bool) -> Result<Ended, Failure> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("train").arg("--config").arg(config).args(more).arg("--json");
    command.arg(format!("--threads={}", rayon::current_num_threads()));
    match is_quiet || !report::prints(Verbosity::Normal) {
        true => command.arg("--quiet"),
        false if report::prints(Verbosity::Verbose) => command.arg("--verbose"),
        false => &mut command,
    };
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SIMCSE_") && name != Isa::VARIABLE {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    own_group(&mut command);
    let mut child = command.spawn()?;
    // What is printed is short, but a full pipe would block the process.
    let mut stdout = child.stdout.take().expect("standard output is a pipe");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let status = wait(&mut child)?;
    let text = reader.join().map_err(|_| Failure::Failed("cannot read from a run".to_owned()))??;
    if status.success() {
        let last = text.lines().last().unwrap_or_default();
        return Ok(Ended::Well(serde_json::from_str(last)?));
    }
    if stop::requested() { Ok(Ended::Stopped) } else { Ok(Ended::Badly(status.to_string())) }
}

/// Waits for the end of a process. A stop of this process is passed on once, so that the run can
/// save what it has.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    const INTERVAL: Duration = Duration::from_millis(50);
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if stop::requested() && !told {
            told = true;
            interrupt(child);
        }
        thread::sleep(INTERVAL);
    }
}

/// Ctrl-C reaches every process of a terminal's foreground group. The run must get a signal once,
/// from this process: the second one would end it at once.
#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

#[cfg(unix)]
fn interrupt(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let _ = kill_process(Pid::from_child(child), Signal::TERM); // it may have ended by itself
}

#[cfg(not(unix))]
fn interrupt(_: &Child) {}
