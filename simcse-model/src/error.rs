//! The crate's error: every bad input names the file, the field or tensor, what was expected and what was found.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use crate::io::text::excerpt;

/// The longest piece of foreign text that a message repeats, in characters.
const ECHO: usize = 200;

/// Anything wrong with what comes from outside: model files and their contents.
///
/// The strings come from foreign files; the messages show their control characters escaped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write `file`.
    #[error("{}: {source}", printable(.file.display()))]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that the model needs is not there; `advice` says what to do.
    #[error("{}: not found: {}", printable(.file.display()), printable(.advice))]
    Missing {
        /// The file that was looked for.
        file: PathBuf,
        /// What was expected there and the way out.
        advice: String,
    },
    /// A file as a whole is not of its format.
    #[error("{}: expected {}, found: {}", printable(.file.display()), .expected, printable(.found))]
    Format {
        /// The file.
        file: PathBuf,
        /// The format.
        expected: &'static str,
        /// What the parser met.
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
        /// The values that would do.
        expected: String,
        /// The value.
        found: String,
    },
    /// A tensor is missing, left over, or not what the configuration calls for.
    #[error(
        "{}: tensor {}: expected {}, found {}",
        printable(.file.display()), printable(.tensor), printable(.expected), printable(.found)
    )]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor's name (or the first names).
        tensor: String,
        /// Shape, type or content that would do.
        expected: String,
        /// Shape, type or content in the file.
        found: String,
    },
    /// The tokenizer failed on a text.
    #[error("{}: cannot encode {}: {}", printable(.file.display()), printable(format_args!("{text:?}")), printable(.reason))]
    Encode {
        /// The tokenizer's file.
        file: PathBuf,
        /// The text.
        text: String,
        /// What the tokenizer said.
        reason: String,
    },
}

/// `std::result::Result` with this crate's [`Error`].
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
}

/// Foreign text in a message.
fn printable(text: impl Display) -> String {
    excerpt(text, ECHO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_escape_what_a_terminal_would_act_on() {
        let error = Error::field(Path::new("a\u{1b}[2Jb"), "x\r", "y", "\u{202e}z\n");
        assert_eq!(error.to_string(), r"a\u{1b}[2Jb: x\r: expected y, found \u{202e}z\n");
    }

    #[test]
    fn messages_are_bounded() {
        let error = Error::field(Path::new("f"), "x", "y", "z".repeat(1 << 20));
        assert!(error.to_string().len() < 300);
    }
}
