//! Requests to the hub: redirects, the token, timeouts, retries.

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Method, Request, Response, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::hub::config::{AccessToken, HubConfig};
use crate::hub::error::{HubError, shown, shown_path};
use crate::hub::url::{Origin, join, origin, parse_url, without_query};

const MAX_REDIRECTS: usize = 10;
const MAX_JSON: u64 = 64 << 20;

/// One client for all requests of a run.
pub(super) struct Client {
    agent: Agent,
    token: Option<AccessToken>,
    /// The only origin that the token is sent to.
    home: Option<Origin>,
    retries: u32,
    back_off: Duration,
}

/// What the hub says about a file before it is downloaded.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The content's id: on a Hugging Face hub its SHA-256 (large files) or its git blob id.
    pub(super) etag: Option<String>,
    /// Its size in bytes.
    pub(super) size: Option<u64>,
}

/// The retries that are left, and the pause before the next one.
pub(super) struct Patience {
    left: u32,
    pause: Duration,
}

impl Client {
    /// A client that sends the user's token to `config.endpoint` and nowhere else.
    ///
    /// # Errors
    /// An endpoint, a token or certificates that cannot be used.
    pub(super) fn new(config: &HubConfig) -> Result<Self, HubError> {
        let endpoint = parse_url(&config.endpoint).ok_or_else(|| {
            let reason = format!("{} is not an address: expected https://host", shown(&config.endpoint));
            HubError::Setting { variable: "HF_ENDPOINT", reason }
        })?;
        let token = config.token()?;
        if token.as_ref().is_some_and(|token| !token.0.bytes().all(|b| b.is_ascii_graphic())) {
            let reason = "expected visible ASCII characters only; see the hub's Settings, Access Tokens";
            return Err(HubError::Setting { variable: "HF_TOKEN", reason: reason.to_owned() });
        }
        Ok(Self { token, home: Some(origin(&endpoint)), ..Self::without_token(config)? })
    }

    /// A client that sends no token to anyone.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub(super) fn without_token(config: &HubConfig) -> Result<Self, HubError> {
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("simcse/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(config.timeout))
            .timeout_resolve(Some(config.timeout))
            .timeout_recv_response(Some(config.timeout))
            .timeout_per_read(Some(config.timeout));
        if !config.env_proxy {
            builder = builder.proxy(None);
        }
        if let Some(roots) = root_certificates(config)? {
            builder = builder.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self {
            agent: builder.build().into(),
            token: None,
            home: None,
            retries: config.retries,
            back_off: config.back_off,
        })
    }

    /// Downloads and parses a JSON document.
    ///
    /// # Errors
    /// A status that is not success, no connection after all retries, or anything but this JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, HubError> {
        let bytes = self.patiently(|| {
            let mut response = self.send(&Method::GET, url, 0)?;
            let mut bytes = Vec::new();
            let reader = response.body_mut().as_reader();
            reader.take(MAX_JSON).read_to_end(&mut bytes).map_err(|e| unreachable(url, e))?;
            Ok(bytes)
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|e| HubError::NotAHub { url: without_query(url).to_owned(), reason: e.to_string() })
    }

    /// Asks for a file's id and size.
    ///
    /// # Errors
    /// A status that is not success, or no connection after all retries.
    pub(super) fn metadata(&self, url: &str) -> Result<Metadata, HubError> {
        let response = self.patiently(|| self.send(&Method::HEAD, url, 0))?;
        let headers = response.headers();
        let either = |linked: &str, plain: &str| text(headers, linked).or_else(|| text(headers, plain));
        // The length of a redirect's own body says nothing about the file.
        let size = match response.status().is_redirection() {
            true => text(headers, "x-linked-size"),
            false => either("x-linked-size", "content-length"),
        };
        Ok(Metadata {
            etag: either("x-linked-etag", "etag").map(|etag| normalize_etag(&etag).to_owned()),
            size: size.and_then(|size| size.parse().ok()),
        })
    }

    /// Opens a file at byte `from`, in one attempt. Returns where the body really begins: at
    /// `from`, or at 0 if the server does not serve ranges.
    ///
    /// # Errors
    /// A status that is not success, or no connection.
    pub(super) fn open(&self, url: &str, from: u64) -> Result<(u64, Response<Body>), HubError> {
        let response = match self.send(&Method::GET, url, from) {
            Err(HubError::Status { status: 416, .. }) if from > 0 => self.send(&Method::GET, url, 0)?,
            response => response?,
        };
        let begin: Option<u64> = text(response.headers(), "content-range")
            .filter(|_| response.status() == 206)
            .and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
        match (response.status().as_u16(), begin) {
            (206, Some(begin)) if begin == from => Ok((from, response)),
            (206, _) => Err(unreachable(url, "it sent a different range than requested")),
            _ => Ok((0, response)),
        }
    }

    /// The retries for a file's content.
    pub(super) fn patience(&self) -> Patience {
        Patience { left: self.retries, pause: self.back_off }
    }

    fn patiently<T>(&self, mut attempt: impl FnMut() -> Result<T, HubError>) -> Result<T, HubError> {
        // A lookup is short; without a network, its error should not take half a minute.
        let mut patience = Patience { left: self.retries.min(2), pause: self.back_off };
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(e) => patience.pause(e)?,
            }
        }
    }

    /// One request, with its redirects. A HEAD request stops at the response that describes the
    /// file, which the hub sends before it redirects to the host that stores large files.
    fn send(&self, method: &Method, url: &str, from: u64) -> Result<Response<Body>, HubError> {
        let failed = |e: &dyn std::fmt::Display| unreachable(url, e);
        let mut at: Uri = url.parse().map_err(|e| failed(&e))?;
        for _ in 0..=MAX_REDIRECTS {
            let mut request =
                Request::builder().method(method.clone()).uri(at.clone()).header(header::ACCEPT_ENCODING, "identity");
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = &self.token
                && self.home.as_ref() == Some(&origin(&at))
            {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.0));
            }
            let request = request.body(()).map_err(|e| failed(&e))?;
            let response = self.agent.run(request).map_err(|e| failed(&e))?;

            let headers = response.headers();
            let location = text(headers, "location").filter(|_| response.status().is_redirection());
            match location {
                None => return success(url, response),
                Some(_) if method == Method::HEAD && headers.contains_key("x-linked-etag") => {
                    return Ok(response);
                }
                Some(location) => {
                    let next = join(&at, &location).map_err(|e| failed(&e))?;
                    if at.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                        return Err(failed(&"it redirects from https to http"));
                    }
                    at = next;
                }
            }
        }
        Err(failed(&"too many redirects"))
    }
}

impl Patience {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The error itself, if another attempt would not help or there have been enough.
    pub(super) fn pause(&mut self, error: HubError) -> Result<(), HubError> {
        let is_transient = match &error {
            HubError::Unreachable { .. } => true,
            // The damaged file was discarded; a second damaged copy means a third will not help.
            HubError::Corrupt { .. } => {
                self.left = self.left.min(1);
                true
            }
            HubError::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => false,
        };
        if !is_transient || self.left == 0 {
            return Err(error);
        }
        self.left -= 1;
        thread::sleep(self.pause);
        self.pause *= 2;
        Ok(())
    }
}

/// A connection that failed or broke.
pub(super) fn unreachable(url: &str, reason: impl ToString) -> HubError {
    HubError::Unreachable { url: without_query(url).to_owned(), reason: reason.to_string() }
}

fn success(url: &str, response: Response<Body>) -> Result<Response<Body>, HubError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let header = |name| text(response.headers(), name).unwrap_or_default();
    Err(HubError::Status {
        url: without_query(url).to_owned(),
        status: response.status().as_u16(),
        code: header("x-error-code"),
        message: header("x-error-message"),
    })
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn normalize_etag(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

fn root_certificates(config: &HubConfig) -> Result<Option<RootCerts>, HubError> {
    let Some(path) = &config.ca_file else {
        return Ok(None);
    };
    let pem = fs::read(path).map_err(HubError::io("read the certificates in", path))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let reason = format!("{} contains no certificate in PEM format", shown_path(path));
        return Err(HubError::Setting { variable: "SSL_CERT_FILE", reason });
    }
    Ok(Some(RootCerts::Specific(Arc::new(certificates))))
}
