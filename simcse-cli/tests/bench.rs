//! `simcse bench` on a tiny model.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use common::Workspace;
use serde_json::Value;

const SENTENCES: &str = "how to install wifi ?\nslow boot\nthe sound to boot\nboot the wifi\nhow slow\n";

#[test]
fn the_parts_add_up_to_the_step() {
    let workspace = Workspace::new();
    workspace.put("sentences.txt", SENTENCES);
    let stdout = workspace.stdout("--threads 2 bench sentences.txt --model model --batch-size 4 --steps 2 --json");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["threads"], &report["batch_size"]), (&2.into(), &4.into()));
    assert_eq!(report["precision"], "f32");
    assert_eq!(report["peak_flops"], report["peak_flops_f32"]);
    assert!(report["peak_flops"].as_f64().unwrap() > 1e8);
    let parts = report["parts"].as_array().unwrap();
    let seconds = |part: &Value| part["seconds"].as_f64().unwrap();
    let sum: f64 = parts.iter().map(seconds).sum();
    let step = seconds(&report["step"]);
    assert!((sum - step).abs() < 1e-6 * step.max(1.0), "{stdout}");
    for name in ["tokenization", "embedding", "dW += dyᵀ·x", "attention backward", "loss", "optimizer", "the rest"] {
        assert!(parts.iter().any(|part| part["part"] == name), "no {name}: {stdout}");
    }
    let flops = report["step"]["flops"].as_f64().unwrap();
    assert!((flops * step / report["flop_per_step"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{stdout}");
    assert!(!workspace.names().iter().any(|name| name.contains("output")), "nothing is written");

    let readable = workspace.stdout("bench sentences.txt --model model --batch-size 4 --steps 1");
    assert!(readable.contains("\nattention backward  ") && readable.contains("\nstep  "), "{readable}");
}

#[test]
fn too_few_sentences_are_an_error() {
    let workspace = Workspace::new();
    workspace.put("sentences.txt", SENTENCES);
    let error = workspace.error("bench sentences.txt --model model --batch-size 6", 1);
    assert!(error.contains("6") && error.contains("5"), "{error}");
    let error = workspace.error("bench sentences.txt --model model --batch-size 1", 2);
    assert!(error.contains("--batch-size <N>': expected 2 or more"), "{error}");
    let error = workspace.error("bench sentences.txt --model model --batch-size 4 --max-seq-length 99", 1);
    assert!(error.contains("--max-seq-length: expected at most 32"), "{error}");
}
