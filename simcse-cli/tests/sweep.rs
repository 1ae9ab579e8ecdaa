//! Sweeps: their plan, their table, and that they go on after whatever ends them.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "common/runs.rs"]
mod runs;

use std::fs;
#[cfg(target_os = "linux")]
use std::{process::Command, thread::sleep, time::Duration};

use common::{Workspace, text};
use serde_json::Value;

const FILE: &str = "\
[settings]
sentences = \"in.txt\"
model = \"model\"
max_seq_length = 12
learning_rate = 1e-3
max_steps = 6
save_steps = 2
eval_rerank = \"dev.jsonl\"

[vary]
batch_size = [4, 8]
seed = [1, 2]

[published]
figure = \"eval_map\"
source = \"someone\"
values = [{ batch_size = 8, value = 0.5 }]
";

const NAMES: [&str; 4] = ["batch_size-4_seed-1", "batch_size-4_seed-2", "batch_size-8_seed-1", "batch_size-8_seed-2"];

fn workspace() -> Workspace {
    let workspace = runs::workspace_with_dev();
    workspace.put("s.toml", FILE);
    workspace
}

/// The process that this one has started.
#[cfg(target_os = "linux")]
fn child_of(parent: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parent_of = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name, in parentheses, may have spaces.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    processes.into_iter().find(|id| parent_of(id) == Some(parent))
}

fn weights(workspace: &Workspace, run: &str) -> Vec<u8> {
    fs::read(workspace.path(run).join("model.safetensors")).unwrap()
}

#[test]
fn a_sweep_runs_all_combinations_and_makes_a_table() {
    let workspace = workspace();
    let before = workspace.names();
    let plan = workspace.command("sweep s.toml --plan").output().unwrap();
    let plan = text(&plan.stderr);
    assert!(
        NAMES.iter().all(|name| plan.lines().any(|line| line.starts_with(name) && line.contains("  6  "))),
        "{plan}"
    );
    assert!(plan.contains("4 runs, about "), "{plan}");
    assert_eq!(workspace.names(), before);

    let table = workspace.stdout("sweep s.toml --output-dir sw");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], "| batch_size | runs | eval_map before | eval_map | eval_map (someone) |");
    assert!(lines[2].starts_with("| 4 | 2 | ") && lines[2].ends_with(" | – |"), "{table}");
    assert!(lines[3].starts_with("| 8 | 2 | ") && lines[3].ends_with(" | 0.5000 |"), "{table}");
    assert_eq!(fs::read_to_string(workspace.path("sw/table.md")).unwrap(), table);
    assert!(
        fs::read_to_string(workspace.path("sw/table.csv")).unwrap().starts_with("batch_size,runs,eval_map before,")
    );
    assert!(fs::read_to_string(workspace.path("sw/table.svg")).unwrap().starts_with("<svg"));

    // Each run is the one that its flags describe, whatever the environment says.
    let flags = "train in.txt --model model --max-seq-length 12 --learning-rate 1e-3 --max-steps 6 --save-steps 2 \
                 --eval-rerank dev.jsonl --batch-size 8 --seed 2 --output-dir alone";
    workspace.stdout(flags);
    assert!(weights(&workspace, "alone") == weights(&workspace, "sw/batch_size-8_seed-2"));
    assert!(weights(&workspace, "alone") != weights(&workspace, "sw/batch_size-8_seed-1"));

    // A second time there is nothing to do.
    let written = |name: &str| fs::metadata(workspace.path(name)).unwrap().modified().unwrap();
    let time = written("sw/batch_size-4_seed-1/model.safetensors");
    let object: Value = serde_json::from_str(&workspace.stdout("sweep s.toml --output-dir sw --json")).unwrap();
    assert_eq!(object["rows"][0]["eval_map"]["values"].as_array().unwrap().len(), 2, "{object}");
    assert_eq!(written("sw/batch_size-4_seed-1/model.safetensors"), time);
}

#[test]
fn variables_of_the_environment_do_not_change_a_sweep() {
    let workspace = workspace();
    workspace.put("s.toml", FILE.replace("[1, 2]", "[1]").replace("[4, 8]", "[4]"));
    workspace.stdout("sweep s.toml --output-dir a");
    let mut command = workspace.command("sweep s.toml --output-dir b");
    let output = command.env("SIMCSE_SEED", "7").env("SIMCSE_EPOCHS", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(weights(&workspace, "a/batch_size-4_seed-1") == weights(&workspace, "b/batch_size-4_seed-1"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_sweep_that_was_killed_or_stopped_goes_on() {
    let workspace = workspace();
    let file = FILE.replace("max_steps = 6", "max_steps = 400").replace("save_steps = 2", "save_steps = 100");
    workspace.put("s.toml", file.replace("[1, 2]", "[1]"));
    workspace.stdout("sweep s.toml --output-dir whole");
    let log = || fs::read_to_string(workspace.path("sw/batch_size-4_seed-1/metrics.jsonl")).unwrap_or_default();
    for signal in ["KILL", "TERM"] {
        let steps = log().lines().count();
        let mut sweep = workspace.command("sweep s.toml --output-dir sw").spawn().unwrap();
        while log().lines().count() < steps + 20 {
            assert!(sweep.try_wait().unwrap().is_none(), "the first run has ended before the {signal}");
            sleep(Duration::from_millis(5));
        }
        // A run would go on if only the sweep were killed.
        let run = child_of(sweep.id()).expect("a run has written lines");
        let killed: &[u32] = if signal == "KILL" { &[run, sweep.id()] } else { &[sweep.id()] };
        for id in killed {
            let status = Command::new("kill").args([format!("-{signal}"), id.to_string()]).status();
            assert!(status.unwrap().success(), "{signal}");
        }
        let status = sweep.wait().unwrap();
        assert_eq!(status.code(), if signal == "TERM" { Some(130) } else { None });
    }
    // After the stop, no step is lost.
    let saved = fs::read_dir(workspace.path("sw/batch_size-4_seed-1")).unwrap();
    assert!(
        saved.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("checkpoint-")).count()
            > 0
    );
    let table = workspace.stdout("sweep s.toml --output-dir sw");
    assert_eq!(table, fs::read_to_string(workspace.path("whole/table.md")).unwrap());
    for run in ["batch_size-4_seed-1", "batch_size-8_seed-1"] {
        assert!(weights(&workspace, &format!("sw/{run}")) == weights(&workspace, &format!("whole/{run}")));
    }
}

#[test]
fn a_run_that_fails_does_not_end_the_sweep() {
    let workspace = workspace();
    workspace.put("s.toml", FILE.replace("[1, 2]", "[1]"));
    // Where the first run would write, there is a file.
    fs::create_dir(workspace.path("sw")).unwrap();
    workspace.put("sw/batch_size-4_seed-1", "");
    let output = workspace.command("sweep s.toml --output-dir sw").output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("warning: batch_size-4_seed-1: "), "{stderr}");
    assert!(stderr.ends_with("error: 1 run failed (batch_size-4_seed-1); the same command tries again\n"), "{stderr}");
    assert!(text(&output.stdout).contains("| 4 | 0 of 1 | – | – | – |"), "{}", text(&output.stdout));
    fs::remove_file(workspace.path("sw/batch_size-4_seed-1")).unwrap();
    workspace.stdout("sweep s.toml --output-dir sw");
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_starts() {
    let workspace = workspace();
    workspace.put("s.toml", FILE.replace("[1, 2]", "[1]"));
    workspace.stdout("sweep s.toml --output-dir sw");
    let refused = |file: &str, expected: &str| {
        workspace.put("s.toml", file);
        let output = workspace.command("sweep s.toml --output-dir sw").output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    refused(
        &FILE.replace("1e-3", "1e-4"),
        "error: sw/batch_size-4_seed-1.toml: learning_rate: this run was started with",
    );
    refused(&FILE.replace("[vary]", "[vry]"), "error: s.toml: unknown field `vry`");
    refused(&FILE.replace("learning_rate = 1e-3", "learning_rat = 1e-3"), "learning_rat");
    workspace.put("s.toml", FILE.replace("\"model\"", "\"no-such-model\""));
    let output = workspace.command("sweep s.toml --output-dir other").output().unwrap();
    assert!(text(&output.stderr).contains("error: batch_size-4_seed-1 cannot be run"), "{}", text(&output.stderr));
    assert!(!workspace.path("other").exists());
    let printed = workspace.stdout("sweep askubuntu-poolings --print");
    assert!(printed.contains("pooling = [\"mean\", \"cls\", \"max\"]"), "{printed}");
}
