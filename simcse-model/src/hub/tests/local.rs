//! Names, and what can be answered from the cache alone.

use std::fs;

use super::super::download_file::download_file_with;
use super::super::name::ModelName;
use super::{COMMIT, HubError, MODULES, PLAIN, lay_out, mark_absent, mark_python_absences, notices, offline, resolve};
use crate::error::Error;
use crate::hub;

#[test]
fn names_are_completed_as_sentence_transformers_does() {
    for (given, repo, revision) in [
        ("distilroberta-base", "distilroberta-base", "main"),
        ("BERT-base-uncased", "BERT-base-uncased", "main"),
        ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "main"),
        ("BAAI/bge-small-en-v1.5@refs/pr/1", "BAAI/bge-small-en-v1.5", "refs/pr/1"),
        ("_a/b_@v1.0", "_a/b_", "v1.0"),
    ] {
        let expected = ModelName { repo: repo.to_owned(), revision: revision.to_owned() };
        assert_eq!(ModelName::parse(given).unwrap(), expected, "{given}");
    }
}

#[test]
fn names_that_the_hub_forbids_are_refused_before_any_request() {
    let long = "a".repeat(97);
    let bad = [
        "",
        "a--b",
        "a..b",
        "..",
        "a/..",
        "-a",
        "a-",
        "a.",
        "a/b.git",
        "a b",
        "é",
        "a\u{1b}[31m",
        "a@",
        "a@../../x",
        "a@/x",
        "a@b//c",
        "a@x y",
        "a@.x",
        "@main",
        "C:model",
        &long,
    ];
    for name in bad {
        let error = ModelName::parse(name).unwrap_err();
        let typed = matches!(error, HubError::BadName { .. } | HubError::NoSuchPath { .. });
        assert!(typed, "{name:?}: {error}");
        assert!(!error.to_string().contains(char::is_control), "{name:?}");
    }
}

#[test]
fn a_directory_is_itself_and_a_path_that_leads_nowhere_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let config = offline(dir.path());
    let here = dir.path().to_str().unwrap();
    assert_eq!(hub::resolve(dir.path(), &mut |_| {}).unwrap(), dir.path());

    for name in ["./no-such", "../no-such", "no-such/", "/no/such", "~/no-such", "models/my/model"] {
        let error = resolve(&config, name).unwrap_err();
        assert!(matches!(error, HubError::NoSuchPath { .. }), "{name}: {error}");
        assert!(error.to_string().contains("does not exist") && error.to_string().contains("owner/name"));
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let error = resolve(&config, &format!("{here}/file")).unwrap_err();
    assert!(matches!(error, HubError::NotADirectory { .. }), "{error}");
}

#[test]
fn what_python_has_cached_needs_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = lay_out(dir.path(), "distilroberta-base", PLAIN);
    mark_python_absences(&snapshot, &["modules.json"]);
    let silent = |name: &str| {
        let (found, notices) = notices(&offline(dir.path()), name);
        assert_eq!(notices, [""; 0]);
        found.unwrap()
    };
    assert_eq!(silent("distilroberta-base"), snapshot);
    assert_eq!(silent(&format!("distilroberta-base@{COMMIT}")), snapshot);

    let more = [
        ("modules.json", MODULES),
        ("sentence_bert_config.json", "{}"),
        ("config_sentence_transformers.json", "{}"),
        ("1_Pooling/config.json", "{}"),
    ];
    let snapshot = lay_out(dir.path(), "sentence-transformers/mini", &[PLAIN, &more].concat());
    mark_python_absences(&snapshot, &["2_Normalize/config.json"]);
    assert_eq!(silent("mini"), snapshot);
}

#[test]
fn text_settings_under_an_old_name_end_the_search_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let more = [
        ("modules.json", MODULES),
        ("sentence_roberta_config.json", "{}"),
        ("config_sentence_transformers.json", "{}"),
        ("1_Pooling/config.json", "{}"),
    ];
    let snapshot = lay_out(dir.path(), "o/n", &[PLAIN, &more].concat());
    mark_python_absences(&snapshot, &["2_Normalize/config.json"]);
    let (_, doubts) = notices(&offline(dir.path()), "o/n");
    assert!(doubts[0].contains("without sentence_bert_config.json"), "{doubts:?}");
    mark_absent(&snapshot, "sentence_bert_config.json");
    assert_eq!(notices(&offline(dir.path()), "o/n").1, [""; 0]);
}

#[test]
fn the_list_of_files_in_the_cache_says_what_does_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = lay_out(dir.path(), "o/n", PLAIN);
    let trees = dir.path().join("models--o--n/trees");
    fs::create_dir_all(&trees).unwrap();
    let tree = |version: u32| format!(r#"{{"format_version": {version}, "files": {{"config.json": {{"size": 2}}}}}}"#);
    let mut doubts = Vec::new();
    for version in [1, 99] {
        fs::write(trees.join(format!("{COMMIT}.json")), tree(version)).unwrap();
        let (found, notices) = notices(&offline(dir.path()), "o/n");
        assert_eq!(found.unwrap(), snapshot);
        doubts.push(notices.len());
    }
    assert_eq!(doubts, [0, 1]);
}

#[test]
fn offline_a_doubtful_snapshot_is_used_with_a_notice() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = lay_out(dir.path(), "o/n", PLAIN);
    let (found, notices) = notices(&offline(dir.path()), "o/n");
    assert_eq!(found.unwrap(), snapshot);
    assert!(notices.concat().contains("without modules.json"), "{notices:?}");
}

#[test]
fn offline_a_missing_or_half_model_names_the_cache_and_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str| {
        let error = resolve(&offline(dir.path()), name).unwrap_err();
        assert!(matches!(error, HubError::NotCached { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(dir.path().to_str().unwrap()), "{text}");
    };
    check("o/none");
    lay_out(dir.path(), "o/half", &PLAIN[..3]);
    check("o/half");
    // A link whose blob is gone is not a file.
    lay_out(dir.path(), "o/broken", PLAIN);
    #[cfg(unix)]
    {
        fs::remove_file(dir.path().join("models--o--broken/blobs/blob3")).unwrap();
        check("o/broken");
    }
}

/// Python looks for safetensors first, and notes that there are none.
#[test]
fn what_python_has_cached_in_its_own_format_needs_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let index = ("pytorch_model.bin.index.json", r#"{"weight_map": {"a": "1.bin", "b": "2.bin"}}"#);
    let whole = [&PLAIN[..3], &[("pytorch_model.bin", "weights")]].concat();
    let shards = [&PLAIN[..3], &[index, ("1.bin", "one"), ("2.bin", "two")]].concat();
    for (repo, files, absent) in [
        ("o/whole", whole, &["model.safetensors", "model.safetensors.index.json"][..]),
        ("o/shards", shards, &["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"]),
    ] {
        let snapshot = lay_out(dir.path(), repo, &files);
        mark_python_absences(&snapshot, &[&["modules.json"], &absent[1..]].concat());
        let (found, doubts) = notices(&offline(dir.path()), repo);
        assert_eq!(found.unwrap(), snapshot);
        assert!(doubts[0].contains("without model.safetensors: "), "{doubts:?}");
        mark_absent(&snapshot, absent[0]);
        assert_eq!(notices(&offline(dir.path()), repo).1, [""; 0]);
    }
    fs::remove_file(dir.path().join("models--o--shards/snapshots").join(COMMIT).join("2.bin")).unwrap();
    assert!(matches!(resolve(&offline(dir.path()), "o/shards"), Err(HubError::NotCached { .. })));
}

#[test]
fn a_cached_modules_json_is_read_as_in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let outside = MODULES.replace("1_Pooling", "../x");
    for json in ["", "{}", "[1]", "[{}]", "\u{1b}", "[]", &outside] {
        lay_out(dir.path(), "o/n", &[PLAIN, &[("modules.json", json)]].concat());
        let error = hub::resolve::resolve_name(&offline(dir.path()), "o/n", &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::Format { .. } | Error::Field { .. }), "{json}: {error}");
        assert!(error.to_string().contains("modules.json") && !error.to_string().contains(char::is_control));
        fs::remove_dir_all(dir.path().join("models--o--n")).unwrap();
    }
}

#[test]
fn a_file_that_is_there_needs_no_network_and_another_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let download =
        |name: &str| download_file_with(&offline(dir.path()), "http://127.0.0.1:9/x", dir.path(), name, &mut |_| {});
    let error = download("dev.txt").unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }) && error.to_string().contains("dev.txt"), "{error}");
    fs::write(dir.path().join("dev.txt"), "").unwrap();
    download("dev.txt").unwrap();
}
