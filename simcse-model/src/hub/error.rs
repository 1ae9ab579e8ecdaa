//! What can go wrong between a model's name and its directory, each error with a way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::io::text::printable;

/// Why a model or a file could not be found or downloaded. Each message is one line that says what
/// failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The model is written as a path, and nothing is there.
    #[error(
        "no model directory {}: it does not exist, and a name on the hub is `owner/name` or `name`",
        shown(.name)
    )]
    NoSuchPath {
        /// The model as given.
        name: String,
    },

    /// The model is a file.
    #[error(
        "{} is not a directory: expected the directory that contains config.json, or a name on the hub",
        shown(.name)
    )]
    NotADirectory {
        /// The model as given.
        name: String,
    },

    /// Neither a directory nor a valid name.
    #[error("{} is neither a directory nor a valid name on the hub: {reason}", shown(.name))]
    BadName {
        /// The model as given.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// Not on this disk, and no request may be made.
    #[error("{what} is missing or incomplete in {}, and {why}", shown_path(.place))]
    NotCached {
        /// The model or file that is needed.
        what: String,
        /// Where it was looked for.
        place: PathBuf,
        /// Why it was not downloaded.
        why: NoRequests,
    },

    /// There is no such repository, or this user may not see it.
    #[error(
        "{repo} is neither a directory nor a repository at {endpoint}: \
         check the spelling, and set HF_TOKEN if it is private"
    )]
    NoSuchRepository {
        /// The repository.
        repo: String,
        /// The hub's address.
        endpoint: String,
    },

    /// The repository exists, but not the branch, tag or commit.
    #[error("{repo} has no revision {revision}: see {endpoint}/{repo}/tree/main for its branches and tags")]
    NoSuchRevision {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
        /// The hub's address.
        endpoint: String,
    },

    /// The owner requires consent first.
    #[error(
        "{repo} is gated: accept its conditions at {endpoint}/{repo}, \
         then set HF_TOKEN to a token of the account that accepted them"
    )]
    Gated {
        /// The repository.
        repo: String,
        /// The hub's address.
        endpoint: String,
    },

    /// Status 401 or 403.
    #[error(
        "{endpoint} denied access to {repo} (status {status}{}): set HF_TOKEN to a valid token that may read it",
        detail(.message)
    )]
    Refused {
        /// The repository.
        repo: String,
        /// The hub's address.
        endpoint: String,
        /// 401 or 403.
        status: u16,
        /// What the server said, if anything.
        message: String,
    },

    /// Any other HTTP status that is not success.
    #[error(
        "{url} returned status {status}{}: try again later, or check the address (HF_ENDPOINT sets the hub's)",
        detail(.message)
    )]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The hub's `X-Error-Code`, or empty.
        code: String,
        /// The hub's `X-Error-Message`, or empty.
        message: String,
    },

    /// No connection, or one that broke or stalled too often.
    #[error(
        "cannot download {url}: {}; check the connection, and HTTPS_PROXY, SSL_CERT_FILE and HF_ENDPOINT if set; \
         the next run resumes where this one stopped",
        shown(.reason)
    )]
    Unreachable {
        /// The address, without its query.
        url: String,
        /// What failed.
        reason: String,
    },

    /// A response that no hub would send.
    #[error("{url} does not respond like a Hugging Face hub: {}; check HF_ENDPOINT and the proxy", shown(.reason))]
    NotAHub {
        /// The address, without its query.
        url: String,
        /// What is missing or wrong.
        reason: String,
    },

    /// The repository lacks a file that every model has.
    #[error("{repo} cannot be used without {missing}: choose a repository with a whole model")]
    NotAModel {
        /// The repository.
        repo: String,
        /// The missing file or files.
        missing: String,
    },

    /// The bytes received are not the bytes announced.
    #[error("{url} arrived damaged: expected {expected}, found {found}; try again, or check the proxy or mirror")]
    Corrupt {
        /// The address, without its query.
        url: String,
        /// The size or digest announced.
        expected: String,
        /// The size or digest received.
        found: String,
    },

    /// An address that is not one of the web.
    #[error("{} is not an address: expected https://host/path", shown(.url))]
    BadAddress {
        /// The address as given.
        url: String,
    },

    /// A setting from the environment that cannot be used.
    #[error("{variable}: {reason}")]
    Setting {
        /// The environment variable.
        variable: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },

    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}: {source}; check its permissions and the free space", shown_path(.path))]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why no request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRequests {
    /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is set.
    Offline,
    /// The cargo feature `hub` is off.
    NoClient,
}

impl fmt::Display for NoRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: unset it to download",
            Self::NoClient => {
                "this program was built without the feature `hub`: \
                 build it with the feature, or download with other tools"
            }
        })
    }
}

impl HubError {
    /// For `map_err`: an input or output error, with the action and the file.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Foreign text, in quotes and with control characters escaped.
pub(super) fn shown(text: &str) -> String {
    format!("`{}`", printable(text))
}

/// [`shown`] for a path.
pub(super) fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

fn detail(message: &str) -> String {
    match message.is_empty() {
        true => String::new(),
        false => format!(", {}", shown(message)),
    }
}
