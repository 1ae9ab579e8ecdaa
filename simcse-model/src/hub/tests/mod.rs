//! Names and caches on this disk, and downloads from a hub on the loopback interface.

mod local;
#[cfg(feature = "hub")]
mod models;
#[cfg(feature = "hub")]
mod server;
#[cfg(feature = "hub")]
mod transfers;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::HubConfig;
use super::resolve::resolve_name;
use super::{DownloadEvent, HubError};
use crate::error::Error;

/// The commit of every fake repository.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Settings for the test's own cache and hub, with short waits.
fn config(cache: &Path, endpoint: &str) -> HubConfig {
    HubConfig {
        cache_dir: cache.to_owned(),
        endpoint: endpoint.to_owned(),
        env_proxy: false,
        timeout: Duration::from_millis(300),
        back_off: Duration::from_millis(1),
        ..HubConfig::from_vars(|_| None, cache.to_owned())
    }
}

fn offline(cache: &Path) -> HubConfig {
    HubConfig { offline: true, ..config(cache, "http://127.0.0.1:9") }
}

fn resolve(config: &HubConfig, name: &str) -> Result<PathBuf, HubError> {
    hub_error(resolve_name(config, name, &mut |_| {}))
}

/// A result whose error, if any, must be one of the hub.
fn hub_error<T>(result: Result<T, Error>) -> Result<T, HubError> {
    result.map_err(|error| match error {
        Error::Hub(error) => error,
        error => panic!("{error}"),
    })
}

/// Writes files into a cache as Python does, with blobs and links.
fn lay_out(cache: &Path, repo: &str, files: &[(&str, &str)]) -> PathBuf {
    let home = cache.join(format!("models--{}", repo.replace('/', "--")));
    let snapshot = home.join("snapshots").join(COMMIT);
    for dir in [home.join("refs"), home.join("blobs"), snapshot.clone()] {
        fs::create_dir_all(dir).unwrap();
    }
    fs::write(home.join("refs/main"), COMMIT).unwrap();
    for (i, (name, content)) in files.iter().enumerate() {
        let path = snapshot.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let blob = home.join(format!("blobs/blob{i}"));
        fs::write(&blob, content).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(
            Path::new(&"../".repeat(name.split('/').count() + 1)).join(format!("blobs/blob{i}")),
            path,
        )
        .unwrap();
        #[cfg(not(unix))]
        fs::copy(blob, path).map(drop).unwrap();
    }
    snapshot
}

/// Notes an absent file as Python does.
fn mark_absent(snapshot: &Path, name: &str) {
    let home = snapshot.parent().and_then(Path::parent).unwrap();
    let path = home.join(".no_exist").join(COMMIT).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
}

/// Notes what sentence-transformers 6.2 and transformers 5.23 note for a model that lacks `more`.
fn mark_python_absences(snapshot: &Path, more: &[&str]) {
    const OF_PLAIN: [&str; 7] = [
        "adapter_config.json",
        "added_tokens.json",
        "chat_template.jinja",
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "video_preprocessor_config.json",
    ];
    OF_PLAIN.iter().chain(more).for_each(|name| mark_absent(snapshot, name));
}

const PLAIN: &[(&str, &str)] = &[
    ("config.json", "{}"),
    ("tokenizer.json", "{}"),
    ("tokenizer_config.json", "{}"),
    ("model.safetensors", "weights"),
];

const MODULES: &str = r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
{"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;

#[test]
fn the_environment_is_read_as_python_reads_it() {
    let read = |vars: &[(&str, &str)]| {
        let find = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        HubConfig::from_vars(find, PathBuf::from("/home/me"))
    };
    let cache_of = |vars: &[(&str, &str)]| read(vars).cache_dir;
    assert_eq!(cache_of(&[]), Path::new("/home/me/.cache/huggingface/hub"));
    assert_eq!(cache_of(&[("HF_HOME", ""), ("XDG_CACHE_HOME", "/c")]), Path::new("/c/huggingface/hub"));
    assert_eq!(cache_of(&[("HF_HOME", "~/hf")]), Path::new("/home/me/hf/hub"));
    assert_eq!(cache_of(&[("HF_HOME", "/a"), ("HUGGINGFACE_HUB_CACHE", "/b")]), Path::new("/b"));
    assert_eq!(cache_of(&[("HF_HUB_CACHE", "/a"), ("HUGGINGFACE_HUB_CACHE", "/b")]), Path::new("/a"));
    assert_eq!(cache_of(&[("HF_HUB_CACHE", "/a"), ("SENTENCE_TRANSFORMERS_HOME", "/s")]), Path::new("/s"));

    for (value, expected) in [("1", true), ("on", true), ("Yes", true), ("TRUE", true), ("0", false), ("no", false)] {
        assert_eq!(read(&[("HF_HUB_OFFLINE", value)]).offline, expected, "{value}");
    }
    assert!(read(&[("HF_HUB_OFFLINE", ""), ("TRANSFORMERS_OFFLINE", "1")]).offline);
    assert!(!read(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]).offline);

    assert_eq!(read(&[("HF_ENDPOINT", "https://mirror.example/")]).endpoint, "https://mirror.example");
    assert_eq!(read(&[("HF_TOKEN_PATH", "/t")]).token_file, Some(PathBuf::from("/t")));
    assert_eq!(read(&[("HF_HOME", "/h")]).token_file, Some(PathBuf::from("/h/token")));
    let quiet = read(&[("HF_TOKEN", "secret"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
    assert_eq!((quiet.token, quiet.token_file), (None, None));
}

#[test]
fn tokens_come_from_the_variable_then_from_the_file_and_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "http://127.0.0.1:9");
    config.token_file = Some(dir.path().join("token"));
    assert_eq!(config.token().unwrap(), None);
    fs::write(dir.path().join("token"), " hf_secret\r\n").unwrap();
    let token = config.token().unwrap().unwrap();
    assert_eq!(token.0, "hf_secret");
    assert!(!format!("{token:?}").contains("secret"));
}

/// Resolves a name and collects the notices to the user.
fn notices(config: &HubConfig, name: &str) -> (Result<PathBuf, HubError>, Vec<String>) {
    let mut notices = Vec::new();
    let result = resolve_name(config, name, &mut |progress| {
        if let DownloadEvent::Notice(text) = progress {
            notices.push(text.to_owned());
        }
    });
    (hub_error(result), notices)
}
