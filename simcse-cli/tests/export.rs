//! `simcse export` from the outside.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use std::fs;

use common::{Workspace, text};
use serde_json::Value;

#[test]
fn a_model_becomes_a_directory_with_a_graph() {
    let workspace = Workspace::new();
    let report: Value =
        serde_json::from_str(&workspace.stdout("export --model model --format onnx --output out --json")).unwrap();
    assert_eq!(
        (&report["format"], &report["path"], &report["opset"]),
        (&"onnx".into(), &"out/onnx/model.onnx".into(), &18.into())
    );
    let graph = fs::read(workspace.path("out/onnx/model.onnx")).unwrap();
    assert_eq!(report["bytes"], graph.len());
    // The weights are in it, and everything else is as in the model.
    assert!(graph.len() as u64 > fs::metadata(workspace.path("model/model.safetensors")).unwrap().len() * 9 / 10);
    for file in ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "tokenizer.json"]
    {
        let [ours, model] = ["out", "model"].map(|dir| fs::read(workspace.path(dir).join(file)).unwrap());
        assert!(ours == model, "{file}");
    }
    assert_eq!(workspace.names(), ["model", "out"]);

    let said = workspace.command("export --model model --format onnx --output other").output().unwrap();
    assert_eq!((text(&said.stdout).as_str(), said.status.code()), ("", Some(0)));
    assert!(text(&said.stderr).starts_with("other/onnx/model.onnx: "), "{}", text(&said.stderr));
    assert!(fs::read(workspace.path("other/onnx/model.onnx")).unwrap() == graph, "the same bytes");
}

#[test]
fn a_model_becomes_a_directory_of_half_the_size_that_every_command_reads() {
    let workspace = Workspace::new();
    let report: Value = serde_json::from_str(
        &workspace.stdout("export --model model --format safetensors --dtype f16 --output half --json"),
    )
    .unwrap();
    assert_eq!(
        (&report["format"], &report["path"], &report["dtype"]),
        (&"safetensors".into(), &"half/model.safetensors".into(), &"f16".into())
    );
    let weights = fs::metadata(workspace.path("half/model.safetensors")).unwrap().len();
    assert_eq!(report["bytes"], weights);
    assert!(weights < fs::metadata(workspace.path("model/model.safetensors")).unwrap().len() * 6 / 10);

    let similarity = |model: &str| -> f64 {
        let printed = workspace.stdout(&format!("similarity --model {model} slow boot"));
        printed.trim().parse().unwrap()
    };
    assert!((similarity("model") - similarity("half")).abs() < 1e-3);
    workspace.stdout("export --model half --format onnx --output onnx");

    // As f32, it is the model as training would save it.
    workspace.stdout("export --model model --format safetensors --output whole");
    let [whole, model] = ["whole", "model"].map(|dir| fs::read(workspace.path(dir).join("model.safetensors")).unwrap());
    assert!(whole == model);
    let wrong = workspace.error("export --model model --format onnx --dtype f16 --output out", 2);
    assert_eq!(wrong, "error: --dtype: expected f32 with --format onnx, found f16");
}

#[test]
fn nothing_is_overwritten_and_what_is_wrong_is_named() {
    let workspace = Workspace::new();
    let occupied = workspace.error("export --model model --format onnx --output model", 1);
    assert!(
        occupied
            .starts_with("error: model: expected a directory that is empty or does not exist yet, found: one with ")
    );
    let unknown = workspace.error("export --model model --format tflite --output out", 2);
    assert!(unknown.contains("'tflite'") && unknown.contains("expected onnx or safetensors"), "{unknown}");
    workspace.error("export --model ./none --format onnx --output out", 2);
    fs::remove_file(workspace.path("model/model.safetensors")).unwrap();
    let missing = workspace.error("export --model model --format onnx --output out", 1);
    assert!(missing.contains("model.safetensors"), "{missing}");
    assert_eq!(workspace.names(), ["model"]);
}
