//! One file: downloaded under a temporary name, resumed where it stopped, checked, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::hub::cache::is_hex;
use crate::hub::error::HubError;
use crate::hub::http::{Client, Patience, unreachable};
use crate::hub::progress::Progress;
use crate::hub::url::without_query;
use crate::io::text::hexadecimal;

/// What to download, and where to.
pub(super) struct Job<'a> {
    /// The address.
    pub(super) url: &'a str,
    /// The name that progress is reported under.
    pub(super) name: &'a str,
    /// The size in bytes, if known.
    pub(super) size: Option<u64>,
    /// How to tell that the content is right.
    pub(super) check: Check,
    /// The path of the partial file. Existing content is taken as its beginning.
    pub(super) incomplete: &'a Path,
    /// The path of the checked file.
    pub(super) done: &'a Path,
}

/// How to tell that a file's content is right, in addition to its size.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Only the size is known.
    Size,
    /// By its SHA-256.
    Sha256(String),
    /// By its git blob id: the SHA-1 of `blob <size>\0` and the content.
    GitBlob(String),
    /// It is a gzip stream, which has checksums of its own.
    Gzip,
}

impl Check {
    /// The check that an ETag of the hub allows.
    pub(super) fn from_etag(etag: &str) -> Self {
        match etag {
            sha256 if is_hex(sha256, 64) => Self::Sha256(sha256.to_owned()),
            blob if is_hex(blob, 40) => Self::GitBlob(blob.to_owned()),
            _ => Self::Size,
        }
    }

    /// `Err` holds what was expected and what was found.
    fn verify(&self, file: &mut File, size: u64) -> io::Result<Result<(), (String, String)>> {
        file.seek(SeekFrom::Start(0))?;
        let (expected, found) = match self {
            Self::Size => return Ok(Ok(())),
            Self::Sha256(expected) => (expected, digest(Sha256::new(), file)?),
            Self::GitBlob(expected) => (expected, digest(Sha1::new().chain_update(format!("blob {size}\0")), file)?),
            Self::Gzip => {
                let whole = io::copy(&mut MultiGzDecoder::new(file), &mut io::sink());
                return Ok(whole.map(drop).map_err(|e| ("a gzip file".to_owned(), e.to_string())));
            }
        };
        Ok(if *expected == found { Ok(()) } else { Err((expected.clone(), found)) })
    }
}

fn digest<D: Digest + Write>(mut hasher: D, file: &mut File) -> io::Result<String> {
    io::copy(file, &mut hasher)?;
    Ok(hexadecimal(hasher.finalize()))
}

/// Downloads a file. `job.done` never has part of one.
///
/// # Errors
/// A connection that fails too often without a new byte, content that is wrong twice, or a file
/// that cannot be written.
pub(super) fn download(client: &Client, job: &Job<'_>, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
    let io_error = |action| HubError::io(action, job.incomplete);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(job.incomplete);
    let mut file = file.map_err(io_error("create"))?;

    let mut farthest = file.metadata().map_err(io_error("read"))?.len();
    let mut patience = client.patience();
    while let Err(error) = attempt(client, job, &mut file, progress) {
        // Only a byte that was never there before counts as progress: a server that ignores ranges
        // and always breaks at the same place must not be retried forever.
        let reached = file.metadata().map_err(io_error("read"))?.len();
        if reached > farthest {
            farthest = reached;
            patience = client.patience();
        }
        retry(&mut patience, error, job.name, progress)?;
    }
    file.sync_all().map_err(io_error("write"))?;
    fs::rename(job.incomplete, job.done).map_err(HubError::io("write", job.done))
}

fn retry(
    patience: &mut Patience,
    error: HubError,
    name: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    let notice = format!("{name}: {error}; retrying");
    patience.pause(error)?;
    progress(Progress::Notice(&notice));
    Ok(())
}

/// One attempt: the rest of the file, then the check.
fn attempt(
    client: &Client,
    job: &Job<'_>,
    file: &mut File,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    let io_error = |action| HubError::io(action, job.incomplete);
    let corrupt =
        |expected: String, found: String| HubError::Corrupt { url: without_query(job.url).to_owned(), expected, found };
    let mut position = file.seek(SeekFrom::End(0)).map_err(io_error("read"))?;
    let mut size = job.size;
    if size.is_none_or(|size| position != size) {
        let from = if size.is_some_and(|size| position > size) { 0 } else { position };
        let (begin, mut response) = client.open(job.url, from)?;
        file.set_len(begin).map_err(io_error("write"))?;
        position = file.seek(SeekFrom::Start(begin)).map_err(io_error("write"))?;
        size = size.or_else(|| response.body().content_length().map(|rest| begin + rest));
        position += copy(job, response.body_mut().as_reader(), file, position, size, progress)?;
    }
    let wrong = match size.filter(|size| *size != position) {
        Some(size) if position < size => {
            return Err(unreachable(job.url, "the connection ended early"));
        }
        Some(size) => Some((format!("{size} bytes"), "more".to_owned())),
        None => job.check.verify(file, position).map_err(io_error("read"))?.err(),
    };
    match wrong {
        None => Ok(()),
        Some((expected, found)) => {
            file.set_len(0).map_err(io_error("write"))?;
            Err(corrupt(expected, found))
        }
    }
}

/// Appends the body to the file, but at most one byte more than expected.
fn copy(
    job: &Job<'_>,
    body: impl Read,
    file: &mut File,
    position: u64,
    size: Option<u64>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<u64, HubError> {
    let mut body = body.take(size.map_or(u64::MAX, |size| size.saturating_sub(position) + 1));
    let mut buffer = vec![0; 1 << 18];
    let mut copied = 0;
    loop {
        progress(Progress::Bytes { file: job.name, bytes: position + copied, total: size });
        match body.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => file.write_all(&buffer[..count]).map_err(HubError::io("write", job.incomplete))?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(unreachable(job.url, e)),
        }
        copied = file.stream_position().map_err(HubError::io("write", job.incomplete))? - position;
    }
}
