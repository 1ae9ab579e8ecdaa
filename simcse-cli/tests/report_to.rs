//! `--report-to`: TensorBoard's files and `metrics.csv` have what `metrics.jsonl` has, after a
//! resume, too.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;
#[path = "common/events.rs"]
mod events;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "common/runs.rs"]
mod runs;

use std::collections::BTreeMap;
use std::fs;

use common::{Workspace, text};
use events::{Value, event_files, values};
use runs::{lines, train, workspace};

const RUN: &str = "in.txt --model model --output-dir out --eval-rerank dev.jsonl --eval-steps 2 --logging-steps 2 \
                   --save-steps 2 --max-steps 6";
const RESUME: &str = "train --resume-from-checkpoint auto --output-dir out";

fn with_set() -> Workspace {
    let workspace = workspace();
    workspace.put(
        "dev.jsonl",
        "{\"query\": \"slow wifi\", \"positive\": [\"wifi boot\"], \"negative\": [\"how to\"]}\n\
         {\"query\": \"boot\", \"positive\": [\"the boot\"], \"negative\": [\"sound\"]}\n",
    );
    workspace
}

/// The values of the log by the names that the Hugging Face Trainer gives them, in order.
fn logged(workspace: &Workspace) -> BTreeMap<String, Vec<(i64, f32)>> {
    let mut scalars: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in lines(workspace, "out/metrics.jsonl") {
        let step = line["step"].as_i64().unwrap();
        let mut add = |name: String, value: &serde_json::Value| {
            let tag = match name.split_once('_') {
                Some((group @ ("eval" | "test" | "probe"), rest)) => format!("{group}/{rest}"),
                _ => format!("train/{name}"),
            };
            if let Some(value) = value.as_f64() {
                scalars.entry(tag).or_default().push((step, value as f32));
            }
        };
        for (name, value) in line.as_object().unwrap() {
            match value.as_array() {
                Some(ends) => {
                    add(format!("{name}_low"), &ends[0]);
                    add(format!("{name}_high"), &ends[1]);
                }
                None if name == "step" || (name == "epoch" && line.get("loss").is_none()) => {}
                None => add(name.clone(), value),
            }
        }
    }
    scalars
}

/// Checks that every event file is whole, and that together they have what the log has, once.
#[track_caller]
fn check_events(workspace: &Workspace) {
    let mut scalars: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut warnings = Vec::new();
    for value in values(&workspace.path("out")) {
        match value {
            (step, tag, Value::Scalar(value)) => scalars.entry(tag).or_default().push((step, value)),
            (step, tag, Value::Text(text)) if tag == "warnings/text_summary" => warnings.push((step, text)),
            (_, tag, Value::Text(text)) => {
                assert_eq!(tag, "args/text_summary");
                assert!(text.contains("    [settings]\n") && text.contains("    batch_size = 8\n"), "{text}");
            }
        }
    }
    assert_eq!(scalars, logged(workspace));
    let given = lines(workspace, "out/metrics.jsonl").into_iter().filter(|line| line.get("warning").is_some());
    let given: Vec<_> = given
        .map(|line| {
            let part = |name: &str| line[name].as_str().unwrap().to_owned();
            (line["step"].as_i64().unwrap(), format!("**{}**: {}", part("warning"), part("text")))
        })
        .collect();
    assert!(!given.is_empty());
    assert_eq!(warnings, given);
}

/// Checks that `metrics.csv` has a row for each line of the log, with its values.
#[track_caller]
fn check_table(workspace: &Workspace) {
    let text = fs::read_to_string(workspace.path("out/metrics.csv")).unwrap();
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let headings = table.headers().unwrap().clone();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    let log = lines(workspace, "out/metrics.jsonl");
    assert_eq!(rows.len(), log.len());
    for (row, line) in rows.iter().zip(&log) {
        let mut cells: BTreeMap<_, _> = headings.iter().zip(row).filter(|(_, cell)| !cell.is_empty()).collect();
        for (name, value) in line.as_object().unwrap() {
            match value {
                serde_json::Value::Array(ends) => {
                    for (end, value) in ["low", "high"].iter().zip(ends) {
                        let cell = cells.remove(&*format!("{name}_{end}"));
                        assert_eq!(cell.map(str::to_owned), Some(value.to_string()), "{name}");
                    }
                }
                serde_json::Value::String(text) => assert_eq!(cells.remove(&**name), Some(&**text)),
                value => assert_eq!(cells.remove(&**name).map(str::to_owned), Some(value.to_string()), "{name}"),
            }
        }
        assert!(cells.is_empty(), "{cells:?}");
    }
}

#[test]
fn reports_have_what_the_log_has() {
    let workspace = with_set();
    train(&workspace, &format!("{RUN} --report-to tensorboard,csv"));
    check_events(&workspace);
    check_table(&workspace);
    let names = event_files(&workspace.path("out"));
    assert_eq!(names.len(), 1, "{names:?}");
    let record = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
    assert!(
        record.contains("report_to = [\"tensorboard\", \"csv\"]") && record.contains("total_steps = 6"),
        "{record}"
    );
}

#[test]
fn pretraining_reports_too() {
    let workspace = workspace();
    workspace.stdout(
        "pretrain in.txt --size tiny --vocab-size 300 --batch-size 8 --max-steps 3 --hold-out 8 --eval-steps 2 \
         --report-to all --output-dir out",
    );
    check_events(&workspace);
    check_table(&workspace);
    let names: Vec<_> = values(&workspace.path("out")).into_iter().map(|(_, tag, _)| tag).collect();
    for name in ["train/mlm_loss", "eval/mlm_accuracy", "eval/unlabeled_alignment"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
}

#[test]
fn a_resumed_run_goes_on_reporting_and_no_step_is_doubled() {
    let workspace = with_set();
    train(&workspace, &format!("{RUN} --report-to all"));
    for checkpoint in ["checkpoint-6", "checkpoint-4"] {
        fs::remove_dir_all(workspace.path("out").join(checkpoint)).unwrap();
    }
    workspace.stdout(RESUME);
    assert_eq!(event_files(&workspace.path("out")).len(), 2);
    check_events(&workspace);
    check_table(&workspace);
    let starts: Vec<_> = events::starts(&workspace.path("out"));
    assert_eq!(starts, [3], "what comes after the checkpoint is purged");
}

/// A killed process leaves half an event, and half a line.
#[test]
fn what_was_torn_is_cut_off_and_a_report_may_be_asked_for_or_left_out_later() {
    let workspace = with_set();
    train(&workspace, &format!("{RUN} --report-to tensorboard"));
    fs::remove_dir_all(workspace.path("out/checkpoint-6")).unwrap();
    let first = event_files(&workspace.path("out")).remove(0);
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[..whole.len() / 2 - 7]).unwrap();
    workspace.stdout(&format!("{RESUME} --report-to all"));
    check_events(&workspace);
    check_table(&workspace);

    let rows = fs::read_to_string(workspace.path("out/metrics.csv")).unwrap();
    workspace.stdout(&format!("{RESUME} --max-steps 8 --report-to none"));
    assert_eq!(fs::read_to_string(workspace.path("out/metrics.csv")).unwrap(), rows);
    assert_eq!(event_files(&workspace.path("out")).len(), 2);
    workspace.stdout(&format!("{RESUME} --max-steps 9 --report-to tensorboard,csv"));
    check_events(&workspace);
    check_table(&workspace);
}

#[test]
fn a_run_that_starts_again_does_not_mix_with_what_was_there() {
    let workspace = with_set();
    train(&workspace, &format!("{RUN} --report-to all"));
    // As if it had been killed before its first checkpoint.
    for entry in fs::read_dir(workspace.path("out")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !["run.toml", "metrics.jsonl", "metrics.csv", ".lock"].contains(&name) && !name.contains("tfevents") {
            if path.is_dir() { fs::remove_dir_all(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
        }
    }
    train(&workspace, &format!("{RUN} --report-to all"));
    check_events(&workspace);
    check_table(&workspace);
    assert_eq!(event_files(&workspace.path("out")).len(), 1);
    let names = fs::read_dir(workspace.path("out")).unwrap().map(|entry| entry.unwrap().file_name());
    let old: Vec<_> = names.filter(|name| name.to_str().is_some_and(|name| name.ends_with(".old"))).collect();
    assert_eq!(old.len(), 3, "{old:?}");
}

#[test]
fn a_report_that_cannot_be_written_is_given_up_and_unknown_ones_are_refused() {
    let workspace = with_set();
    let expected = "expected tensorboard, csv, all or none, separated by commas";
    for names in ["wandb", "tensorboard,mlflow", ""] {
        let output = workspace.command("train in.txt --model model --report-to").arg(names).output().unwrap();
        let stderr = text(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(expected), "{names}: {stderr}");
        assert!(!names.contains("wandb") || stderr.contains("wandb sync"), "{stderr}");
    }

    train(&workspace, &format!("{RUN} --report-to csv"));
    fs::remove_dir_all(workspace.path("out/checkpoint-6")).unwrap();
    fs::remove_file(workspace.path("out/metrics.csv")).unwrap();
    fs::create_dir_all(workspace.path("out/metrics.csv/below")).unwrap();
    let output = workspace.command(RESUME).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(stderr.matches("warning: --report-to: ").count(), 1, "{stderr}");
    assert!(stderr.contains("metrics.csv") && stderr.contains("the run goes on without it"), "{stderr}");
}
