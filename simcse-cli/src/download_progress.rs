//! What the user sees of a download: on a terminal a bar for each file, elsewhere a line for each.

use indicatif::{HumanBytes, ProgressBar};
use simcse_model::hub::Progress;

use crate::{progress, report};

/// Shows the files of a download, one after the other.
#[derive(Default)]
pub(crate) struct DownloadProgress {
    current: Option<(String, ProgressBar)>,
}

impl DownloadProgress {
    /// The callback for the hub's functions.
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

    /// The bar of `file`, which is announced when it is new.
    fn bar(&mut self, file: &str, total: Option<u64>) -> &ProgressBar {
        if self.current.as_ref().is_none_or(|(name, _)| name != file) {
            let bar = progress::bytes_bar(file, total);
            if bar.is_hidden() {
                let size = total.map_or_else(String::new, |total| format!(" ({})", HumanBytes(total)));
                report::note(&format!("downloading {file}{size}"));
            }
            self.current = Some((file.to_owned(), bar));
        }
        &self.current.as_ref().expect("the bar of the file").1
    }
}
