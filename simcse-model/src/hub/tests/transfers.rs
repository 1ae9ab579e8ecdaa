//! Connections that break, stall, lie or resume.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::config::{AccessToken, HubConfig};
use super::super::download_file::{DatasetFile, download_file_with};
use super::server::{Reply, Repo, Request, Server, sha256};
use super::{HubError, PLAIN, config, resolve};

const WEIGHTS: &[u8] = b"weights";

/// A hub whose first `times` responses to a GET of the weights go through `spoil`.
fn spoiled(times: usize, spoil: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Server {
    let repo = Repo::new(PLAIN);
    let count = AtomicUsize::new(0);
    Server::start(move |request| {
        let reply = repo.answer(request);
        let hit = request.method == "GET" && request.path.ends_with("model.safetensors");
        if hit && count.fetch_add(1, Ordering::Relaxed) < times { spoil(reply) } else { reply }
    })
}

fn ranges(server: &Server) -> Vec<Option<String>> {
    let weights = |r: &Request| r.method == "GET" && r.path.ends_with("model.safetensors");
    server.log().into_iter().filter(weights).map(|r| r.headers.get("range").cloned()).collect()
}

fn download(cache: &Path, server: &Server) -> Result<Vec<u8>, HubError> {
    resolve(&config(cache, &server.url), "o/n").map(|dir| fs::read(dir.join("model.safetensors")).unwrap())
}

/// Whether no file has the weights' final name.
fn no_weights(cache: &Path) -> bool {
    !cache.join("models--o--n/blobs").join(sha256(WEIGHTS)).exists()
}

#[test]
fn a_broken_connection_resumes_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(2, |reply| Reply { cut: Some(2), ..reply });
    assert_eq!(download(dir.path(), &server).unwrap(), WEIGHTS);
    assert_eq!(ranges(&server), [None, Some("bytes=2-".to_owned()), Some("bytes=4-".to_owned())]);
}

#[test]
fn a_stalled_connection_is_cut_and_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let server = spoiled(1, |reply| Reply { cut: Some(3), stall: Duration::from_secs(20), ..reply });
    assert_eq!(download(dir.path(), &server).unwrap(), WEIGHTS);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(ranges(&server), [None, Some("bytes=3-".to_owned())]);
}

#[test]
fn an_earlier_run_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(99, |reply| Reply { cut: Some(if reply.status == 200 { 4 } else { 0 }), ..reply });
    let error = download(dir.path(), &server).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    assert!(no_weights(dir.path()));
    let blobs = dir.path().join("models--o--n/blobs");
    assert_eq!(fs::read(blobs.join(sha256(WEIGHTS) + ".incomplete")).unwrap(), b"weig");

    let server = spoiled(0, |reply| reply);
    assert_eq!(download(dir.path(), &server).unwrap(), WEIGHTS);
    assert_eq!(ranges(&server), [Some("bytes=4-".to_owned())]);
}

#[test]
fn a_server_without_ranges_starts_over_and_one_that_is_always_short_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let whole =
        |reply: Reply| Reply { status: 200, headers: Vec::new(), cut: Some(4), body: WEIGHTS.to_vec(), ..reply };
    let server = spoiled(3, whole);
    assert_eq!(download(dir.path(), &server).unwrap(), WEIGHTS);

    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(usize::MAX, whole);
    let error = download(dir.path(), &server).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    assert_eq!(ranges(&server).len(), 6, "one, and five retries without a new byte");
}

#[test]
fn damaged_content_is_downloaded_again_once() {
    let damage = |reply: Reply| Reply { body: b"weightz".to_vec(), ..reply };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(download(dir.path(), &spoiled(1, damage)).unwrap(), WEIGHTS);

    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(usize::MAX, damage);
    let error = download(dir.path(), &server).unwrap_err();
    assert!(matches!(&error, HubError::Corrupt { expected, .. } if *expected == sha256(WEIGHTS)), "{error}");
    assert_eq!(ranges(&server).len(), 2);
    assert!(no_weights(dir.path()));
}

#[test]
fn a_damaged_beginning_from_an_earlier_run_is_discarded() {
    for begin in ["XXX", "much more than there should be"] {
        let dir = tempfile::tempdir().unwrap();
        let blobs = dir.path().join("models--o--n/blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(sha256(WEIGHTS) + ".incomplete"), begin).unwrap();
        assert_eq!(download(dir.path(), &spoiled(0, |reply| reply)).unwrap(), WEIGHTS);
    }
}

#[test]
fn a_body_that_is_too_long_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(usize::MAX, |reply| Reply { body: vec![0; 1 << 20], ..reply });
    let error = download(dir.path(), &server).unwrap_err();
    assert!(matches!(&error, HubError::Corrupt { expected, .. } if expected == "7 bytes"), "{error}");
    assert!(no_weights(dir.path()));
}

#[test]
fn a_failing_server_is_retried_and_then_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(3, |_| Reply::status(503));
    assert_eq!(download(dir.path(), &server).unwrap(), WEIGHTS);
    assert_eq!(ranges(&server).len(), 4);

    let repo = Repo::new(PLAIN);
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 2 => Reply::status(500),
        _ => repo.answer(request),
    });
    assert!(download(tempfile::tempdir().unwrap().path(), &server).is_ok());

    let server = Server::start(|_| Reply::status(500));
    let error = download(tempfile::tempdir().unwrap().path(), &server).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 500, .. }), "{error}");
    assert_eq!(server.log().len(), 3);
}

#[test]
fn a_bad_or_dead_endpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = resolve(&config(dir.path(), "http://127.0.0.1:9"), "o/n").unwrap_err();
    assert!(matches!(&error, HubError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("HF_ENDPOINT"));
    for endpoint in ["huggingface.co", "ftp://x", "http://", "\u{1b}"] {
        let error = resolve(&config(dir.path(), endpoint), "o/n").unwrap_err();
        assert!(matches!(error, HubError::Setting { variable: "HF_ENDPOINT", .. }), "{endpoint:?}: {error}");
        assert!(!error.to_string().contains(char::is_control));
    }
}

#[test]
fn a_file_arrives_whole_or_not_at_all() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(b"1\ttitle\tbody\n").unwrap();
    let texts = gzip.finish().unwrap();
    let half = texts[..10].to_vec();
    let served = texts.clone();
    let server = Server::start(move |request| match request.path.as_str() {
        "/text.gz" => Reply::file(request, &served).header("ETag", "W/\"version-1\""),
        "/test.txt" => Reply::file(request, b"test"),
        "/not.gz" => Reply::file(request, b"not gzip"),
        _ => Reply::status(404),
    });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("data");
    let token = Some(AccessToken("hf_x".into()));
    let config = HubConfig { token, ..config(dir.path(), &server.url) };
    let download = |name: &str| download_file_with(&config, &format!("{}/{name}", server.url), &to, name, &mut |_| {});
    download("test.txt").unwrap();
    assert_eq!(fs::read(to.join("test.txt")).unwrap(), b"test");

    fs::write(to.join("text.gz.version1.incomplete"), half).unwrap();
    download("text.gz").unwrap();
    assert_eq!(fs::read(to.join("text.gz")).unwrap(), texts);
    assert_eq!(server.log().last().unwrap().headers["range"], "bytes=10-");

    let error = download("not.gz").unwrap_err();
    assert!(matches!(error, HubError::Corrupt { .. }), "{error}");
    let error = download("nothing").unwrap_err();
    assert!(matches!(error, HubError::Status { status: 404, .. }), "{error}");
    assert!(!to.join("not.gz").exists() && !to.join("nothing").exists());
    assert!(server.log().iter().all(|request| !request.headers.contains_key("authorization")));

    let error = download_file_with(&config, "ftp://x/y", &to, "y", &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::BadAddress { .. }), "{error}");
}

#[test]
fn a_file_of_a_data_set_must_have_the_digest_that_the_hub_names() {
    let content = b"an archive";
    let server = Server::start(|request| match request.path.as_str() {
        "/storage" => Reply::file(request, content),
        path if path.starts_with("/datasets/o/n/resolve/0f/") && !path.ends_with("/none") => {
            let digest = if path.ends_with("/right") { sha256(content) } else { sha256(b"another") };
            Reply::status(302)
                .header("Location", "/storage")
                .header("X-Linked-Etag", format!("\"{digest}\""))
                .header("X-Linked-Size", content.len())
        }
        _ => Reply::file(request, content).header("ETag", "\"0123\""),
    });
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &server.url);
    let download =
        |name| DatasetFile { repo: "o/n", commit: "0f", name }.download_with(&config, dir.path(), &mut |_| {});
    download("right").unwrap();
    assert_eq!(fs::read(dir.path().join("right")).unwrap(), content);
    let error = download("wrong").unwrap_err();
    assert!(matches!(error, HubError::Corrupt { .. }), "{error}");
    let error = download("none").unwrap_err();
    assert!(error.to_string().contains("it sent no SHA-256 of none"), "{error}");
    assert!(!dir.path().join("wrong").exists() && !dir.path().join("none").exists());
}
