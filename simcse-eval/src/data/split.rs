//! Which part of a data set is read.

use std::collections::BTreeSet;
use std::path::Path;

use simcse_model::Named;
use simcse_model::io::Record;

use crate::error::{Error, shown};

/// Which queries of an AskUbuntu directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The development set, `dev.txt`.
    Dev,
    /// The test set, `test.txt`.
    Test,
}

impl Named for Split {
    const ALL: &'static [Self] = &[Self::Dev, Self::Test];

    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Test => "test",
        }
    }
}

impl Split {
    pub(crate) fn file_name(self) -> String {
        format!("{}.txt", self.name())
    }
}

/// Keeps the records of the split that is chosen; all of them if there is only one.
pub(crate) fn keep_split(
    path: &Path,
    records: &mut Vec<Record>,
    column: Option<usize>,
    chosen: Option<&str>,
) -> Result<(), Error> {
    let split_of = |record: &Record| {
        let field = column.and_then(|column| record.fields.get(column)?.as_deref());
        field.unwrap_or_default().trim().to_lowercase()
    };
    let splits: BTreeSet<String> = records.iter().map(split_of).filter(|split| !split.is_empty()).collect();
    let error = |expected: String| {
        let found = match splits.len() {
            0 => "none".to_owned(),
            _ => shown(&splits.iter().cloned().collect::<Vec<_>>().join(", ")),
        };
        Err(Error::Splits { path: path.to_owned(), expected, found })
    };
    match chosen.map(|chosen| chosen.trim().to_lowercase()) {
        Some(chosen) if splits.contains(&chosen) => {
            records.retain(|record| split_of(record) == chosen);
            Ok(())
        }
        Some(chosen) => error(format!("the split `{}`", shown(&chosen))),
        None if splits.len() > 1 => error("the pairs of one split".to_owned()),
        None => Ok(()),
    }
}
