//! The settings of huggingface_hub and sentence-transformers, read from the environment.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::hub::error::{HubError, NoRequests};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where models are kept, where they come from, and how long to wait for them.
#[derive(Debug, Clone)]
pub(super) struct HubConfig {
    /// The cache of huggingface_hub, with its `models--owner--name` directories.
    pub(super) cache_dir: PathBuf,
    /// The hub's address, without a trailing slash.
    pub(super) endpoint: String,
    /// Whether requests are forbidden.
    pub(super) offline: bool,
    /// `HF_TOKEN`. Without it the token is read from `token_file` when the client is created.
    pub(super) token: Option<AccessToken>,
    /// Where `hf auth login` stores the token; `None` if tokens are not to be sent by default.
    pub(super) token_file: Option<PathBuf>,
    /// A PEM file of certificates to trust instead of Mozilla's.
    pub(super) ca_file: Option<PathBuf>,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are honored.
    pub(super) env_proxy: bool,
    /// The user's directory for data that can be downloaded again.
    pub(super) user_cache: PathBuf,
    /// The longest that a connection may be silent.
    pub(super) timeout: Duration,
    /// How many attempts in a row may fail without a new byte before giving up.
    pub(super) retries: u32,
    /// The pause before the first retry. It doubles each time.
    pub(super) back_off: Duration,
}

/// An access token, which never shows in a log.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct AccessToken(pub(super) String);

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

impl HubConfig {
    /// Reads the environment, with the names and the precedence of huggingface_hub 2.4 and
    /// sentence-transformers 6.2.
    pub(super) fn from_env() -> Self {
        Self::from_vars(|name| env::var_os(name), env::home_dir().unwrap_or_default())
    }

    /// [`Self::from_env`] for any environment. An empty variable counts as unset.
    pub(super) fn from_vars(var: impl Fn(&str) -> Option<OsString>, home: PathBuf) -> Self {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let path = |name: &str| var(name).map(|value| expand_user(Path::new(&value), &home));
        let text = |name: &str| var(name).map(|value| value.to_string_lossy().into_owned());

        let user_cache = path("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache"));
        let hf_home = path("HF_HOME").unwrap_or_else(|| user_cache.join("huggingface"));
        let cache_dir = ["SENTENCE_TRANSFORMERS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]
            .into_iter()
            .find_map(path)
            .unwrap_or_else(|| hf_home.join("hub"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let token = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find_map(text);
        let implicit_token = !is_true(text("HF_HUB_DISABLE_IMPLICIT_TOKEN"));
        let timeout = text("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|seconds| seconds.parse().ok());
        Self {
            cache_dir,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            offline: is_true(text("HF_HUB_OFFLINE").or_else(|| text("TRANSFORMERS_OFFLINE"))),
            token: token.filter(|_| implicit_token).and_then(AccessToken::clean),
            token_file: implicit_token.then(|| path("HF_TOKEN_PATH").unwrap_or_else(|| hf_home.join("token"))),
            ca_file: ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"].into_iter().find_map(path),
            env_proxy: true,
            user_cache,
            timeout: timeout.filter(|seconds| *seconds > 0).map_or(DEFAULT_TIMEOUT, Duration::from_secs),
            retries: 5,
            back_off: Duration::from_secs(1),
        }
    }

    /// Why no request may be made, if none may.
    pub(super) fn no_requests(&self) -> Option<NoRequests> {
        match (cfg!(feature = "hub"), self.offline) {
            (false, _) => Some(NoRequests::NoClient),
            (true, true) => Some(NoRequests::Offline),
            (true, false) => None,
        }
    }

    /// The token to send to the endpoint.
    ///
    /// # Errors
    /// A token file that exists and cannot be read.
    pub(super) fn token(&self) -> Result<Option<AccessToken>, HubError> {
        let (None, Some(file)) = (&self.token, &self.token_file) else {
            return Ok(self.token.clone());
        };
        match fs::read_to_string(file) {
            Ok(text) => Ok(AccessToken::clean(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(HubError::io("read the token in", file)(e)),
        }
    }
}

/// The user's directory for data that can be downloaded again: `XDG_CACHE_HOME`, or `~/.cache`.
#[must_use]
pub fn user_cache_dir() -> PathBuf {
    HubConfig::from_env().user_cache
}

impl AccessToken {
    fn clean(text: String) -> Option<Self> {
        let text = text.replace(['\r', '\n'], "");
        Some(text.trim()).filter(|text| !text.is_empty()).map(|text| Self(text.to_owned()))
    }
}

fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
}

/// Expands `~` and `~/…`, for variables that no shell has expanded.
fn expand_user(path: &Path, home: &Path) -> PathBuf {
    path.strip_prefix("~").map_or(path.to_owned(), |rest| home.join(rest))
}
