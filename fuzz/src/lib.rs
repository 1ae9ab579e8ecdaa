//! What the targets share: how they write their input to a file, and the bounds on memory and time
//! that hold for any input.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::time::{ClockId, clock_gettime};
use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use tempfile::TempDir;

/// Texts for a tokenizer that was read successfully.
const TEXTS: [&str; 3] = ["A cats [MASK]", "", "c\u{301}\u{200d}ät \u{1f408} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"];

/// Bytes of memory that reading may hold, in addition to the input.
const MEMORY: usize = 64 << 20;
/// Seconds of processor time that reading may take.
const SECONDS: f64 = 1.0;

static DIR: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// Writes `bytes` to the file `name` in a directory of this process, and returns its path.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = DIR.path().join(name);
    fs::create_dir_all(path.parent().expect("a name in the directory")).expect("a place for the file");
    fs::write(&path, bytes).expect("a file in the temporary directory");
    path
}

/// Calls `read`, whose input is `bytes`, and checks the bounds on memory and time. Processor time
/// is measured, because wall-clock time would depend on what else the machine is doing.
pub fn bounded<T>(bytes: &[u8], read: impl FnOnce() -> T) -> T {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let started = now();
    let (result, memory) = simcse_testing::observe(read);
    let seconds = now() - started;
    assert!(memory.peak <= bytes.len() + MEMORY, "reading {} bytes held {memory:?}", bytes.len());
    assert!(seconds <= SECONDS, "reading took {seconds} s");
    result
}

/// Encodes some texts: the result is an error, or valid ids within the maximum length.
pub fn encode(tokenizer: &Tokenizer) {
    let Ok(tokens) = tokenizer.encode_batch(&TEXTS, 12) else { return };
    assert!(tokens.ids.iter().all(|ids| (1..=12).contains(&ids.len())));
    assert!(tokens.ids.iter().flatten().all(|&id| id <= tokenizer.max_id()));
}

/// The directory of [`file`], which then holds a tiny model.
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
