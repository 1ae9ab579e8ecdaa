//! Runs of several ranks: threads here, but each with its own model and directory handle, as
//! processes have.

mod common {
    include!("common/small_model.rs");
    include!("common/stop_after.rs");
}

use std::fs;
use std::path::Path;

use simcse_train::ranks::{Ranks, on_threads};
use simcse_train::{Checkpoint, Error, Examples, OutputDirectory, Settings, Trainer};

use common::StopAfter;

fn texts() -> Vec<String> {
    (0..60).map(|i| format!("question {i} about {} things", i * i % 17)).collect()
}

fn settings() -> Settings {
    Settings { batch_size: 8, max_steps: Some(6), save_steps: 2, ..Settings::default() }
}

/// The weights after a whole run into `output`; rank `stopped` is asked to stop after `steps` steps.
fn start(ranks: &Ranks, output: &Path, stopped: usize, steps: u64) -> Result<Vec<f32>, Error> {
    let examples = Examples::from_texts("questions", texts(), 1)?;
    let mut trainer = Trainer::new(common::small_model(&texts()), &examples, settings(), output)?;
    trainer.ranks = ranks.clone();
    let steps = if ranks.rank() == stopped { steps } else { u64::MAX };
    Ok(trainer.train(&mut StopAfter { steps, done: 0 })?.encoder.params.values().to_vec())
}

fn resume(ranks: &Ranks, output: &Path, step: u64) -> Result<Vec<f32>, Error> {
    let examples = Examples::from_texts("questions", texts(), 1)?;
    let checkpoint = Checkpoint::open(&output.join(format!("checkpoint-{step}")))?;
    let directory =
        if ranks.is_first() { OutputDirectory::lock_existing(output)? } else { OutputDirectory::follow(output) };
    let mut trainer = Trainer::resume(directory, checkpoint, &examples, settings())?;
    trainer.ranks = ranks.clone();
    Ok(trainer.train(&mut ())?.encoder.params.values().to_vec())
}

/// The largest difference of two lists of weights.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_run_on_several_ranks_is_that_on_one() {
    let dir = tempfile::tempdir().unwrap();
    let alone = start(&Ranks::default(), &dir.path().join("one"), 0, u64::MAX).unwrap();
    let together = on_threads(3, |ranks| start(&ranks, &dir.path().join("three"), 0, u64::MAX).unwrap());
    assert!(together.iter().all(|weights| *weights == together[0]), "ranks end with different weights");
    let error = difference(&together[0], &alone);
    assert!(error < 1e-4 && together[0].len() == alone.len(), "weights differ by {error}");

    let log = fs::read_to_string(dir.path().join("three/metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let steps: Vec<_> = lines.filter(|line| line.get("loss").is_some()).collect();
    assert_eq!(steps.len(), 6, "one rank writes the log");
    assert!(steps.iter().all(|step| step["exchange_gradients_bytes"].as_f64().unwrap() > 0.0));
    let record = fs::read_to_string(dir.path().join("three/run.toml")).unwrap();
    assert!(record.contains("\nranks = 3\n"), "{record}");
}

/// Rank 1 alone is asked to stop: all of them do, after the same step.
#[test]
fn a_run_that_is_stopped_on_one_rank_resumes_with_the_same_bits_and_on_any_number() {
    let dir = tempfile::tempdir().unwrap();
    let expected = on_threads(2, |ranks| start(&ranks, &dir.path().join("whole"), 0, u64::MAX).unwrap()).swap_remove(0);
    let stopped = dir.path().join("stopped");
    for result in on_threads(2, |ranks| start(&ranks, &stopped, 1, 3)) {
        assert!(matches!(result, Err(Error::Stopped { step: 3, .. })));
    }
    for (size, exact) in [(2, true), (1, false), (4, false)] {
        let output = dir.path().join(format!("resumed-{size}"));
        copy(&stopped, &output);
        for weights in on_threads(size, |ranks| resume(&ranks, &output, 3).unwrap()) {
            let error = difference(&weights, &expected);
            assert!(if exact { weights == expected } else { error < 1e-4 }, "{size} ranks: off by {error}");
        }
    }
}

#[test]
fn ranks_that_are_about_to_do_different_things_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("run");
    let results = on_threads(2, |ranks| {
        let mut texts = texts();
        texts[5].push(char::from(b'a' + ranks.rank() as u8));
        let examples = Examples::from_texts("questions", &texts, 1)?;
        let mut trainer = Trainer::new(common::small_model(&self::texts()), &examples, settings(), &output)?;
        trainer.ranks = ranks;
        trainer.train(&mut ()).map(|_| ())
    });
    for result in results {
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with("the training data differs: expected 60 examples with SHA-256"), "{message}");
        assert!(message.contains("as on rank 0, found") && message.ends_with("on rank 1"), "{message}");
    }
    assert!(!output.exists(), "refused before anything was written");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
