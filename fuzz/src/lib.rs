//! What the targets share: the bytes that are tried as a file, and the bounds that hold for any bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::time::{ClockId, clock_gettime};
use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use tempfile::TempDir;

/// Texts for a tokenizer that could be read.
const TEXTS: [&str; 3] = ["A cats [MASK]", "", "c\u{301}\u{200d}ät \u{1f408} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"];

/// What reading may hold beside the bytes that are read.
const MEMORY: usize = 64 << 20;
/// Seconds of all processors together that it may take.
const SECONDS: f64 = 1.0;

static DIR: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// Puts `bytes` into the file `name` of the process's own directory, and hands out its path.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = DIR.path().join(name);
    fs::write(&path, bytes).expect("a file in the temporary directory");
    path
}

/// Reads `bytes` within the bounds of memory and time. Wall-clock time would depend on what else the machine does.
pub fn bounded<T>(bytes: &[u8], read: impl FnOnce() -> T) -> T {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let started = now();
    let (result, memory) = simcse_testing::observe(read);
    let seconds = now() - started;
    assert!(memory.peak <= bytes.len() + MEMORY, "held {memory:?} for {} bytes", bytes.len());
    assert!(seconds <= SECONDS, "took {seconds} s");
    result
}

/// Encodes some texts: within the length, by ids that are there, or an error.
pub fn encode(tokenizer: &Tokenizer) {
    let Ok(tokens) = tokenizer.encode_batch(&TEXTS, 12) else { return };
    assert!(tokens.ids.iter().all(|ids| (1..=12).contains(&ids.len())));
    assert!(tokens.ids.iter().flatten().all(|&id| id <= tokenizer.max_id()));
}

/// The directory of [`file`]s, as a tiny model.
pub fn model() -> &'static Path {
    static MODEL: LazyLock<()> = LazyLock::new(|| {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s"];
        let config = ModelConfig {
            vocab_size: words.len(),
            hidden_size: 4,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size: 4,
            ..ModelConfig::defaults(Architecture::Bert)
        };
        let tokenizer = Tokenizer::word_piece(&words, true).expect("a good vocabulary");
        let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 10).expect("a model");
        SentenceEncoder::random(directory, 1).save(DIR.path()).expect("a place for the model");
    });
    LazyLock::force(&MODEL);
    DIR.path()
}
