//! What is in a directory, for messages about what is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::error::shown;

/// The names in a directory, for a message.
pub(crate) fn entries_of(directory: &Path) -> String {
    let Ok(entries) = fs::read_dir(directory) else {
        return "no such directory".to_owned();
    };
    let names: BTreeSet<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    match names.is_empty() {
        true => "an empty directory".to_owned(),
        false => shown(&names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}
