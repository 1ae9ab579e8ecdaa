//! What can go wrong between a model's name and its directory, each with the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use simcse_model::io::printable;

/// Why a model or a data set could not be brought into a directory. Each message is one line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HubError {
    /// The argument is written like a path and nothing is there.
    #[error(
        "no model directory {}: it does not exist, and as a name of the hub it would be `owner/name` or `name`",
        shown(.name)
    )]
    NoSuchPath {
        /// The argument as given.
        name: String,
    },

    /// The argument names a file.
    #[error("{} is not a directory: --model takes the directory that holds config.json, or a name of the hub", shown(.name))]
    NotADirectory {
        /// The argument as given.
        name: String,
    },

    /// Neither a directory nor a possible name.
    #[error("{} is no directory here, and no model name of the hub either: {reason}", shown(.name))]
    BadName {
        /// The argument as given.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// Not on this disk, and no request may be made.
    #[error("{what} is not complete in {}, and {closed}", shown_path(.place))]
    NotCached {
        /// The model or file that is wanted.
        what: String,
        /// Where it was looked for.
        place: PathBuf,
        /// What stands between here and the network.
        closed: Closed,
    },

    /// No repository of that name that this user can see.
    #[error("no directory and no repository {repo} at {endpoint}: check the spelling; if it is private, set HF_TOKEN")]
    NoSuchRepository {
        /// The repository asked for.
        repo: String,
        /// The hub asked.
        endpoint: String,
    },

    /// The repository is there, the branch, tag or commit is not.
    #[error("{repo} has no revision {revision}: see {endpoint}/{repo}/tree/main for its branches and tags")]
    NoSuchRevision {
        /// The repository asked for.
        repo: String,
        /// The revision asked for.
        revision: String,
        /// The hub asked.
        endpoint: String,
    },

    /// The owner asks for consent first.
    #[error(
        "{repo} is gated: accept its conditions at {endpoint}/{repo}, then set HF_TOKEN to a token of that account"
    )]
    Gated {
        /// The repository asked for.
        repo: String,
        /// The hub asked.
        endpoint: String,
    },

    /// 401 or 403.
    #[error(
        "{endpoint} refuses access to {repo} ({status}{}): set HF_TOKEN to a valid token that may read it",
        detail(.message)
    )]
    Refused {
        /// The repository asked for.
        repo: String,
        /// The hub asked.
        endpoint: String,
        /// 401 or 403.
        status: u16,
        /// The server's own words, if any.
        message: String,
    },

    /// Any other HTTP status that is not success.
    #[error("{url} answered with status {status}{}: try again later, or check HF_ENDPOINT or SIMCSE_ASKUBUNTU_URL if set", detail(.message))]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The hub's `X-Error-Code`, empty if none.
        code: String,
        /// The hub's `X-Error-Message`, empty if none.
        message: String,
    },

    /// No connection, or it broke or stalled too often.
    #[error(
        "cannot fetch {url}: {}; check the connection, and HTTPS_PROXY, SSL_CERT_FILE and HF_ENDPOINT if set; the next run goes on where this stopped",
        shown(.reason)
    )]
    Unreachable {
        /// The address, without its query.
        url: String,
        /// What failed.
        reason: String,
    },

    /// An answer that a hub would not give.
    #[error("{url} does not answer like a Hugging Face hub: {}; check HF_ENDPOINT and the proxy", shown(.reason))]
    NotAHub {
        /// The address, without its query.
        url: String,
        /// What is missing or wrong.
        reason: String,
    },

    /// The weights are a Python pickle only, which is not read here.
    #[error(
        "{repo} has its weights as pytorch_model.bin only, and only model.safetensors is read: convert it once with \
         {} and use --model DIR", convert(.repo, .revision, *.sentence_model)
    )]
    OnlyPickle {
        /// The repository.
        repo: String,
        /// The revision asked for.
        revision: String,
        /// Whether it is a sentence-transformers model.
        sentence_model: bool,
    },

    /// The repository or cache lacks a file that every model has.
    #[error(
        "{repo} cannot be used, it has no {missing}: choose a repository that holds a model in one safetensors file"
    )]
    NotAModel {
        /// The repository.
        repo: String,
        /// The file or files.
        missing: &'static str,
    },

    /// `modules.json` cannot be read.
    #[error("{}: not a modules.json of sentence-transformers: {}; remove the file to fetch it again", shown_path(.path), shown(.reason))]
    Modules {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// The bytes received are not the bytes announced.
    #[error("{url} came damaged: expected {expected}, found {found}; try again, or check the proxy or mirror")]
    Corrupt {
        /// The address, without its query.
        url: String,
        /// Size or digest announced.
        expected: String,
        /// Size or digest received.
        found: String,
    },

    /// A setting from the environment cannot be used.
    #[error("{variable}: {reason}")]
    Setting {
        /// The environment variable.
        variable: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },

    /// The disk refuses.
    #[error("cannot {action} {}: {source}; check its permissions and the free space", shown_path(.path))]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Why no request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`.
    Offline,
    /// The cargo feature `hub` is off.
    NoClient,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: unset it once to download",
            Self::NoClient => {
                "this simcse was built without its `hub` feature: build it with the feature, or download with Python"
            }
        })
    }
}

impl HubError {
    /// For `map_err`: an input or output error with its file and deed.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Text from outside, in quotes and with control characters escaped.
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

/// A command that writes `DIR` with safetensors; the repository and revision are valid names, so no quoting is needed.
fn convert(repo: &str, revision: &str, sentence_model: bool) -> String {
    let python = match sentence_model {
        true => format!(
            "from sentence_transformers import SentenceTransformer as S; \
             S(\"{repo}\", revision=\"{revision}\").save_pretrained(\"DIR\")"
        ),
        false => format!(
            "from transformers import AutoModel as M, AutoTokenizer as T; \
             [C.from_pretrained(\"{repo}\", revision=\"{revision}\").save_pretrained(\"DIR\") for C in (M, T)]"
        ),
    };
    format!("python -c '{python}'")
}
