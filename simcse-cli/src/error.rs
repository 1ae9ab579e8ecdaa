//! Why a command ends early. `main` prints it and turns it into an exit status.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, ErrorKind};

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage that the argument parser cannot detect.
    Usage(String),
    /// Anything else that went wrong.
    Failed(String),
    /// Stopped by Ctrl-C or SIGTERM, after saving what had to be saved.
    Stopped(String),
    /// Whoever read standard output has stopped reading (`simcse … | head`).
    ReaderGone,
}

/// Every library error fails the command; its message ends with its causes.
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
    /// Turns an error of writing to `name` into a failure.
    pub(crate) fn writing(name: impl Display) -> impl FnOnce(io::Error) -> Self {
        move |error| match error.kind() {
            ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("cannot write {name}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_once() {
        let error = simcse_model::Error::Io { file: "f".into(), source: io::Error::other("no luck") };
        assert!(matches!(Failure::from(error), Failure::Failed(message) if message == "f: no luck"));
    }
}
