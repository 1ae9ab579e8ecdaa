//! A temporary directory with a tiny model, in which tests run the command.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use tempfile::TempDir;

const WORDS: &[&str] = &[
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "to", "install", "boot", "wifi", "slow", "the", "sound", "?",
];

/// A directory with a random model in `model`; commands run in it.
pub(crate) struct Workspace {
    dir: TempDir,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let workspace = Self { dir: tempfile::tempdir().unwrap() };
        encoder().save(&workspace.path("model")).unwrap();
        workspace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The names of the directory's entries, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simcse"));
        command.current_dir(self.dir.path()).args(arguments.split_whitespace());
        // Tests make no requests, and do not read the user's caches.
        command
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HUB_CACHE", self.path("hub"))
            .env("XDG_CACHE_HOME", self.path("cache"));
        command.env_remove("SENTENCE_TRANSFORMERS_HOME");
        // Variables are arguments.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SIMCSE_") && name != "SIMCSE_ISA") {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the command with `input` on standard input.
    pub(crate) fn run_with(&self, arguments: &str, input: &[u8]) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a command that succeeds, and returns its standard output.
    #[track_caller]
    pub(crate) fn stdout(&self, arguments: &str) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The line of standard error of a command that fails with `status`; nothing is on standard
    /// output.
    #[track_caller]
    pub(crate) fn error(&self, arguments: &str, status: i32) -> String {
        let output = self.command(arguments).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(status), ""), "{stderr}");
        let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{stderr}");
        assert!(status == 2 || stderr.lines().count() == 1, "{stderr}");
        errors[0].to_owned()
    }
}

/// The model of every [`Workspace`].
pub(crate) fn encoder() -> SentenceEncoder {
    let config = ModelConfig {
        vocab_size: WORDS.len(),
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 32,
        max_position_embeddings: 32,
        initializer_range: 0.5,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let tokenizer = Tokenizer::word_piece(WORDS, true).unwrap();
    SentenceEncoder::random(ModelDirectory::new(config, tokenizer, Pooling::Mean, 16).unwrap(), 1)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
