//! What the user sees of a download: a bar for each file on a terminal, a line for each file elsewhere.

use indicatif::{HumanBytes, ProgressBar};

use crate::hub::Progress;
use crate::report;

/// Shows the files that are fetched, one after the other.
#[derive(Default)]
pub(crate) struct Fetching {
    current: Option<(String, ProgressBar)>,
}

impl Fetching {
    /// For the hub's functions.
    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Bytes { file, bytes, total } => {
                let bar = self.bar(file, total);
                bar.set_position(bytes);
                if total == Some(bytes) {
                    bar.finish_and_clear();
                }
            }
            Progress::Notice(text) => match &self.current {
                Some((_, bar)) => bar.suspend(|| report::note(text)),
                None => report::note(text),
            },
        }
    }

    /// The bar of `file`, which is told of when it is new.
    fn bar(&mut self, file: &str, total: Option<u64>) -> &ProgressBar {
        if self.current.as_ref().is_none_or(|(name, _)| name != file) {
            let bar = report::bytes_bar(file, total);
            if bar.is_hidden() {
                let size = total.map_or_else(String::new, |total| format!(" ({})", HumanBytes(total)));
                report::note(&format!("fetching {file}{size}"));
            }
            self.current = Some((file.to_owned(), bar));
        }
        &self.current.as_ref().expect("the bar of the file").1
    }
}
