//! Connections that break, stall, lie or go on.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::askubuntu;
use super::server::{Reply, Repo, Request, Server, sha256};
use super::{HubError, PLAIN, config, resolve};

const WEIGHTS: &[u8] = b"weights";

/// A hub whose first `times` answers to a GET of the weights go through `spoil`.
fn spoiled(times: usize, spoil: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Server {
    let (repo, count) = (Repo::new(PLAIN), AtomicUsize::new(0));
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

fn fetch(cache: &Path, server: &Server) -> Result<Vec<u8>, HubError> {
    resolve(&config(cache, &server.url), "o/n").map(|dir| fs::read(dir.join("model.safetensors")).unwrap())
}

/// No file stands under its final name.
fn no_weights(cache: &Path) -> bool {
    !cache.join("models--o--n/blobs").join(sha256(WEIGHTS)).exists()
}

#[test]
fn a_broken_connection_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(2, |reply| Reply { cut: Some(2), ..reply });
    assert_eq!(fetch(dir.path(), &server).unwrap(), WEIGHTS);
    assert_eq!(ranges(&server), [None, Some("bytes=2-".to_owned()), Some("bytes=4-".to_owned())]);
}

#[test]
fn a_stalled_connection_is_cut_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let server = spoiled(1, |reply| Reply { cut: Some(3), stall: Duration::from_secs(20), ..reply });
    assert_eq!(fetch(dir.path(), &server).unwrap(), WEIGHTS);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(ranges(&server), [None, Some("bytes=3-".to_owned())]);
}

#[test]
fn an_earlier_run_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(99, |reply| Reply { cut: Some(if reply.status == 200 { 4 } else { 0 }), ..reply });
    let error = fetch(dir.path(), &server).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    assert!(no_weights(dir.path()));
    let blobs = dir.path().join("models--o--n/blobs");
    assert_eq!(fs::read(blobs.join(sha256(WEIGHTS) + ".incomplete")).unwrap(), b"weig");

    let server = spoiled(0, |reply| reply);
    assert_eq!(fetch(dir.path(), &server).unwrap(), WEIGHTS);
    assert_eq!(ranges(&server), [Some("bytes=4-".to_owned())]);
}

#[test]
fn a_server_without_ranges_begins_again_and_always_short_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let whole =
        |reply: Reply| Reply { status: 200, headers: Vec::new(), cut: Some(4), body: WEIGHTS.to_vec(), ..reply };
    let server = spoiled(3, whole);
    assert_eq!(fetch(dir.path(), &server).unwrap(), WEIGHTS);

    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(usize::MAX, whole);
    let error = fetch(dir.path(), &server).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    assert_eq!(ranges(&server).len(), 6, "one, and five without a new byte");
}

#[test]
fn damage_is_found_and_fetched_again_once() {
    let damage = |reply: Reply| Reply { body: b"weightz".to_vec(), ..reply };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(fetch(dir.path(), &spoiled(1, damage)).unwrap(), WEIGHTS);

    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(usize::MAX, damage);
    let error = fetch(dir.path(), &server).unwrap_err();
    assert!(matches!(&error, HubError::Corrupt { expected, .. } if *expected == sha256(WEIGHTS)), "{error}");
    assert_eq!(ranges(&server).len(), 2);
    assert!(no_weights(dir.path()));
}

#[test]
fn a_damaged_beginning_from_an_earlier_run_is_thrown_away() {
    for begin in ["XXX", "much more than there should be"] {
        let dir = tempfile::tempdir().unwrap();
        let blobs = dir.path().join("models--o--n/blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(sha256(WEIGHTS) + ".incomplete"), begin).unwrap();
        assert_eq!(fetch(dir.path(), &spoiled(0, |reply| reply)).unwrap(), WEIGHTS);
    }
}

#[test]
fn a_body_that_is_too_long_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(usize::MAX, |reply| Reply { body: vec![0; 1 << 20], ..reply });
    let error = fetch(dir.path(), &server).unwrap_err();
    assert!(matches!(&error, HubError::Corrupt { expected, .. } if expected == "7 bytes"), "{error}");
    assert!(no_weights(dir.path()));
}

#[test]
fn a_failing_server_is_asked_again_and_then_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = spoiled(3, |_| Reply::status(503));
    assert_eq!(fetch(dir.path(), &server).unwrap(), WEIGHTS);
    assert_eq!(ranges(&server).len(), 4);

    let (repo, count) = (Repo::new(PLAIN), AtomicUsize::new(0));
    let server = Server::start(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 2 => Reply::status(500),
        _ => repo.answer(request),
    });
    assert!(fetch(tempfile::tempdir().unwrap().path(), &server).is_ok());

    let server = Server::start(|_| Reply::status(500));
    let error = fetch(tempfile::tempdir().unwrap().path(), &server).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 500, .. }), "{error}");
    assert_eq!(server.log().len(), 3);
}

#[test]
fn nobody_there_is_told_without_the_signature() {
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
fn askubuntu_comes_whole_or_not_at_all() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(b"1\ttitle\tbody\n").unwrap();
    let texts = gzip.finish().unwrap();
    let (half, served) = (texts[..10].to_vec(), texts.clone());
    let server = Server::start(move |request| match request.path.as_str() {
        "/text_tokenized.txt.gz" => Reply::file(request, &served).header("ETag", "W/\"version-1\""),
        "/dev.txt" => Reply::file(request, b"dev").header("ETag", "\"x\""),
        "/test.txt" => Reply::file(request, b"test"),
        _ => Reply::status(404),
    });
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("askubuntu");
    let config = config(dir.path(), &server.url);
    fs::create_dir_all(&to).unwrap();
    fs::write(to.join("dev.txt"), "mine").unwrap();
    fs::write(to.join("text_tokenized.txt.gz.version1.incomplete"), half).unwrap();
    askubuntu::fetch_with(&config, &to, &mut |_| {}).unwrap();
    assert_eq!(fs::read(to.join("text_tokenized.txt.gz")).unwrap(), texts);
    assert_eq!(fs::read(to.join("dev.txt")).unwrap(), b"mine");
    assert_eq!(fs::read(to.join("test.txt")).unwrap(), b"test");
    assert!(server.log().iter().any(|r| { r.headers.get("range").is_some_and(|range| range == "bytes=10-") }));

    let server = Server::start(|request| Reply::file(request, b"not gzip"));
    let to = dir.path().join("other");
    let error = askubuntu::fetch_with(&super::config(dir.path(), &server.url), &to, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::Corrupt { .. }), "{error}");
    assert!(!to.join("text_tokenized.txt.gz").exists());
}
