//! `simcse pretrain`: from nothing, from a model, resumed, and then tuned.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "common/runs.rs"]
mod runs;

use std::fs;

use common::{Workspace, text};
use runs::{lines, sentences};
use serde_json::Value;
use simcse_model::{ModelSize, SentenceEncoder, WeightsFile};

const NEW: &str = "pretrain in.txt --size tiny --vocab-size 320 --batch-size 16 --max-seq-length 16";

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.put("in.txt", sentences(200));
    workspace
}

/// The lines of a log that are of steps.
fn step_lines(workspace: &Workspace, name: &str) -> Vec<Value> {
    lines(workspace, name).into_iter().filter(|line| line["loss"].is_number()).collect()
}

#[test]
fn a_model_from_nothing_learns_to_predict_words() {
    let workspace = workspace();
    let printed = workspace.stdout(&format!("{NEW} --epochs 6 --hold-out 40 --output-dir out"));
    assert!(printed.contains("mlm_accuracy"), "{printed}");
    let log = lines(&workspace, "out/metrics.jsonl");
    let steps: Vec<_> = log.iter().filter(|line| line.get("mlm_loss").is_some()).collect();
    assert_eq!(steps.len(), 60);
    let evaluations: Vec<_> = log.iter().filter_map(|line| line.get("eval_mlm_loss")?.as_f64()).collect();
    // With four words in a sentence and eight to choose from, ln 8 is what knowing the words is worth.
    let [before, after] = evaluations[..] else { panic!("{evaluations:?}") };
    assert!(before > 5.0 && after < 3.0, "{before}, {after}");

    let encoder = SentenceEncoder::load_directory(&workspace.path("out")).unwrap();
    let size = ModelSize::Tiny.config(encoder.config().vocab_size, 16);
    assert_eq!(encoder.config(), &size);
    assert!(encoder.warnings().is_empty());
    let card = fs::read_to_string(workspace.path("out/README.md")).unwrap();
    assert!(card.contains("Starting from a new model of size tiny, it was trained to predict masked tokens"), "{card}");
}

/// Whatever the number of threads, and wherever it is interrupted.
#[test]
fn a_run_ends_with_the_same_bits() {
    let workspace = workspace();
    let run = |arguments: &str| workspace.stdout(&format!("{NEW} --whole-word-mask --save-steps 7 {arguments}"));
    run("--max-steps 20 --output-dir whole");
    run("--max-steps 20 --output-dir pieces --mini-batch-tokens 512 --threads 1 --tokenizer bpe");
    // The learning rate depends on the number of steps, so the run is interrupted by losing its end.
    run("--max-steps 20 --output-dir resumed");
    fs::remove_dir_all(workspace.path("resumed/checkpoint-20")).unwrap();
    fs::remove_dir_all(workspace.path("resumed/checkpoint-14")).unwrap();
    fs::remove_file(workspace.path("resumed/model.safetensors")).unwrap();
    workspace.stdout("pretrain --resume-from-checkpoint auto --output-dir resumed");
    for file in ["model.safetensors", "mlm_head.safetensors", "tokenizer.json"] {
        let [whole, pieces, resumed] =
            ["whole", "pieces", "resumed"].map(|dir| fs::read(workspace.path(dir).join(file)).unwrap());
        assert!(whole == pieces && whole == resumed, "{file}");
    }
    let error = workspace.error("train --resume-from-checkpoint auto --output-dir resumed", 2);
    assert!(error.ends_with("is of a run of `simcse pretrain`: resume it with that command"), "{error}");
}

#[test]
fn a_language_model_is_continued_and_then_tuned() {
    let workspace = workspace();
    workspace.stdout(&format!("{NEW} --tokenizer wordpiece --max-steps 10 --output-dir base"));
    let head = |dir: &str| fs::read(workspace.path(dir).join("mlm_head.safetensors")).unwrap();

    // A learning rate of next to nothing: the model that was there is what is continued.
    let steps = "--max-steps 2 --warmup-steps 0 --learning-rate 1e-30";
    workspace.stdout(&format!("pretrain in.txt --model base --batch-size 16 {steps} --output-dir more"));
    assert!(head("base") == head("more"));
    // The record names the model that was given, without the head.
    workspace.stdout("pretrain --resume-from-checkpoint auto --model base --max-steps 3 --output-dir more");

    // It has a modules.json, but nothing has tuned its embeddings: there is nothing to warn of.
    let warned = |arguments: &str| {
        let arguments = format!("train in.txt --batch-size 16 --max-steps 3 {arguments}");
        let output = workspace.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stderr).contains("already a sentence-embedding model")
    };
    assert!(!warned("--model base --output-dir tuned") && warned("--model tuned --output-dir twice"));
    assert!(!workspace.path("tuned/mlm_head.safetensors").exists());
    workspace.stdout("train in.txt --model base --batch-size 16 --max-steps 3 --mlm-weight 0.1 --output-dir both");
    assert!(head("base") != head("both"), "the head is trained, too");
    let both = step_lines(&workspace, "both/metrics.jsonl");
    let tuned = step_lines(&workspace, "tuned/metrics.jsonl");
    let [loss, mlm_loss] = ["loss", "mlm_loss"].map(|name| both[0][name].as_f64().unwrap());
    let alone = tuned[0]["loss"].as_f64().unwrap();
    assert!((loss - alone - 0.1 * mlm_loss).abs() < 1e-5, "{loss}, {alone}, {mlm_loss}");
    assert!(tuned[0].get("mlm_loss").is_none());
    let weights = WeightsFile::read(&workspace.path("both/model.safetensors")).unwrap();
    assert!(weights.contains("embeddings.word_embeddings.weight") && !weights.contains("cls.predictions.bias"));
}

#[test]
fn wrong_usage_is_explained() {
    let workspace = workspace();
    for (arguments, message) in [
        ("pretrain in.txt --scale 20", "unexpected argument '--scale'"),
        ("pretrain in.txt --model model --size tiny", "cannot be used with"),
        ("pretrain in.txt --mlm-probability 0", "above 0 and below 1"),
        ("train in.txt --model model --objective mlm", "unexpected argument '--objective'"),
    ] {
        let output = workspace.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
    workspace.put("pairs.csv", "anchor,positive\nhow to boot,boot the wifi\nslow sound,the slow wifi\n");
    let error = workspace.error("pretrain pairs.csv --size tiny --batch-size 2", 1);
    assert!(error.contains("--text-column"), "{error}");
}
