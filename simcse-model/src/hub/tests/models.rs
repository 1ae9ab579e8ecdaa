//! Downloads of whole models from the hub.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::super::config::{AccessToken, HubConfig};
use super::server::{Reply, Repo, Server, git_blob, sha256};
use super::{COMMIT, HubError, MODULES, PLAIN, config, lay_out, mark_absent, notices, offline, resolve, resolve_name};

fn serve(files: &[(&str, &str)]) -> Server {
    let repo = Repo::new(files);
    Server::start(move |request| repo.answer(request))
}

fn refuse(reply: Reply) -> HubError {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(move |_| reply.clone());
    let error = resolve(&config(dir.path(), &server.url), "o/n@v1").unwrap_err();
    assert_eq!(server.log().len(), 1, "no retry would help");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    error
}

#[test]
fn a_plain_model_is_stored_in_the_layout_of_python() {
    let dir = tempfile::tempdir().unwrap();
    let extra = [("pytorch_model.bin", "pickle"), ("onnx/model.onnx", "graph"), ("README.md", "card")];
    let server = serve(&[PLAIN, &extra].concat());
    let config = config(dir.path(), &server.url);
    let found = resolve(&config, "distilroberta-base").unwrap();

    let home = dir.path().join("models--distilroberta-base");
    assert_eq!(found, home.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(home.join("refs/main")).unwrap(), COMMIT);
    let mut names: Vec<_> =
        fs::read_dir(&found).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    let blobs = home.join("blobs");
    assert_eq!(fs::read_to_string(blobs.join(sha256(b"weights"))).unwrap(), "weights");
    assert_eq!(fs::read_to_string(blobs.join(git_blob(b"{}"))).unwrap(), "{}");
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(found.join("model.safetensors")).unwrap(),
        Path::new("../../blobs").join(sha256(b"weights"))
    );
    assert!(home.join(".no_exist").join(COMMIT).join("modules.json").is_file());

    let before = server.log().len();
    assert_eq!(resolve(&config, "distilroberta-base").unwrap(), found);
    assert_eq!(resolve(&offline(dir.path()), "distilroberta-base").unwrap(), found);
    assert_eq!(server.log().len(), before, "complete: no further request");
}

#[test]
fn a_sentence_model_is_downloaded_with_its_modules() {
    let dir = tempfile::tempdir().unwrap();
    let more =
        [("modules.json", MODULES), ("1_Pooling/config.json", "{\"p\": 1}"), ("sentence_bert_config.json", "{}")];
    let server = serve(&[PLAIN, &more].concat());
    let found = resolve(&config(dir.path(), &server.url), "mini@refs/pr/1").unwrap();
    assert_eq!(fs::read_to_string(found.join("1_Pooling/config.json")).unwrap(), "{\"p\": 1}");
    assert_eq!(server.log()[0].path, "/api/models/sentence-transformers/mini/revision/refs%2Fpr%2F1");
    let home = dir.path().join("models--sentence-transformers--mini");
    assert_eq!(fs::read_to_string(home.join("refs/refs/pr/1")).unwrap(), COMMIT);
    let is_absent = |name: &str| home.join(".no_exist").join(COMMIT).join(name).is_file();
    assert!(is_absent("config_sentence_transformers.json") && !is_absent("sentence_roberta_config.json"));
    assert_eq!(resolve(&offline(dir.path()), "mini@refs/pr/1").unwrap(), found);
}

#[test]
fn a_doubtful_snapshot_is_completed_or_used_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    lay_out(dir.path(), "o/n", PLAIN);
    let (found, notices) = notices(&config(dir.path(), "http://127.0.0.1:9"), "o/n");
    let last = notices.last().map_or("", String::as_str);
    assert!(found.is_ok() && last.contains("without modules.json"), "{notices:?}");

    let server = serve(&[PLAIN, &[("modules.json", MODULES), ("1_Pooling/config.json", "{}")]].concat());
    let found = resolve(&config(dir.path(), &server.url), "o/n").unwrap();
    assert!(found.join("1_Pooling/config.json").is_file());
    assert_eq!(server.count("GET", "model.safetensors"), 0, "it was there");
}

#[test]
fn what_a_directory_is_refused_for_is_refused_by_name_before_its_weights_are_downloaded() {
    let in_folder = MODULES.replace("\"\"", "\"0_Transformer\"");
    let moved: Vec<_> = PLAIN.iter().map(|(name, content)| (format!("0_Transformer/{name}"), *content)).collect();
    let moved: Vec<_> = moved.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let modules = [("modules.json", in_folder.as_str()), ("1_Pooling/config.json", "{}")];
    let words = [PLAIN[0], ("vocab.txt", "a"), PLAIN[3]];
    for (files, other, expected) in [
        (PLAIN, "adapter_config.json", "o/n/adapter_config.json: expected no adapter"),
        (&[], "adapter_config.json", "o/n/adapter_config.json: expected no adapter"),
        (PLAIN, "chat_template.jinja", "o/n/chat_template.jinja: expected no chat template"),
        (PLAIN, "additional_chat_templates/rag.jinja", "o/n/additional_chat_templates: expected no chat templates"),
        (PLAIN, "processor_config.json", "o/n/processor_config.json: expected no processor"),
        (PLAIN, "preprocessor_config.json", "o/n/preprocessor_config.json: expected no preprocessor"),
        (&words, "tokenizer.model", "o/n/tokenizer.model: expected a tokenizer.json"),
        (
            &[&modules, &moved[..]].concat(),
            "0_Transformer/adapter_config.json",
            "o/n/0_Transformer/adapter_config.json: expected no adapter",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(&[files, &[(other, "x")]].concat());
        let error = resolve_name(&config(dir.path(), &server.url), "o/n", &mut |_| {}).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{other}: {error}");
        assert_eq!(server.count("GET", "model.safetensors"), 0);
    }
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&[PLAIN, &[("tokenizer.model", "x")]].concat());
    resolve(&config(dir.path(), &server.url), "o/n").expect("its tokenizer.json is used");
}

#[test]
fn a_cached_model_with_an_adapter_that_nobody_looked_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = lay_out(dir.path(), "o/n", PLAIN);
    mark_absent(&snapshot, "modules.json");
    let server = serve(&[PLAIN, &[("adapter_config.json", "{}")]].concat());
    let error = resolve_name(&config(dir.path(), &server.url), "o/n", &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("o/n/adapter_config.json: expected no adapter"), "{error}");
}

#[test]
fn files_that_do_not_exist_cost_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&[PLAIN, &[("modules.json", MODULES), ("1_Pooling/config.json", "{}")]].concat());
    let config = config(dir.path(), &server.url);
    resolve(&config, "o/n").unwrap();
    let requests = server.log().len();
    let headers = server.log().iter().filter(|request| request.method == "HEAD").count();
    assert_eq!(headers, PLAIN.len() + 2, "one for each file that exists");
    assert_eq!(notices(&offline(dir.path()), "o/n").1, [""; 0], "what does not exist is remembered");
    resolve(&config, "o/n").unwrap();
    assert_eq!(server.log().len(), requests);
}

#[test]
fn the_configuration_of_a_normalize_module_is_downloaded() {
    let dir = tempfile::tempdir().unwrap();
    let more = [("modules.json", MODULES), ("1_Pooling/config.json", "{}"), ("2_Normalize/config.json", "{\"n\": 1}")];
    let server = serve(&[PLAIN, &more].concat());
    let found = resolve(&config(dir.path(), &server.url), "o/n").unwrap();
    assert_eq!(fs::read_to_string(found.join("2_Normalize/config.json")).unwrap(), "{\"n\": 1}");
}

#[test]
fn the_token_goes_to_the_endpoint_and_to_no_other_host() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Server::start(|request| Reply::file(request, b"weights"));
    let mut repo = Repo::new(PLAIN);
    repo.storage = Some(storage.url.clone());
    let server = Server::start(move |request| match request.path.strip_prefix("/o/old") {
        Some(rest) => Reply::status(307).header("Location", format!("/o/new{rest}")),
        None => repo.answer(request),
    });
    let config = HubConfig { token: Some(AccessToken("hf_x".into())), ..config(dir.path(), &server.url) };
    let found = resolve(&config, "o/old").unwrap();
    assert_eq!(fs::read_to_string(found.join("model.safetensors")).unwrap(), "weights");
    assert!(
        server.log().iter().all(|r| { r.headers.get("authorization").is_some_and(|value| value == "Bearer hf_x") })
    );
    assert!(server.count("GET", "/o/new/resolve/0123456789abcdef0123456789abcdef01234567/config.json") == 1);
    assert_eq!(storage.log().len(), 1);
    assert!(storage.log().iter().all(|r| !r.headers.contains_key("authorization")), "{:?}", storage.log());
}

#[test]
fn refusals_say_what_to_do() {
    let coded = |status, code| Reply::status(status).header("X-Error-Code", code);
    let error = refuse(coded(401, "RepoNotFound"));
    assert!(matches!(&error, HubError::NoSuchRepository { repo, .. } if repo == "o/n"), "{error}");
    assert!(matches!(refuse(Reply::status(404)), HubError::NoSuchRepository { .. }));
    let error = refuse(coded(404, "RevisionNotFound"));
    assert!(matches!(&error, HubError::NoSuchRevision { revision, .. } if revision == "v1"), "{error}");
    let error = refuse(coded(403, "GatedRepo")).to_string();
    assert!(error.contains("accept its conditions at http://127.0.0.1") && error.contains("HF_TOKEN"), "{error}");
    let error = refuse(Reply::status(401).header("X-Error-Message", "Invalid \u{9b}credentials")).to_string();
    assert!(error.contains("Invalid") && error.contains("HF_TOKEN") && !error.contains(char::is_control), "{error}");
    assert!(matches!(refuse(Reply::status(403)), HubError::Refused { status: 403, .. }));
    assert!(matches!(refuse(Reply::status(418)), HubError::Status { status: 418, .. }));
}

#[test]
fn a_server_that_is_not_a_hub_is_named() {
    let bad_sha = r#"{"sha": "../../x", "siblings": []}"#;
    for body in ["<html>please log in</html>", "{}", bad_sha, ""] {
        let error = refuse(Reply::status(200).body(body));
        assert!(matches!(error, HubError::NotAHub { .. }), "{body}: {error}");
    }
}

#[test]
fn an_etag_never_becomes_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(PLAIN);
    let server = Server::start(move |request| {
        let mut reply = repo.answer(request);
        reply.headers.iter_mut().filter(|(name, _)| *name == "ETag").for_each(|(_, v)| *v = "\"../../../x\"".into());
        reply
    });
    let error = resolve(&config(dir.path(), &server.url), "o/n").unwrap_err();
    assert!(matches!(error, HubError::NotAHub { .. }), "{error}");
}

#[test]
fn weights_are_downloaded_in_the_form_that_a_directory_would_be_read_in() {
    const INDEX: &str = r#"{"weight_map": {"a": "1.bin", "b": "2.bin", "c": "1.bin"}}"#;
    let forms = [
        ("model.safetensors", "whole"),
        ("model.safetensors.index.json", r#"{"weight_map": {"a": "1.safetensors"}}"#),
        ("pytorch_model.bin", "whole"),
        ("pytorch_model.bin.index.json", INDEX),
    ];
    let shards = [("1.bin", "one"), ("2.bin", "two"), ("1.safetensors", "one")];
    let expected: [&[&str]; 4] = [
        &["model.safetensors"],
        &["model.safetensors.index.json", "1.safetensors"],
        &["pytorch_model.bin"],
        &["pytorch_model.bin.index.json", "1.bin", "2.bin"],
    ];
    for (first, expected) in expected.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(&[&PLAIN[..3], &forms[first..], &shards].concat());
        let found = resolve(&config(dir.path(), &server.url), "o/n").unwrap();
        let got = server.log().into_iter().filter(|request| request.method == "GET").map(|request| request.path);
        let got: Vec<_> = got.filter_map(|path| path.rsplit('/').next().map(str::to_owned)).collect();
        let last = &got[got.len() - expected.len()..];
        assert_eq!(last, expected, "the weights, and after everything else");
        for (name, _) in forms.iter().chain(&shards) {
            assert_eq!(found.join(name).is_file(), expected.contains(name), "{name}");
        }
        // What comes first in the order is known not to exist, so nothing is asked again.
        assert_eq!(notices(&offline(dir.path()), "o/n").1, [""; 0]);
        fs::remove_file(found.join(expected[expected.len() - 1])).unwrap();
        assert!(matches!(resolve(&offline(dir.path()), "o/n"), Err(HubError::NotCached { .. })));
    }
}

#[test]
fn the_shards_of_a_module_are_next_to_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let modules = MODULES.replace("\"\"", "\"0_Transformer\"");
    let files = [
        ("modules.json", modules.as_str()),
        ("1_Pooling/config.json", "{}"),
        ("0_Transformer/config.json", "{}"),
        ("0_Transformer/tokenizer.json", "{}"),
        ("0_Transformer/pytorch_model.bin.index.json", r#"{"weight_map": {"a": "1.bin"}}"#),
        ("0_Transformer/1.bin", "one"),
    ];
    let server = serve(&files);
    let found = resolve(&config(dir.path(), &server.url), "o/n").unwrap();
    assert_eq!(fs::read_to_string(found.join("0_Transformer/1.bin")).unwrap(), "one");
}

#[test]
fn a_repository_without_all_its_weights_is_refused_before_anything_large_is_downloaded() {
    let dir = tempfile::tempdir().unwrap();
    let index = ("model.safetensors.index.json", r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#);
    let server = serve(&[&PLAIN[..3], &[index, ("1.safetensors", "one")]].concat());
    let error = resolve(&config(dir.path(), &server.url), "o/n").unwrap_err();
    assert_eq!(error.to_string(), "o/n cannot be used without 2.safetensors: choose a repository with a whole model");
    assert_eq!(server.count("GET", "1.safetensors"), 0);
    for (files, expected) in [(&[][..], "config.json"), (&PLAIN[..3], "model.safetensors or pytorch_model.bin, or ")] {
        let server = serve(&[files, &[("README.md", "a data set, perhaps")]].concat());
        let error = resolve(&config(dir.path(), &server.url), "o/data").unwrap_err();
        assert!(matches!(&error, HubError::NotAModel { missing, .. } if missing.starts_with(expected)), "{error}");
    }
}

#[test]
fn two_at_once_download_a_blob_once() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(PLAIN);
    let server = Server::start(move |request| {
        if request.method == "GET" {
            thread::sleep(Duration::from_millis(30));
        }
        repo.answer(request)
    });
    let config = config(dir.path(), &server.url);
    let found = thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| resolve(&config, "o/n").unwrap()));
        runs.map(|run| run.join().unwrap())
    });
    assert_eq!(found[0], found[1]);
    assert_eq!(server.count("GET", "model.safetensors"), 1);
    assert_eq!(server.count("GET", "/config.json"), 1);
    let blobs = dir.path().join("models--o--n/blobs");
    assert_eq!(fs::read_dir(blobs).unwrap().count(), 2, "`{{}}` and the weights, nothing incomplete");
}
