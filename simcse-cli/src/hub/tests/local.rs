//! Names, and what the cache alone can answer.

use std::fs;

use super::super::askubuntu;
use super::super::files::parse_modules;
use super::super::name::ModelName;
use super::{COMMIT, HubError, MODULES, PLAIN, Progress, lay_out, mark_absent, offline, resolve, resolve_with};

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
fn a_directory_is_itself_and_a_path_that_leads_nowhere_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = offline(dir.path());
    let here = dir.path().to_str().unwrap();
    assert_eq!(resolve(&config, here).unwrap(), dir.path());

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
    mark_absent(&snapshot, "modules.json");
    let silent = |name: &str| resolve_with(&offline(dir.path()), name, &mut |p| panic!("{p:?}")).unwrap();
    assert_eq!(silent("distilroberta-base"), snapshot);
    assert_eq!(silent(&format!("distilroberta-base@{COMMIT}")), snapshot);

    let files =
        [PLAIN, &[("modules.json", MODULES), ("sentence_bert_config.json", "{}"), ("1_Pooling/config.json", "{}")]];
    let snapshot = lay_out(dir.path(), "sentence-transformers/mini", &files.concat());
    assert_eq!(silent("mini"), snapshot);
}

#[test]
fn a_list_of_the_files_answers_what_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = lay_out(dir.path(), "o/n", PLAIN);
    let trees = dir.path().join("models--o--n/trees");
    fs::create_dir_all(&trees).unwrap();
    let tree = |version: u32| format!(r#"{{"format_version": {version}, "files": {{"config.json": {{"size": 2}}}}}}"#);
    let mut doubts = Vec::new();
    for version in [1, 99] {
        fs::write(trees.join(format!("{COMMIT}.json")), tree(version)).unwrap();
        let mut count = 0;
        assert_eq!(resolve_with(&offline(dir.path()), "o/n", &mut |_| count += 1).unwrap(), snapshot);
        doubts.push(count);
    }
    assert_eq!(doubts, [0, 1]);
}

#[test]
fn offline_a_doubtful_snapshot_is_used_and_the_doubt_told() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = lay_out(dir.path(), "o/n", PLAIN);
    let mut told = String::new();
    let found = resolve_with(&offline(dir.path()), "o/n", &mut |progress| {
        if let Progress::Notice(text) = progress {
            told += text;
        }
    });
    assert_eq!(found.unwrap(), snapshot);
    assert!(told.contains("without modules.json"), "{told}");
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

#[test]
fn offline_a_pickle_in_the_cache_is_told_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    lay_out(dir.path(), "o/old", &[PLAIN[0], PLAIN[1], ("pytorch_model.bin", "pickle")]);
    let error = resolve(&offline(dir.path()), "o/old").unwrap_err();
    assert!(matches!(error, HubError::OnlyPickle { .. }), "{error}");
    assert!(error.to_string().contains("save_pretrained"));
}

#[test]
fn modules_may_not_lead_out_of_the_model() {
    for path in ["..", "../x", "/etc", "a/../../b", "a//b", "./a", r"..\\x", "C:x"] {
        let json = format!(r#"[{{"type": "Pooling", "path": "{path}"}}]"#);
        let error = parse_modules(json.as_bytes(), "modules.json".as_ref()).unwrap_err();
        assert!(matches!(error, HubError::Modules { .. }), "{path}");
    }
    for json in ["", "{}", "[1]", "[{}]", "\u{1b}"] {
        let error = parse_modules(json.as_bytes(), "modules.json".as_ref()).unwrap_err();
        assert!(!error.to_string().contains(char::is_control));
    }
}

#[test]
fn askubuntu_that_is_there_needs_no_network_and_else_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let config = offline(dir.path());
    for name in ["text_tokenized.txt", "dev.txt", "test.txt"] {
        let error = askubuntu::fetch_with(&config, dir.path(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        fs::write(dir.path().join(name), "").unwrap();
    }
    askubuntu::fetch_with(&config, dir.path(), &mut |_| {}).unwrap();
}
