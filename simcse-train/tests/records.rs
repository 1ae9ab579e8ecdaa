//! What a run leaves on disk is true: changes of a checkpoint are noticed, a resumed run continues
//! the run that was recorded, and the record describes what was computed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use simcse_tensor::rng::Philox;
use simcse_train::{Checkpoint, Examples, OutputDirectory, Settings, Trainer};

fn settings(steps: u64) -> Settings {
    Settings { batch_size: 2, max_seq_length: 8, max_steps: Some(steps), ..Settings::default() }
}

fn model_and_sentences() -> (SentenceEncoder, Examples) {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "to", "boot", "the", "wifi"];
    let config = ModelConfig {
        vocab_size: words.len(),
        hidden_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 8,
        max_position_embeddings: 12,
        initializer_range: 0.5,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
    let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 8).unwrap();
    let texts = ["how to boot", "the wifi", "boot the wifi", "how to wifi"];
    (SentenceEncoder::random(directory, 1), Examples::from_texts("sentences", texts, 1).unwrap())
}

/// The checkpoint of a run of two steps in `dir`.
fn checkpoint(dir: &Path) -> PathBuf {
    let (encoder, sentences) = model_and_sentences();
    Trainer::new(encoder, &sentences, settings(2), dir).unwrap().train(&mut ()).unwrap();
    dir.join("checkpoint-2")
}

#[test]
fn a_run_is_not_resumed_with_fewer_steps() {
    let dir = tempfile::tempdir().unwrap();
    let resume = |recorded: u64, given: u64| {
        let mut checkpoint = Checkpoint::open(&dir.path().join("checkpoint-2")).unwrap();
        checkpoint.provenance.settings = settings(recorded);
        let output = OutputDirectory::lock_existing(dir.path()).unwrap();
        let (_, sentences) = model_and_sentences();
        Trainer::resume(output, checkpoint, &sentences, settings(given)).unwrap_err().to_string()
    };
    checkpoint(dir.path());
    assert!(resume(2, 1).starts_with("--max-steps: the run started with 2, found 1"));
    // A checkpoint that this program did not write might say this.
    assert!(resume(1, 1).contains("checkpoint-2: expected at most the run's 1 steps, found 2"));
}

/// A checkpoint's moments belong to its weights, so there is no way to combine them with other
/// weights.
#[test]
fn a_resumed_run_trains_the_model_of_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&checkpoint(dir.path())).unwrap();
    let output = OutputDirectory::lock_existing(dir.path()).unwrap();
    let (_, sentences) = model_and_sentences();
    let saved = SentenceEncoder::load(checkpoint.path()).unwrap();
    let trainer = Trainer::resume(output, checkpoint, &sentences, settings(3)).unwrap();
    assert_eq!(trainer.encoder().params.values(), saved.params.values());
    assert_eq!(trainer.train(&mut ()).unwrap().summary.steps, 3);
}

/// Otherwise the record would not describe the model.
#[test]
fn settings_that_concern_the_model_are_applied_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (encoder, sentences) = model_and_sentences();
    let settings = Settings { pooling: Pooling::Cls, max_seq_length: 6, ..settings(1) };
    let trained = Trainer::new(encoder, &sentences, settings, dir.path()).unwrap().train(&mut ()).unwrap();
    let written = SentenceEncoder::load(dir.path()).unwrap();
    for encoder in [trained.encoder, written] {
        assert_eq!((encoder.directory.pooling, encoder.directory.max_seq_length), (Pooling::Cls, 6));
    }
    let (encoder, sentences) = model_and_sentences();
    let long = Settings { max_seq_length: 99, ..self::settings(1) };
    let error = Trainer::new(encoder, &sentences, long, dir.path()).unwrap_err().to_string();
    assert_eq!(error, "--max-seq-length: expected at most 12 for this model, found 99");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_flipped_bit_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path());
    let open = |path: PathBuf| OpenOptions::new().read(true).write(true).open(path).unwrap();
    let files: Vec<File> = files(&checkpoint).into_iter().map(open).collect();
    let bytes: Vec<(&File, u64)> =
        files.iter().flat_map(|file| (0..file.metadata().unwrap().len()).map(move |offset| (file, offset))).collect();
    for flip in 0..10_000 {
        let [index, bit, ..] = Philox::new(7).block([flip, 0, 0, 0]);
        let (file, offset) = bytes[index as usize % bytes.len()];
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], offset).unwrap();
        assert!(Checkpoint::open(&checkpoint).is_err(), "flip {flip}");
        file.write_all_at(&byte, offset).unwrap();
    }
    Checkpoint::open(&checkpoint).unwrap();
}

#[test]
fn every_truncated_or_missing_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path());
    for path in files(&checkpoint) {
        let content = fs::read(&path).unwrap();
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        for length in (0..content.len().min(64 << 10)).rev() {
            file.set_len(length as u64).unwrap();
            let error = Checkpoint::open(&checkpoint).unwrap_err();
            assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
        }
        file.write_all(&content).unwrap();
    }
    for path in files(&checkpoint) {
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        Checkpoint::open(&checkpoint).unwrap_err();
        fs::write(&path, content).unwrap();
    }
    Checkpoint::open(&checkpoint).unwrap();
}
