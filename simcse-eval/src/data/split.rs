//! Which part of a data set is read.

use simcse_model::Named;

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
