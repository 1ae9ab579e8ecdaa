//! What `simcse train` scores its models on, and what it does with the figures.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "common/runs.rs"]
mod runs;

use std::fs;

use common::{Workspace, encoder, text};
use runs::{lines, train, workspace};
use serde_json::Value;

const RERANK: &str = r#"{"query": "the wifi boot", "positive": ["the boot wifi"], "negative": ["slow sound", "to boot"]}
{"query": "how to install sound", "positive": ["install sound"], "negative": ["slow wifi", "the boot"]}
"#;

/// The evaluations of a run, in order.
fn evaluations(workspace: &Workspace, output: &str) -> Vec<Value> {
    let lines = lines(workspace, &format!("{output}/metrics.jsonl"));
    lines.into_iter().filter(|line| line.as_object().unwrap().keys().any(|key| key.starts_with("eval_"))).collect()
}

#[test]
fn several_sets_have_names_and_one_figure_chooses_the_best_model() {
    let workspace = workspace();
    workspace.put("dev.jsonl", RERANK);
    workspace
        .put("sts.tsv", "score\tsentence1\tsentence2\n1\tslow boot\tthe boot\n4\tthe wifi\tslow wifi\n2\tto\tthe\n");
    let sets = "--eval-rerank dev.jsonl --eval-rerank other=dev.jsonl --eval-sts sts.tsv";
    let flags = "--eval-steps 1 --load-best-model-at-end --choose-best-by spearman_cosine --max-steps 4";
    train(&workspace, &format!("in.txt --model model --output-dir out {sets} {flags}"));
    let evaluations = evaluations(&workspace, "out");
    for evaluation in &evaluations {
        assert_eq!(evaluation["eval_map"], evaluation["eval_other_map"]);
        assert!(evaluation["eval_spearman_cosine"].is_number());
    }
    let metric = |evaluation: &Value| evaluation["eval_spearman_cosine"].as_f64().unwrap();
    let highest = evaluations[1..].iter().map(metric).fold(f64::NEG_INFINITY, f64::max);
    let first = evaluations[1..].iter().find(|evaluation| metric(evaluation) == highest).unwrap();
    let state = fs::read_to_string(workspace.path("out/checkpoint-4/trainer_state.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!((&state["best_metric"], &state["best_global_step"]), (&highest.into(), &first["step"]));

    // The names and files of the sets are in the record, so a resumed run needs none of them.
    train(&workspace, "--resume-from-checkpoint auto --output-dir out --max-steps 5");
    assert_eq!(self::evaluations(&workspace, "out").len(), 6);
    let record = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
    assert!(record.contains("name = \"other\""), "{record}");
}

#[test]
fn names_of_sets_and_figures_are_checked() {
    let workspace = workspace();
    workspace.put("dev.jsonl", RERANK);
    let error = |status, rest: &str| {
        let output = workspace.command(&format!("train in.txt --model model --batch-size 8 {rest}")).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let twice = error(2, "--eval-rerank dev.jsonl --eval-rerank dev.jsonl");
    assert!(twice.contains("another set has no name, too: write --eval-rerank NAME=dev.jsonl"), "{twice}");
    let unknown = error(1, "--output-dir out --eval-rerank dev.jsonl --choose-best-by spearman");
    let expected = "choose-best-by: expected one of map, mrr@10, ndcg@10, p@1, p@5, found spearman";
    assert!(unknown.contains(expected), "{unknown}");
    let alone = error(1, "--early-stopping-patience 2 --eval-steps 1 --eval-rerank dev.jsonl");
    assert!(alone.contains("--early-stopping-patience: expected --eval-steps and --load-best-model-at-end"), "{alone}");
}

#[test]
fn a_run_stops_early_and_resumes_to_the_same_end() {
    let workspace = workspace();
    workspace.put("dev.jsonl", RERANK);
    // No figure can rise by more than 1, so only the first evaluation is an improvement.
    let patience = "--early-stopping-patience 2 --early-stopping-threshold 1";
    let flags = format!("--eval-rerank dev.jsonl --eval-steps 1 --load-best-model-at-end --max-steps 9 {patience}");
    let stdout = train(&workspace, &format!("in.txt --model model --output-dir out {flags} --json"));
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["steps"], &report["stopped_early"]), (&3.into(), &true.into()));
    let weights = || fs::read(workspace.path("out/model.safetensors")).unwrap();
    let before = weights();

    let stdout = train(&workspace, "--resume-from-checkpoint auto --output-dir out --json");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["steps"], &report["stopped_early"]), (&3.into(), &true.into()));
    assert!(weights() == before, "a resumed run that was over has another model");
}

#[test]
fn held_out_sentences_are_scored_and_not_trained_on() {
    let workspace = workspace();
    let flags = "--model model --hold-out 8 --eval-steps 2 --save-steps 2";
    let stdout = train(&workspace, &format!("in.txt --output-dir out {flags} --max-steps 4 --json"));
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert!(report["after"]["eval_unlabeled_corruption_mrr"].as_f64().unwrap() > 0.0);
    let record = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
    assert!(record.contains("hold_out = 8") && record.contains("examples = 32"), "{record}");

    // The lower the alignment, the better.
    let choice = "--load-best-model-at-end --choose-best-by unlabeled_alignment";
    train(&workspace, &format!("in.txt --output-dir chosen {flags} --max-steps 4 {choice}"));
    let alignment = |line: &Value| line["eval_unlabeled_alignment"].as_f64().unwrap();
    let lowest = evaluations(&workspace, "chosen")[1..].iter().map(alignment).fold(f64::INFINITY, f64::min);
    let state = fs::read_to_string(workspace.path("chosen/checkpoint-4/trainer_state.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&state).unwrap()["best_metric"], -lowest);

    fs::remove_dir_all(workspace.path("out/checkpoint-4")).unwrap();
    train(&workspace, &format!("in.txt --output-dir out2 {flags} --max-steps 4"));
    train(&workspace, "--resume-from-checkpoint auto --output-dir out");
    assert_eq!(evaluations(&workspace, "out"), evaluations(&workspace, "out2"));

    let error = workspace.error("train in.txt --model model --hold-out 39", 1);
    assert!(error.ends_with("in.txt: expected at least 41 different sentences, found 40"), "{error}");
}

/// The sets have only words that the tokenizer does not know, so that all texts have the same
/// embedding.
#[test]
fn an_undefined_figure_is_null_and_the_run_goes_on() {
    let workspace = workspace();
    workspace.put("sts.tsv", "1\tzz\tyy\n4\txx\tww\n2\tvv\tuu\n");
    let arguments = "train --batch-size 8 --max-seq-length 12 --learning-rate 1e-3 in.txt --model model \
                     --output-dir out --eval-sts sts.tsv --eval-steps 2 --load-best-model-at-end --json";
    let output = workspace.command(arguments).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let warning =
        "warning: step 0: similarities are all equal (1.0000): the embeddings have collapsed; the run goes on";
    assert_eq!(stderr.matches(warning).count(), 1, "{stderr}");
    assert_eq!(stderr.matches("have collapsed").count(), 1, "{stderr}");
    assert!(stderr.contains("step 2: spearman_cosine undefined, pearson_cosine undefined"), "{stderr}");
    let metrics = lines(&workspace, "out/metrics.jsonl");
    let evaluations: Vec<_> = metrics.iter().filter(|line| line.get("eval_spearman_cosine").is_some()).collect();
    assert_eq!(evaluations.len(), 4, "steps 0, 2, 4 and 5");
    assert!(evaluations.iter().all(|line| line["eval_spearman_cosine"].is_null()));
    let report: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    assert_eq!((&report["best_step"], &report["steps"]), (&2.into(), &5.into()));
    let state = fs::read_to_string(workspace.path("out/checkpoint-5/trainer_state.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["best_metric"], -1.0, "the lowest possible correlation");
}

#[test]
fn embeddings_that_are_not_finite_end_the_run_after_a_checkpoint() {
    let workspace = workspace();
    let mut broken = encoder();
    let layout = broken.params.layout().clone();
    let norm = layout.parameters().iter().find(|tensor| tensor.name == "encoder.layer.1.output.LayerNorm.weight");
    broken.params.values_mut()[norm.unwrap().range()].fill(3e38);
    broken.save(&workspace.path("broken")).unwrap();
    workspace.put("sts.tsv", "1\tslow\tboot\n4\twifi\tsound\n");
    let arguments =
        "train --batch-size 8 --max-seq-length 12 in.txt --model broken --output-dir out --eval-sts sts.tsv";
    let output = workspace.command(arguments).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: cannot evaluate: the model's embeddings are not finite: found "), "{stderr}");
    assert!(workspace.path("out/checkpoint-0/manifest.json").exists(), "{stderr}");
}

#[test]
fn columns_and_split_of_a_development_set_are_recorded() {
    let workspace = workspace();
    let rows = "split,x,y,gold\ndev,slow boot,boot,4\ndev,wifi,sound,1\ndev,how to,to how,5\ndev,slow,the,2\n\
                test,the,how,2\n";
    workspace.put("sts.csv", rows);
    let settings = "--model model --output-dir out --eval-sts sts.csv --columns gold,x,y --split dev --max-steps 2";
    train(&workspace, &format!("in.txt {settings}"));
    let log = lines(&workspace, "out/metrics.jsonl");
    let first = log.iter().find(|line| line["eval_spearman_cosine"] != Value::Null).unwrap();
    assert!(first["eval_spearman_cosine"].is_number(), "{first}");
    assert!(first["eval_spearman_cosine_interval"].is_array(), "{first}");
    let run = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
    for line in ["columns = \"gold,x,y\"\n", "split = \"dev\"\n"] {
        assert!(run.contains(line), "{line} in {run}");
    }
    workspace.stdout("train --resume-from-checkpoint auto --output-dir out --max-steps 3");
}
