//! `simcse fetch`, and models by name where no request may be made.

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
fn without_the_network_the_source_of_the_sts_sets_is_named() {
    let workspace = Workspace::new();
    let error = workspace.error("fetch sts --output-dir data", 1);
    assert!(error.contains("senteval.tar") && error.contains("`data`"), "{error}");
    assert!(error.contains("(source: https://"), "{error}");
    assert!(error.contains("/datasets/princeton-nlp/datasets-for-simcse/resolve/"), "{error}");
    let error = workspace.error("eval senteval --model model --data senteval", 1);
    assert!(error.contains("no SentEval data in") && error.contains("`simcse fetch sts`"), "{error}");
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

    const SUBSETS: [&[&str]; 5] = [
        &["MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"],
        &["FNWN", "headlines", "OnWN"],
        &["deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"],
        &["answers-forums", "answers-students", "belief", "headlines", "images"],
        &["answer-answer", "headlines", "plagiarism", "postediting", "question-question"],
    ];

    /// An archive in the layout of the published one.
    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |name: &str, content: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        };
        for (subsets, year) in SUBSETS.iter().zip(12..) {
            for name in *subsets {
                add(&format!("./STS/STS{year}-en-test/STS.input.{name}.txt"), "slow boot\twifi\nboot\tboot slow\n");
                add(&format!("./STS/STS{year}-en-test/STS.gs.{name}.txt"), "1\n4.5\n");
            }
        }
        let rows = "a\tb\t2012\t1\t1\tslow\twifi\na\tb\t2012\t2\t4\tboot\tboot slow\n";
        add("./STS/STSBenchmark/sts-test.csv", rows);
        add("./SICK/SICK_test_annotated.txt", "id\tA\tB\tscore\n1\tslow\twifi\t1\n2\tboot\tboot slow\t4\n");
        add("./TREC/TREC_10.label", "not needed");
        builder.into_inner().unwrap()
    }

    /// A hub that has the archive; returns its address.
    fn serve_senteval(archive: Vec<u8>) -> String {
        let digest = simcse_model::io::hexadecimal(<sha2::Sha256 as sha2::Digest>::digest(&archive));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = move |mut stream: TcpStream| -> std::io::Result<()> {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let request = lines.next().unwrap_or_default();
            lines.for_each(drop);
            let path = request.split(' ').nth(1).unwrap_or_default();
            let found = path.starts_with("/datasets/princeton-nlp/datasets-for-simcse/resolve/")
                && path.ends_with("/senteval.tar");
            let status = if found { 200 } else { 404 };
            let length = archive.len();
            write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\nX-Linked-Etag: \"{digest}\"\r\n")?;
            write!(stream, "Content-Length: {length}\r\n\r\n")?;
            if request.starts_with("GET") { stream.write_all(&archive) } else { Ok(()) }
        };
        thread::spawn(move || listener.incoming().flatten().try_for_each(answer));
        url
    }

    #[test]
    fn the_sts_sets_are_unpacked_and_evaluated() {
        let workspace = Workspace::new();
        let mut command = workspace.command("fetch sts");
        command.env("HF_HUB_OFFLINE", "0").env("HF_ENDPOINT", serve_senteval(archive())).env("NO_PROXY", "127.0.0.1");
        let output = command.output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let dir = workspace.path("cache").join("simcse").join("senteval");
        assert_eq!(text(&output.stdout), format!("{}\n", dir.display()));
        assert!(stderr.contains("source: http://") && stderr.contains("SHA-256 of the pairs: "), "{stderr}");
        assert!(stderr.contains("warning: STS12 has 10 pairs with a score, not the published 3108"), "{stderr}");
        assert!(!dir.join("TREC").exists() && !dir.join("senteval.tar").exists());
        // Once more, without the network.
        assert_eq!(workspace.stdout("fetch sts"), format!("{}\n", dir.display()));
        let stdout = workspace.stdout("eval senteval --model model --data senteval --json");
        let report: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        for task in ["sts12", "sts13", "sts14", "sts15", "sts16", "stsb", "sickr", "average"] {
            assert!(report[task].as_f64().is_some_and(|figure| figure.abs() <= 1.0), "{task}: {report}");
        }
        assert_eq!(report["pairs"], 52);
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
