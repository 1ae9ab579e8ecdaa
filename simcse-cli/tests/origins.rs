//! Arguments from the command line, the environment and a file; what a run would do.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "common/runs.rs"]
mod runs;

use std::fs;

use common::{Workspace, text};
use serde_json::Value;

const FILE: &str = "\
sentences = [\"in.txt\"]
model = \"model\"
batch-size = 4
max_seq_length = 12
learning_rate = 1e-3
max_steps = 3
load_best_model_at_end = true
eval_rerank = [\"dev.jsonl\", \"again=dev.jsonl\"]
";

fn workspace() -> Workspace {
    let workspace = runs::workspace_with_dev();
    workspace.put("c.toml", FILE);
    workspace
}

/// What the run would do.
#[track_caller]
fn planned(workspace: &Workspace, arguments: &str, variables: &[(&str, &str)]) -> Value {
    let mut command = workspace.command(&format!("train --dry-run --json {arguments}"));
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The value of a setting, and where it comes from.
#[track_caller]
fn setting(plan: &Value, name: &str) -> (String, String) {
    let setting = &plan["settings"][name];
    let text = |part: &str| setting[part].as_str().unwrap_or_else(|| panic!("{name} in {plan}")).to_owned();
    (text("value"), text("from"))
}

#[test]
fn flags_precede_variables_which_precede_the_file_which_precedes_the_recipe() {
    let workspace = workspace();
    let of = |arguments: &str, variables: &[(&str, &str)], name: &str| {
        setting(&planned(&workspace, &format!("--config c.toml {arguments}"), variables), name)
    };
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    let rate = ("SIMCSE_LEARNING_RATE", "1e-4");
    assert_eq!(of("", &[], "learning_rate"), pair("0.001", "c.toml"));
    assert_eq!(of("--recipe st-2021", &[], "learning_rate"), pair("0.001", "c.toml"));
    assert_eq!(of("--recipe st-2021", &[], "weight_decay"), pair("0.01", "--recipe"));
    assert_eq!(of("", &[rate], "learning_rate"), pair("0.0001", "SIMCSE_LEARNING_RATE"));
    assert_eq!(of("--learning-rate 2e-5", &[rate], "learning_rate"), pair("0.00002", "--learning-rate"));
    assert_eq!(of("", &[("SIMCSE_LEARNING_RATE", "")], "learning_rate"), pair("0.001", "c.toml"));
    assert_eq!(of("", &[], "seed"), pair("42", "default"));
    assert_eq!(of("", &[], "load_best_model_at_end"), pair("true", "c.toml"));
    assert_eq!(of("--load-best-model-at-end=false", &[], "load_best_model_at_end").0, "false");
    assert_eq!(of("", &[("SIMCSE_LOAD_BEST_MODEL_AT_END", "false")], "load_best_model_at_end").0, "false");
}

#[test]
fn what_a_flag_excludes_is_not_taken_from_elsewhere() {
    let workspace = workspace();
    let steps = |arguments: &str, variables: &[(&str, &str)]| {
        let plan = planned(&workspace, &format!("--config c.toml {arguments}"), variables);
        plan["steps"].as_u64().unwrap()
    };
    // 64 sentences in batches of 4; the file says 3 steps.
    assert_eq!((steps("", &[]), steps("--epochs 2", &[])), (3, 32));
    assert_eq!((steps("", &[("SIMCSE_EPOCHS", "2")]), steps("--max-steps 5", &[("SIMCSE_EPOCHS", "2")])), (32, 5));
}

#[test]
fn a_file_does_what_the_same_flags_do() {
    let workspace = workspace();
    workspace.stdout("train --config c.toml --output-dir a");
    let flags = "train in.txt --model model --batch-size 4 --max-seq-length 12 --learning-rate 1e-3 --max-steps 3 \
                 --load-best-model-at-end --eval-rerank dev.jsonl --eval-rerank again=dev.jsonl --output-dir b";
    workspace.stdout(flags);
    let weights = |output: &str| fs::read(workspace.path(output).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"));
    // The same file resumes it.
    workspace.stdout("train --config c.toml --output-dir a --resume-from-checkpoint auto --max-steps 4");
    assert!(workspace.path("a/checkpoint-4").exists());
}

#[test]
fn errors_say_where_the_argument_comes_from() {
    let workspace = workspace();
    for (file, expected, status) in [
        (
            "learning_rat = 1",
            "error: d.toml: expected the names of flags of `simcse train`, found learning_rat (is it learning_rate?)",
            1,
        ),
        ("epochs = 0", "error: d.toml: invalid value '0' for '--epochs <N>': expected 1 or more", 2),
        ("epochs = 1\n= 2", "error: d.toml: line 2: ", 1),
        (
            "[epochs]\nn = 1",
            "error: d.toml: epochs: expected a text, a number, true or false, or a list of them, found table",
            1,
        ),
        ("json = 3", "error: d.toml: json: expected true or false", 2),
        ("help = true", "error: d.toml: expected the names of flags of `simcse train`, found help", 1),
        ("batch-size = 4\nbatch_size = 4", "error: d.toml: batch_size is there twice", 1),
    ] {
        workspace.put("d.toml", file);
        let error = workspace.error("train --config d.toml", status);
        assert!(error.starts_with(expected), "{error}");
    }
    let missing = workspace.error("train --config none.toml", 1);
    assert!(missing.starts_with("error: none.toml: "), "{missing}");
    let output = workspace.command("train --config c.toml").env("SIMCSE_SEED", "x").output().unwrap();
    let expected = "error: SIMCSE_SEED: invalid value 'x' for '--seed <N>': expected a whole number, 0 or more\n";
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(2), expected));
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_would_be_written() {
    let workspace = workspace();
    let before = workspace.names();
    let plan = planned(&workspace, "--config c.toml --save-steps 2 --output-dir out", &[]);
    assert_eq!((plan["steps"].as_u64(), plan["checkpoints"].as_u64()), (Some(3), Some(2)));
    assert!(plan["seconds"].as_f64().unwrap() >= 3.0 * plan["step_seconds"].as_f64().unwrap(), "{plan}");
    let shown = workspace.stdout("train --config c.toml --dry-run --save-steps 2 --output-dir out");
    for part in
        ["learning_rate", "0.001", "c.toml", "steps   3 of 4 sentences", "writes  out: the model (", "2 checkpoints"]
    {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(workspace.names(), before);

    // What is planned is what happens.
    workspace.stdout("train --config c.toml --save-steps 2 --output-dir out");
    let written = ["out/checkpoint-2", "out/checkpoint-3", "out/model.safetensors", "out/report.html"];
    assert!(written.iter().all(|name| workspace.path(name).exists()));
    let size = |name: &str| -> u64 {
        let entries = fs::read_dir(workspace.path(name)).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        entries.filter(fs::Metadata::is_file).map(|file| file.len()).sum()
    };
    let found = size("out/checkpoint-2") + size("out/checkpoint-3") + size("out");
    let planned = plan["disk_bytes"].as_u64().unwrap();
    assert!(planned / 3 < found && found < 2 * planned, "{found} bytes, {planned} planned");
}

#[test]
fn quiet_leaves_warnings_and_verbose_adds_every_step() {
    let workspace = workspace();
    let stderr = |arguments: &str| {
        let output = workspace.command(&format!("train --config c.toml {arguments}")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let quiet = stderr("--quiet --output-dir quiet");
    assert!(!quiet.is_empty() && quiet.lines().all(|line| line.starts_with("warning: ")), "{quiet}");
    let normal = stderr("--max-steps 20 --output-dir normal");
    let verbose = stderr("-v --max-steps 20 --output-dir verbose");
    let steps = |text: &str| text.lines().filter(|line| line.contains("/20: loss ")).count();
    assert_eq!((steps(&normal), steps(&verbose)), (11, 20), "{normal}");
    assert!(verbose.contains("c.toml") && !normal.contains("c.toml"), "{verbose}");
    // Nothing is colored where nothing reads colors.
    assert!(!verbose.contains('\u{1b}') && !quiet.contains('\u{1b}'));
}
