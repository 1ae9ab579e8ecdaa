//! Why a command stops early, and the exit status and the one line that say so.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use crate::report;
use crate::stop;

/// Why a command stops early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage that the argument parser cannot see: exit status 2.
    Usage(String),
    /// Anything else: exit status 1.
    Failed(String),
    /// Stopped by Ctrl-C or SIGTERM, all done that is to be done before: exit status 130.
    Stopped(String),
    /// Nobody reads standard output any more (`simcse … | head`): a quiet end with exit status 0.
    ReaderGone,
}

/// Every library error fails the command, with its causes behind it.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many messages already end with their cause.
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        Self::Failed(message)
    }
}

impl Failure {
    /// Turns what the system said about writing to `name` into a failure.
    pub(crate) fn writing(name: impl Display) -> impl FnOnce(io::Error) -> Self {
        move |error| match error.kind() {
            ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("cannot write {name}: {error}")),
        }
    }

    /// Tells the user and gives the exit status.
    pub(crate) fn exit(self) -> ExitCode {
        let (message, status) = match self {
            Self::ReaderGone => return ExitCode::SUCCESS,
            Self::Failed(message) => (message, 1),
            Self::Usage(message) => (message, 2),
            Self::Stopped(message) => {
                report::note(&message);
                return ExitCode::from(stop::STATUS);
            }
        };
        report::note(&format!("error: {message}"));
        ExitCode::from(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let error = simcse_model::Error::Io { file: "f".into(), source: io::Error::other("no luck") };
        assert!(matches!(Failure::from(error), Failure::Failed(message) if message == "f: no luck"));
    }
}
