//! What every report can do.

use std::fmt::Debug;

use serde_json::{Map, Value};

use crate::error::Result;

/// A file, or several, that another program reads.
pub(super) trait Report: Debug {
    /// Adds the newest line of the log.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write) and the like.
    fn add(&mut self, line: &Map<String, Value>) -> Result<()>;
}
