//! A hub on the loopback interface that can misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::COMMIT;

/// One request as received, with header names in lower case.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
}

/// A response. If `cut` is set, only that many bytes of the body are sent; the connection is then
/// kept open for `stall`.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) cut: Option<usize>,
    pub(super) stall: Duration,
}

/// A running server and the requests that it has received.
pub(super) struct Server {
    pub(super) url: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A file, or the requested range of it.
    pub(super) fn file(request: &Request, content: &[u8]) -> Self {
        let from = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        match from.and_then(|from| from.parse::<usize>().ok()) {
            Some(from) if from < content.len() => Self::status(206)
                .header("Content-Range", format!("bytes {from}-{}/{}", content.len() - 1, content.len()))
                .body(&content[from..]),
            Some(_) => Self::status(416),
            None => Self::status(200).body(content),
        }
    }

    fn send(&self, request: &Request, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", self.status);
        head += &format!("Content-Length: {}\r\n", self.body.len());
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        if request.method != "HEAD" {
            stream.write_all(&self.body[..self.cut.unwrap_or(self.body.len()).min(self.body.len())])?;
        }
        stream.flush()?;
        thread::sleep(self.stall);
        Ok(())
    }
}

impl Server {
    /// Serves what `answer` returns on a free port, until the test ends.
    pub(super) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&log);
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let requests = Arc::clone(&requests);
                let answer = Arc::clone(&answer);
                thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    requests.lock().unwrap().push(request.clone());
                    let _ = answer(&request).send(&request, &stream);
                });
            }
        });
        Self { url, log }
    }

    pub(super) fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// The number of requests with this method and a path with this ending.
    pub(super) fn count(&self, method: &str, end: &str) -> usize {
        self.log().iter().filter(|r| r.method == method && r.path.ends_with(end)).count()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let pair = |line: String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Some(Request { method, path, headers: lines.filter_map(pair).collect() })
}

/// A repository's files, served as the hub serves them.
#[derive(Debug, Clone, Default)]
pub(super) struct Repo {
    files: BTreeMap<String, Vec<u8>>,
    /// Where requests for large files are redirected to.
    pub(super) storage: Option<String>,
}

impl Repo {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let file = |(name, content): &(&str, &str)| (name.to_string(), content.as_bytes().to_vec());
        Self { files: files.iter().map(file).collect(), storage: None }
    }

    /// The response to a request for this repository under any name.
    pub(super) fn answer(&self, request: &Request) -> Reply {
        if request.path.starts_with("/api/models/") {
            let names: Vec<_> = self.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
            let listing = serde_json::json!({ "sha": COMMIT, "siblings": names, "private": false });
            return Reply::status(200).body(listing.to_string());
        }
        let name = request.path.split_once(&format!("/resolve/{COMMIT}/")).map(|(_, name)| name);
        let Some((name, content)) = name.and_then(|name| self.files.get_key_value(name)) else {
            return Reply::status(404).header("X-Error-Code", "EntryNotFound");
        };
        let large = name.ends_with(".safetensors");
        match &self.storage {
            Some(storage) if large => Reply::status(302)
                .header("Location", format!("{storage}/{name}?signature=secret"))
                .header("X-Linked-Etag", format!("\"{}\"", sha256(content)))
                .header("X-Linked-Size", content.len()),
            _ => Reply::file(request, content)
                .header("ETag", format!("\"{}\"", if large { sha256(content) } else { git_blob(content) }))
                .header("X-Repo-Commit", COMMIT),
        }
    }
}

pub(super) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn git_blob(content: &[u8]) -> String {
    let hash = Sha1::new().chain_update(format!("blob {}\0", content.len())).chain_update(content).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
