//! `simcse serve`, from the outside: what it answers, what it refuses, and how it ends.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;
#[path = "common/http.rs"]
mod http;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use common::{Workspace, encoder, text};
use http::{Server, post, receive};
use serde_json::{Value, json};

const TEXTS: [&str; 6] = ["how to install wifi", "slow boot", "", "the sound", "wifi slow ?", "slow boot"];
/// So many texts that encoding them takes a while.
const MANY: usize = 60_000;

fn floats(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

fn rows(values: &Value) -> Vec<Vec<f32>> {
    values.as_array().unwrap().iter().map(floats).collect()
}

/// What `simcse encode` gives for texts.
fn encoded(workspace: &Workspace, texts: &[&str], flags: &str) -> Vec<Vec<f32>> {
    workspace.put("texts.txt", texts.iter().map(|text| format!("{text}\n")).collect::<String>());
    let lines = workspace.stdout(&format!("encode --model model texts.txt --output - {flags}"));
    lines.lines().map(|line| floats(&serde_json::from_str::<Value>(line).unwrap()["embedding"])).collect()
}

/// A request that takes a while.
fn long_request() -> Vec<u8> {
    post("/embed", json!({ "inputs": vec!["how to boot slow wifi ?"; MANY], "dimensions": 1 }).to_string().as_bytes())
}

/// Flags that let a server take it, as long as its queue does.
const LONG: &str = "--model model --max-client-batch-size 60000 --payload-limit 4000000";

/// Waits until `simcse serve` says so much of its queue.
fn await_queue(server: &Server, expected: impl Fn(usize) -> bool) {
    let started = Instant::now();
    loop {
        let metrics = text(&server.get("/metrics").body);
        let queue = metrics.lines().find_map(|line| line.strip_prefix("simcse_queue_texts ")).unwrap();
        if expected(queue.parse().unwrap()) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{metrics}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn embeddings_are_those_of_encode_bit_for_bit() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "--model model");
    let (unit, raw) = (encoded(&workspace, &TEXTS, "--normalize"), encoded(&workspace, &TEXTS, ""));
    assert_eq!(rows(&server.post("/embed", json!({ "inputs": TEXTS }).to_string()).json()), unit);
    let answer = server.post("/embed", json!({ "inputs": TEXTS, "normalize": false }).to_string());
    assert_eq!(rows(&answer.json()), raw);
    let first = server.post("/embed", json!({ "inputs": TEXTS[0], "truncate": null, "unknown": 5 }).to_string());
    assert_eq!(rows(&first.json()), unit[..1]);
    let cut = server.post("/embed", json!({ "inputs": TEXTS, "normalize": false, "dimensions": 3 }).to_string());
    assert_eq!(rows(&cut.json()), raw.iter().map(|row| row[..3].to_vec()).collect::<Vec<_>>());
    // 16 tokens are the most.
    let long = "how to install wifi ".repeat(10);
    let answer = server.post("/embed", json!({ "inputs": long }).to_string());
    assert_eq!(rows(&answer.json()), encoded(&workspace, &[&long], "--normalize"));
}

#[test]
fn prompts_are_chosen_by_name() {
    let workspace = Workspace::new();
    workspace.put(
        "model/config_sentence_transformers.json",
        r#"{"prompts": {"query": "how to ", "boot": "boot "}, "default_prompt_name": "boot"}"#,
    );
    let server = Server::start(&workspace, "--model model");
    for (name, flags) in [(Value::Null, ""), (json!("query"), "--prompt-name query"), (json!("document"), "--prompt=")]
    {
        let answer = server.post("/embed", json!({ "inputs": TEXTS, "prompt_name": name }).to_string());
        assert_eq!(rows(&answer.json()), encoded(&workspace, &TEXTS, &format!("--normalize {flags}")), "{name}");
    }
    let error = server.post("/embed", r#"{"inputs": "x", "prompt_name": "other"}"#).error(413);
    assert_eq!(error, r#"prompt_name: expected one of query, document, boot, found "other""#);
}

#[test]
fn openai_clients_get_lists_of_objects() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "--model model");
    let unit = encoded(&workspace, &TEXTS, "--normalize");
    let answer = server.post("/v1/embeddings", json!({ "input": TEXTS, "model": "any", "user": "me" }).to_string());
    let json = answer.json();
    assert_eq!((&json["object"], &json["model"]), (&json!("list"), &json!("model")));
    let data = json["data"].as_array().unwrap();
    for (index, (item, expected)) in data.iter().zip(&unit).enumerate() {
        assert_eq!((&item["object"], &item["index"]), (&json!("embedding"), &json!(index)));
        assert_eq!(floats(&item["embedding"]), *expected);
    }
    assert_eq!(data.len(), TEXTS.len());
    // Words, and two special tokens for each text.
    let words: usize = TEXTS.iter().map(|text| text.split_whitespace().count() + 2).sum();
    assert_eq!(json["usage"], json!({ "prompt_tokens": words, "total_tokens": words }));

    let body = json!({ "input": TEXTS[0], "encoding_format": "base64" });
    let json = server.post("/v1/embeddings", body.to_string()).json();
    assert_eq!(base64(json["data"][0]["embedding"].as_str().unwrap()), unit[0]);
}

/// The values in base64 of little-endian bytes.
fn base64(text: &str) -> Vec<f32> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes().map(|c| DIGITS.iter().position(|&digit| digit == c).unwrap());
    let bits: Vec<usize> = digits.flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1)).collect();
    let bytes: Vec<u8> =
        bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | *bit as u8)).collect();
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

#[test]
fn bad_requests_get_errors_that_say_why() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "--model model --max-client-batch-size 4 --payload-limit 1000");
    let long = format!(r#"{{"inputs": ["wifi", "{}"], "truncate": false}}"#, "wifi ".repeat(20));
    let large = format!(r#"{{"inputs": "{}"}}"#, "x".repeat(1000));
    let deep = format!(r#"{{"inputs": {}"#, "[".repeat(900));
    for (body, status, message) in [
        (r#"{"inputs": "#, 400, "body: expected JSON, found: EOF"),
        ("{\"inputs\": \"\u{1}\"}", 400, "control character"),
        (&deep, 400, "recursion limit exceeded"),
        (r#"{"inputs": "x", "dimensions": 1e999}"#, 400, "number out of range"),
        (r#"{"inputs": []}"#, 400, "`inputs` cannot be empty"),
        (r#"{"texts": "x"}"#, 422, "missing field `inputs`"),
        (r#"{"inputs": 5}"#, 422, "inputs: expected a string or a list of strings, found 5"),
        (r#"{"inputs": [[1, 2]]}"#, 422, "token ids are not accepted"),
        (r#"{"inputs": "x", "normalize": "yes"}"#, 422, r#"normalize: expected true or false, found "yes""#),
        (r#"{"inputs": "x", "dimensions": 0}"#, 413, "dimensions: expected a number from 1 to 16, found 0"),
        (r#"{"inputs": "x", "dimensions": 17}"#, 413, "found 17"),
        (r#"{"inputs": ["a", "b", "c", "d", "e"]}"#, 413, "batch size 5 > maximum allowed batch size 4"),
        (&long, 413, "`inputs` must have at most 16 tokens each: 1 of 2 have more"),
        (&large, 413, "body: more than 1000 bytes"),
    ] {
        let error = server.post("/embed", body).error(status);
        assert!(error.contains(message), "{error}, expected {message}");
    }
    assert!(server.post("/embed", b"{\"inputs\": \"\xff\"}").error(400).contains("invalid unicode"));
    let json = server.post("/embed", r#"{"inputs": []}"#).json();
    assert_eq!(json, json!({ "error": "`inputs` cannot be empty", "error_type": "Empty" }));

    // OpenAI's are objects, and status 400.
    let json = server.post("/v1/embeddings", r#"{"input": [[1, 2]], "model": "x"}"#).json();
    assert_eq!((&json["error"]["type"], &json["error"]["param"]), (&json!("invalid_request_error"), &Value::Null));
    server.post("/v1/embeddings", r#"{"model": "x"}"#).error(400);
    let error = server.post("/v1/embeddings", r#"{"input": "x", "encoding_format": "hex"}"#).error(400);
    assert_eq!(error, r#"encoding_format: expected float or base64, found "hex""#);
    assert!(server.post("/v1/models", "").error(404).contains("/v1/embeddings"));

    let error = server.post("/search", r#"{"query": "x"}"#).error(404);
    assert_eq!(error, "no index to search: start the server with `--index`");
    let get = server.get("/embed");
    assert_eq!(get.error(405), "/embed does not answer GET");
    assert!(get.head.contains("allow: POST"), "{}", get.head);
    assert!(server.send(b"POST /embed HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}").error(415).contains("Content-Type"));
    let rebound = server.send(b"GET /info HTTP/1.1\r\nHost: site.example:80\r\n\r\n");
    assert!(rebound.error(421).contains("site.example"));
    assert_eq!(server.send(b"nonsense\r\n\r\n").status, 400);

    // After all of this:
    assert_eq!(server.get("/health").json(), json!({ "status": "ok" }));
    assert_eq!(server.post("/embed", r#"{"inputs": "x"}"#).status, 200);
}

#[test]
fn a_model_without_finite_values_does_not_end_the_server() {
    let workspace = Workspace::new();
    let mut broken = encoder();
    broken.params.values_mut().fill(1e30);
    broken.save(&workspace.path("broken")).unwrap();
    let server = Server::start(&workspace, "--model broken");
    for _ in 0..2 {
        assert!(server.post("/embed", r#"{"inputs": ["x", "y"]}"#).error(424).contains("NaN or infinite values"));
    }
    let json = server.post("/v1/embeddings", r#"{"input": "x"}"#).json();
    assert_eq!(json["error"]["type"], "server_error");
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn searches_are_those_of_search() {
    let workspace = Workspace::new();
    let line = |row: usize| format!("d{row},{},{}\n", ["en", "de"][row % 2], TEXTS[row % TEXTS.len()]);
    workspace.put("corpus.csv", "id,lang,title\n".to_owned() + &(0..40).map(line).collect::<String>());
    workspace.stdout("index corpus.csv --model model --output index");
    let server = Server::start(&workspace, "--index index");
    assert!(server.said.contains("40 rows to search"), "{}", server.said);
    let queries = ["boot", "wifi", "how to", "sound", "slow the ?", "install"];
    workspace.put("queries.txt", queries.map(|query| format!("{query}\n")).concat());

    let expected = |arguments: &str| -> Vec<Value> {
        let output = workspace.stdout(&format!("search --index index --json {arguments}"));
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let found =
        |body: Value| -> Vec<Value> { serde_json::from_slice(&server.post("/search", body.to_string()).body).unwrap() };
    assert_eq!(found(json!({ "query": "boot" })), expected("--query boot"));
    assert_eq!(found(json!({ "queries": queries, "top_k": 3 })), expected("--queries queries.txt --top-k 3"));
    let filtered = found(json!({ "query": "boot", "filter": { "lang": "de", "id": "d3" } }));
    assert_eq!(filtered, expected("--query boot --filter lang=de --filter id=d3"));
    assert_eq!(filtered[0].as_array().unwrap().len(), 1);
    assert_eq!(found(json!({ "query": "boot", "top_k": 1000 }))[0].as_array().unwrap().len(), 40);

    for (body, status, message) in [
        (r#"{}"#, 422, "missing field `query`"),
        (r#"{"query": "x", "queries": ["x"]}"#, 422, "either"),
        (r#"{"query": ["x"]}"#, 422, "query: expected a string, found a list"),
        (r#"{"query": "x", "top_k": 100000000000000000000}"#, 413, "top_k: expected a number from 1 to 1000"),
        (r#"{"query": "x", "filter": ["lang=de"]}"#, 422, "filter: expected an object"),
    ] {
        let error = server.post("/search", body).error(status);
        assert!(error.contains(message), "{error}, expected {message}");
    }

    // Another model does not fit the index.
    let mut other = encoder();
    other.params.values_mut()[0] += 1.0;
    other.save(&workspace.path("other")).unwrap();
    let error = workspace.error("serve --model other --index index --port 0", 1);
    assert!(error.contains("other: expected the model that the index was made with"), "{error}");
}

#[test]
fn a_full_queue_is_said_and_a_client_that_goes_away_frees_it() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &format!("{LONG} --max-queue 60000"));
    let mut long = server.connect();
    long.write_all(&long_request()).unwrap();
    await_queue(&server, |queue| queue == MANY);
    let full = server.post("/embed", r#"{"inputs": "x"}"#);
    assert_eq!(full.json(), json!({ "error": "Model is overloaded", "error_type": "Overloaded" }));
    assert!(full.status == 429 && full.head.contains("retry-after: 1"), "{}", full.head);
    let error = server.post("/v1/embeddings", r#"{"input": "x"}"#).json();
    assert_eq!(error["error"]["code"], "rate_limit_exceeded");
    drop(long);
    await_queue(&server, |queue| queue == 0);
    assert_eq!(server.post("/embed", r#"{"inputs": "x"}"#).status, 200);
    let metrics = text(&server.get("/metrics").body);
    assert!(metrics.contains(r#"simcse_requests_total{route="/embed",status="499"} 1"#), "{metrics}");
}

#[test]
fn a_short_request_does_not_wait_for_a_long_one() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, &format!("{LONG} --max-queue 60001"));
    let mut long = server.connect();
    long.write_all(&long_request()).unwrap();
    await_queue(&server, |queue| queue == MANY);
    assert_eq!(server.post("/embed", r#"{"inputs": "x"}"#).status, 200);
    await_queue(&server, |queue| queue == MANY);
    assert_eq!(rows(&receive(&mut long).unwrap().json()).len(), MANY);
}

#[test]
fn requests_of_hundreds_of_connections_at_once_are_answered() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "--model model");
    let expected = encoded(&workspace, &TEXTS, "--normalize");
    let mut streams: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    for _ in 0..2 {
        for (number, stream) in streams.iter_mut().enumerate() {
            let body = json!({ "inputs": TEXTS[number % TEXTS.len()] });
            stream.write_all(&post("/embed", body.to_string().as_bytes())).unwrap();
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let answer = receive(stream).unwrap();
            assert_eq!(rows(&answer.json()), expected[number % TEXTS.len()..][..1], "connection {number}");
        }
    }
    let metrics = text(&server.get("/metrics").body);
    assert!(metrics.contains(r#"simcse_requests_total{route="/embed",status="200"} 600"#), "{metrics}");
    assert!(metrics.ends_with("# EOF\n") && metrics.contains("simcse_batch_texts_sum 600.0"), "{metrics}");
}

#[test]
fn slow_clients_are_told_so_and_too_many_are_turned_away() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "--model model --client-timeout 1 --max-connections 3");
    let [mut head, mut body, mut idle] = [server.connect(), server.connect(), server.connect()];
    head.write_all(b"POST /embed HTTP/1.1\r\nHost: loc").unwrap();
    let request = post("/embed", br#"{"inputs": "x"}"#);
    body.write_all(&request[..request.len() - 3]).unwrap();
    let started = Instant::now();
    assert_eq!(server.get("/health").error(503), "more than 3 connections");
    assert_eq!(receive(&mut head).unwrap().error(408), "the head of the request took more than 1 s");
    assert_eq!(receive(&mut body).unwrap().error(408), "the body took more than 1 s");
    assert!(receive(&mut idle).is_none(), "an idle connection is closed");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(server.post("/embed", r#"{"inputs": "x"}"#).status, 200);
}

#[test]
fn an_answer_that_takes_too_long_is_given_up() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "--model model --request-timeout 1");
    let mut stream = server.connect();
    let request = post("/embed", br#"{"inputs": "x"}"#);
    stream.write_all(&request[..request.len() - 3]).unwrap();
    assert_eq!(receive(&mut stream).unwrap().error(503), "no answer within 1 s");
}

#[test]
fn a_signal_ends_it_after_the_requests_that_are_there() {
    let workspace = Workspace::new();
    for signal in ["INT", "TERM"] {
        let server = Server::start(&workspace, &format!("{LONG} --max-queue 60000"));
        let (mut long, mut idle) = (server.connect(), server.connect());
        idle.write_all(&post("/embed", br#"{"inputs": "x"}"#)).unwrap();
        assert_eq!(receive(&mut idle).unwrap().status, 200);
        let silent = server.connect();
        long.write_all(&long_request()).unwrap();
        await_queue(&server, |queue| queue == MANY);
        server.signal(signal);
        assert_eq!(rows(&receive(&mut long).unwrap().json()).len(), MANY);
        let port = server.port();
        let (status, said, took) = server.end();
        assert_eq!((status, said.as_str()), (Some(0), "stopping: answering what is there\n"));
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        drop(silent);
    }
}

#[test]
fn addresses_are_checked() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "--model model");
    assert!(!server.said.contains("warning"), "{}", server.said);
    let error = workspace.error(&format!("serve --model model --port {}", server.port()), 1);
    assert!(error.contains("expected a free port") && error.contains("--port"), "{error}");
    let error = workspace.error("serve --model model --host no.such.host.invalid", 1);
    assert!(error.starts_with("error: --host: no.such.host.invalid"), "{error}");
    workspace.error("serve --model model --max-queue 1", 2);
    workspace.error("serve --port 0", 2);
    let open = Server::start(&workspace, "--model model --host 0.0.0.0");
    assert!(open.said.contains("may be reached from other machines"), "{}", open.said);
    assert_eq!(open.send(b"GET /health HTTP/1.1\r\nHost: any.example\r\n\r\n").status, 200);
}

#[test]
fn the_page_and_the_description_name_the_model() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "--model model");
    let page = server.get("/");
    assert!(
        page.head.contains("content-type: text/html") && page.head.contains("content-security-policy:"),
        "{}",
        page.head
    );
    assert!(text(&page.body).contains("<h1>model</h1>"));
    let info = server.get("/info").json();
    assert_eq!(
        (&info["model_id"], &info["max_input_length"], &info["dimension"]),
        (&json!("model"), &json!(16), &json!(16))
    );
    assert_eq!(info["model_type"], json!({ "embedding": { "pooling": "mean" } }));
    // A client that has said all it will say is gone.
    let mut stream = server.connect();
    stream.write_all(&post("/embed", br#"{"inputs": "x"}"#)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    drop(stream);
    assert_eq!(server.get("/health").status, 200);
}
