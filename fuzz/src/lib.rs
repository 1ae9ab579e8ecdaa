//! What the targets share: the bytes that are tried, as a file.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use simcse_model::{ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use tempfile::TempDir;

/// Texts for a tokenizer that could be read.
pub const TEXTS: [&str; 3] = ["A cats [MASK]", "", "c\u{301}\u{200d}ät \u{1f408} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"];

static DIR: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// Puts `bytes` into the file `name` of the process's own directory, and hands out its path.
pub fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = DIR.path().join(name);
    fs::write(&path, bytes).expect("a file in the temporary directory");
    path
}

/// The directory of [`file`]s, as a tiny model.
pub fn model() -> &'static Path {
    static MODEL: LazyLock<()> = LazyLock::new(|| {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s"];
        let config = file(
            "config.json",
            br#"{"model_type":"bert","vocab_size":8,"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,
                "intermediate_size":4,"max_position_embeddings":12}"#,
        );
        let config = ModelConfig::read(&config).expect("a good configuration");
        let tokenizer = Tokenizer::word_piece(&words, true).expect("a good vocabulary");
        let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 10).expect("a model");
        SentenceEncoder::random(directory, 1).save(DIR.path()).expect("a place for the model");
    });
    LazyLock::force(&MODEL);
    DIR.path()
}
