//! A checkpoint with one bit changed, or cut short anywhere, is not taken for the one that was saved.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};
use simcse_tensor::rng::Philox;
use simcse_train::{
    Checkpoint, Evaluation, Host, OutputDirectory, Provenance, Result, RunDirectory, Sentences, Settings, StepRecord,
    Workspace,
};

/// Nothing to score and nobody to watch.
struct Alone;

impl Host for Alone {
    fn evaluate(&mut self, _: &SentenceEncoder) -> Result<Option<Evaluation>> {
        Ok(None)
    }
    fn stepped(&mut self, _: &StepRecord, _: u64) {}
    fn saved(&mut self, _: &Path) {}
}

fn settings(steps: u64) -> Settings {
    Settings { batch_size: 2, max_seq_length: 8, max_steps: Some(steps), ..Settings::default() }
}

fn model_and_sentences() -> (SentenceEncoder, Sentences) {
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
    (SentenceEncoder::random(directory, 1), Sentences::from_texts("sentences", texts, 1).unwrap())
}

/// The checkpoint of a run of two steps in `dir`.
fn checkpoint(dir: &Path) -> PathBuf {
    let (mut encoder, sentences) = model_and_sentences();
    let settings = settings(2);
    let provenance = Provenance { settings: settings.clone(), ..Provenance::default() };
    let (mut run, _) = RunDirectory::create(dir, provenance).unwrap();
    simcse_train::train(&mut encoder, &sentences, &settings, Workspace::default(), &mut run, &mut Alone).unwrap();
    dir.join("checkpoint-2")
}

/// As one might be that was not written by this program.
#[test]
fn a_checkpoint_beyond_the_end_of_its_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&checkpoint(dir.path())).unwrap();
    let provenance = Provenance { settings: settings(1), ..checkpoint.provenance.clone() };
    let output = OutputDirectory::lock_existing(dir.path()).unwrap();
    let (mut run, _) = RunDirectory::resume(output, checkpoint, provenance).unwrap();
    let (mut encoder, sentences) = model_and_sentences();
    let trained =
        simcse_train::train(&mut encoder, &sentences, &settings(1), Workspace::default(), &mut run, &mut Alone);
    let error = trained.unwrap_err().to_string();
    assert!(error.contains("checkpoint-2: expected at most the run's 1 steps, found 2"), "{error}");
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
        files.iter().flat_map(|file| (0..file.metadata().unwrap().len()).map(move |place| (file, place))).collect();
    for flip in 0..10_000 {
        let [which, bit, ..] = Philox::new(7).block([flip, 0, 0, 0]);
        let (file, place) = bytes[which as usize % bytes.len()];
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], place).unwrap();
        assert!(Checkpoint::open(&checkpoint).is_err(), "flip {flip}");
        file.write_all_at(&byte, place).unwrap();
    }
    Checkpoint::open(&checkpoint).unwrap();
}

#[test]
fn every_file_cut_short_is_noticed() {
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
