//! What happens during a download, for whoever watches.

/// What happens while files are downloaded.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A file grows. `bytes` may fall when a file has to start over; at `bytes == total` all of it
    /// is there but not yet checked.
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
