//! Errors of the libraries as exceptions.

use std::error::Error;
use std::fmt::Write;

use pyo3::PyErr;
use pyo3::exceptions::PyValueError;

/// A `ValueError` with the error's message and its causes.
pub(crate) fn exception(error: impl Error) -> PyErr {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some messages include that of their cause.
        if !message.contains(&text) {
            let _ = write!(message, ": {text}");
        }
        cause = error.source();
    }
    PyValueError::new_err(message)
}
