//! The crate's error: for any bad input, the file, the field or tensor, what was expected, and what
//! was found.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use simcse_tensor::{Isa, UnknownName};

use crate::hub::error::HubError;
use crate::io::text::excerpt;

/// The longest piece of foreign text that a message quotes, in characters.
const ECHO: usize = 200;

/// Anything wrong with model files and their contents.
///
/// The strings come from foreign files; messages escape their control characters.
///
/// ```
/// use std::path::Path;
/// use simcse_model::ModelDirectory;
///
/// let error = ModelDirectory::read(Path::new("no-such-model")).unwrap_err();
/// assert!(matches!(error, simcse_model::Error::Missing { .. }));
/// assert!(error.to_string().starts_with("no-such-model: not found"));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write `file`.
    #[error("{}: {source}", printable(.file.display()))]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file that the model needs does not exist; `advice` says what to do.
    #[error("{}: not found: {}", printable(.file.display()), printable(.advice))]
    Missing {
        /// The file.
        file: PathBuf,
        /// What it should contain, or how to obtain it.
        advice: String,
    },
    /// A file as a whole is not in the expected format.
    #[error("{}: expected {}, found: {}", printable(.file.display()), .expected, printable(.found))]
    Format {
        /// The file.
        file: PathBuf,
        /// The format.
        expected: &'static str,
        /// The parser's message, or what the file seems to be.
        found: String,
    },
    /// A field of a JSON file has a value that this crate cannot honor.
    #[error(
        "{}: {}: expected {}, found {}",
        printable(.file.display()), printable(.field), printable(.expected), printable(.found)
    )]
    Field {
        /// The file.
        file: PathBuf,
        /// The field.
        field: String,
        /// The accepted values.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// A tensor is missing, superfluous, or not what the configuration calls for.
    #[error(
        "{}: tensor {}: expected {}, found {}",
        printable(.file.display()), printable(.tensor), printable(.expected), printable(.found)
    )]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor's name, or the first of several names.
        tensor: String,
        /// The accepted shape, type, or content.
        expected: String,
        /// The shape, type, or content in the file.
        found: String,
    },
    /// The tokenizer failed on a text.
    #[error("{}: cannot encode {}: {}", printable(.file.display()), printable(format_args!("{text:?}")), printable(.reason))]
    Encode {
        /// The tokenizer's file.
        file: PathBuf,
        /// The text.
        text: String,
        /// The tokenizer's message.
        reason: String,
    },
    /// `SIMCSE_ISA` names no instruction set.
    #[error("{}: {}", Isa::VARIABLE, printable(.0))]
    InstructionSet(#[from] UnknownName),
    /// A model could not be found by its name on the hub, or a file could not be downloaded.
    #[error(transparent)]
    Hub(#[from] HubError),
}

/// A result whose error is this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(file: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { file: file.to_path_buf(), source }
    }

    pub(crate) fn format(file: &Path, expected: &'static str, found: impl Display) -> Self {
        Self::Format { file: file.to_path_buf(), expected, found: found.to_string() }
    }

    pub(crate) fn field(file: &Path, field: &str, expected: impl Display, found: impl Display) -> Self {
        Self::Field {
            file: file.to_path_buf(),
            field: field.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    pub(crate) fn tensor(file: &Path, tensor: &str, expected: impl ToString, found: impl ToString) -> Self {
        Self::Tensor {
            file: file.to_path_buf(),
            tensor: tensor.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// Foreign text, as messages quote it.
fn printable(text: impl Display) -> String {
    excerpt(text, ECHO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_escape_whatever_a_terminal_would_act_on() {
        let error = Error::field(Path::new("a\u{1b}[2Jb"), "x\r", "y", "\u{202e}z\n");
        assert_eq!(error.to_string(), r"a\u{1b}[2Jb: x\r: expected y, found \u{202e}z\n");
    }

    #[test]
    fn messages_are_bounded() {
        let error = Error::field(Path::new("f"), "x", "y", "z".repeat(1 << 20));
        assert!(error.to_string().len() < 300);
    }
}
