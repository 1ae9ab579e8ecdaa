//! `simcse fetch askubuntu`, and models by name where no request may be made.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use std::fs;

use common::Workspace;

#[test]
fn without_the_network_the_missing_file_is_named_and_complete_data_are_enough() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("data")).unwrap();
    for name in ["text_tokenized.txt", "dev.txt", "test.txt"] {
        let error = workspace.error("fetch askubuntu --output-dir data", 1);
        assert!(error.contains(name) && error.contains("`data`"), "{error}");
        workspace.put(&format!("data/{name}"), "");
    }
    assert_eq!(workspace.stdout("fetch askubuntu --output-dir data"), "data\n");
}

#[test]
fn a_model_that_the_cache_lacks_is_an_error_that_names_the_cache() {
    let workspace = Workspace::new();
    workspace.put("in.txt", "a sentence");
    let error = workspace.error("encode in.txt --model owner/name --output out.npy", 1);
    assert!(error.contains("owner/name is missing or incomplete in") && error.contains("hub"), "{error}");
}

#[cfg(feature = "hub")]
mod online {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::common::text;

    /// Serves the three files under `/mirror` until the test ends; returns the address.
    fn serve() -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"1\ttitle\tbody\n").unwrap();
        let texts = gzip.finish().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mirror/", listener.local_addr().unwrap());
        thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| respond(&stream, &texts)));
        url
    }

    fn respond(mut stream: &TcpStream, texts: &[u8]) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let request = lines.next().unwrap_or_default();
        lines.for_each(drop);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path.strip_prefix("/mirror/") {
            Some("text_tokenized.txt.gz") => (200, texts),
            Some("dev.txt") => (200, b"dev".as_slice()),
            Some("test.txt") => (200, b"test".as_slice()),
            _ => (404, b"".as_slice()),
        };
        write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
        if request.starts_with("GET") { stream.write_all(body) } else { Ok(()) }
    }

    #[test]
    fn the_data_are_downloaded_from_a_mirror_into_the_default_directory() {
        let workspace = Workspace::new();
        let mut command = workspace.command("fetch askubuntu");
        command.env("HF_HUB_OFFLINE", "0").env("SIMCSE_ASKUBUNTU_URL", serve()).env("NO_PROXY", "127.0.0.1");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let dir = workspace.path("cache").join("simcse").join("askubuntu");
        assert_eq!(text(&output.stdout), format!("{}\n", dir.display()));
        assert!(text(&output.stderr).contains("downloading dev.txt (3 B)"), "{}", text(&output.stderr));
        assert_eq!(fs::read(dir.join("dev.txt")).unwrap(), b"dev");
        assert_eq!(fs::read(dir.join("test.txt")).unwrap(), b"test");
        assert!(dir.join("text_tokenized.txt.gz").is_file());
    }

    #[test]
    fn a_mirror_that_is_not_an_address_is_named_by_its_variable() {
        let workspace = Workspace::new();
        let mut command = workspace.command("fetch askubuntu");
        let output = command.env("HF_HUB_OFFLINE", "0").env("SIMCSE_ASKUBUNTU_URL", "mirror").output().unwrap();
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains("SIMCSE_ASKUBUNTU_URL: `mirror/"), "{error}");
    }
}
