//! What happens during a download, for a progress display.

/// What happens while files are downloaded.
#[derive(Debug)]
pub enum Progress<'a> {
    /// More of a file has arrived. `bytes` decreases if a file has to start over; at
    /// `bytes == total` the file is complete but not yet checked.
    Bytes {
        /// The file's name in the repository.
        file: &'a str,
        /// How much of it is on this disk.
        bytes: u64,
        /// The file's size, if the server sent it.
        total: Option<u64>,
    },
    /// Something the user should know: a retry, a wait, a doubt about the cache.
    Notice(&'a str),
}
