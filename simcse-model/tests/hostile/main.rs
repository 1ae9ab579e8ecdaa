//! Broken and hostile model directories. Whatever the bytes: no panic, no hang, at most 64 MiB of
//! memory in addition to the size of the files, and either a clear error of one line or a model
//! that encodes.

mod every_bit;
mod json;
mod pytorch;
mod real;
mod tokenizer;
mod weights;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use simcse_model::io::printable;
use simcse_model::{
    Architecture, DenseActivation, DenseModule, ModelConfig, ModelDirectory, PooledLayers, Pooling, SentenceEncoder,
    Tokenizer, WordWeights,
};
use simcse_testing::observe;
use tempfile::TempDir;

const MEMORY: usize = 64 << 20;
const TIME: Duration = Duration::from_secs(20);

const WORDS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s"];

/// What a model that can be read has to encode.
const TEXTS: [&str; 4] =
    ["A cats", "", "[MASK] c\u{301}\u{200d}ät \u{1f408}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"];

/// Memory is measured for the whole process, so tests run one at a time, even after one has failed.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails if a row's result is not an error that contains the row's message, and lists all such
/// rows.
#[track_caller]
fn assert_refused(rows: impl IntoIterator<Item = (String, Result<(), String>, String)>) {
    let wrong = |(_, found, message): &(_, Result<(), String>, String)| match found {
        Ok(()) => true,
        Err(found) => !found.contains(message),
    };
    let wrong: Vec<_> = rows.into_iter().filter(wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Runs `read` on files of `size` bytes in `dir`, and checks time, memory, and that an error is a
/// clear message.
#[track_caller]
fn bounded<T>(
    case: &str,
    dir: &Path,
    size: usize,
    read: impl FnOnce() -> simcse_model::Result<T>,
) -> Result<T, String> {
    let started = Instant::now();
    let (result, memory) = observe(read);
    assert!(memory.peak <= size + MEMORY, "{case}: {memory:?} for a file of {size} bytes");
    assert!(started.elapsed() < TIME, "{case}: took {:?}", started.elapsed());
    result.map_err(|error| {
        let message = error.to_string();
        assert!(message.starts_with(&*dir.to_string_lossy()), "{case}: names no file: {message}");
        assert!(message.chars().count() < 2000 && printable(&message) == message, "{case}: {message:?}");
        message
    })
}

/// Loads the model in `dir` and encodes with it, within the bounds of [`bounded`].
#[track_caller]
fn load(case: &str, dir: &Path) -> Result<SentenceEncoder, String> {
    let size = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>();
    bounded(case, dir, size as usize, || {
        let encoder = SentenceEncoder::load(dir)?;
        encoder.encode(&TEXTS)?;
        Ok(encoder)
    })
}

/// A model of a few hundred weights with all files that are written.
fn model() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = ModelConfig {
        vocab_size: WORDS.len(),
        hidden_size: 4,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 4,
        max_position_embeddings: 12,
        initializer_range: 0.5,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let tokenizer = Tokenizer::word_piece(&WORDS, true).unwrap();
    let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 10).unwrap();
    SentenceEncoder::random(directory, 1).save(dir.path()).unwrap();
    dir
}

/// [`model`] with a mix of the embeddings and the layer, and a dense layer from 4 to 3 values.
fn model_with_dense() -> TempDir {
    let dir = model();
    let mut encoder = SentenceEncoder::load(dir.path()).unwrap();
    encoder.directory.layer_mix = PooledLayers::AvgTop2.mix(1);
    encoder.add_dense(DenseModule::new(4, 3, DenseActivation::Tanh), 1);
    drop(dir);
    let dir = tempfile::tempdir().unwrap();
    encoder.save(dir.path()).unwrap();
    dir
}

/// [`model`] with word weights.
fn model_with_word_weights() -> TempDir {
    let mut encoder = SentenceEncoder::load(model().path()).unwrap();
    let weights = WordWeights::idf(&encoder.directory.tokenizer, "", &["a cat", "cats"], 10).unwrap();
    encoder.directory.word_weights = Some(weights);
    let dir = tempfile::tempdir().unwrap();
    encoder.save(dir.path()).unwrap();
    dir
}

/// [`model`] with a byte-level tokenizer in RoBERTa's files.
fn model_with_merges() -> TempDir {
    let dir = model();
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    fs::write(dir.path().join("tokenizer_config.json"), r#"{"tokenizer_class":"RobertaTokenizer"}"#).unwrap();
    let vocab = r#"{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"<mask>":4,"a":5,"t":6,"at":7}"#;
    fs::write(dir.path().join("vocab.json"), vocab).unwrap();
    fs::write(dir.path().join("merges.txt"), "#version: 0.2\na t\n").unwrap();
    dir
}

/// [`model`] with only a `vocab.txt` as its tokenizer.
fn model_with_words() -> TempDir {
    let dir = model();
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    fs::remove_file(dir.path().join("tokenizer_config.json")).unwrap();
    fs::write(dir.path().join("vocab.txt"), WORDS.join("\n")).unwrap();
    dir
}
