//! `simcse runs`, and `simcse report` for several runs: what is listed and compared.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "common/runs.rs"]
mod runs;

use std::fs;

use common::{Workspace, text};
use runs::{lines, train, workspace};
use serde_json::Value;

const DEV: &str = "{\"query\": \"slow wifi\", \"positive\": [\"wifi boot\"], \"negative\": [\"how to\", \"the sound\"]}\n\
                   {\"query\": \"boot\", \"positive\": [\"the boot\"], \"negative\": [\"sound\", \"how\"]}\n";
const RUN: &str = "in.txt --model model --eval-rerank dev.jsonl --eval-steps 2 --logging-steps 2 --save-steps 2";

/// Three runs below `output`: `a`, `deep/b` with another learning rate, and `c`, which was stopped.
fn with_runs() -> Workspace {
    let workspace = workspace();
    workspace.put("dev.jsonl", DEV);
    train(&workspace, &format!("{RUN} --max-steps 4 --output-dir output/a"));
    let faster = "--batch-size 8 --max-seq-length 12 --learning-rate 0.01";
    workspace.stdout(&format!("train {faster} {RUN} --max-steps 4 --output-dir output/deep/b"));
    train(&workspace, &format!("{RUN} --epochs 3 --seed 7 --output-dir output/c"));
    let log = fs::read_to_string(workspace.path("output/c/metrics.jsonl")).unwrap();
    let first: Vec<_> = log.lines().take_while(|line| !line.starts_with("{\"step\":4,")).collect();
    workspace.put("output/c/metrics.jsonl", first.join("\n") + "\n");
    fs::remove_file(workspace.path("output/c/model.safetensors")).unwrap();
    workspace
}

fn listed(workspace: &Workspace, arguments: &str) -> Value {
    serde_json::from_str(&workspace.stdout(&format!("runs --json {arguments}"))).unwrap()
}

fn names(listed: &Value) -> Vec<&str> {
    listed["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect()
}

#[test]
fn runs_are_listed_with_what_differs_and_with_their_figures() {
    let workspace = with_runs();
    let table = workspace.stdout("runs output");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    for name in ["learning_rate", "max_steps", "epochs", "seed", "best map", "95% interval", "last map", "loss", "time"]
    {
        assert_eq!(table.matches(name).count(), 1, "{name}: {table}");
    }
    // Settings and figures: together, they are too wide.
    assert_eq!(table.split("\n\n").count(), 2, "{table}");
    assert!(!table.contains("batch_size") && !table.contains("checkpoint"), "{table}");
    for cell in ["4/4", "3/15", "0.001", "0.01", "deep/b"] {
        assert!(table.contains(cell), "{cell}: {table}");
    }

    let found = listed(&workspace, "output");
    assert_eq!(names(&found), ["a", "c", "deep/b"]);
    let differing: Vec<_> = found["differing_settings"].as_array().unwrap().iter().collect();
    assert_eq!(differing, ["epochs", "max_steps", "learning_rate", "seed"]);
    let [a, c, _] = [0, 1, 2].map(|index| &found["runs"][index]);
    assert_eq!((&a["finished"], &c["finished"]), (&true.into(), &false.into()));
    assert_eq!((&c["steps"], &c["total_steps"]), (&3.into(), &15.into()));
    let log = lines(&workspace, "output/a/metrics.jsonl");
    let scored: Vec<_> = log.iter().filter(|line| line.get("eval_map").is_some()).collect();
    let figure = &a["development"]["map"];
    assert_eq!(a["main_figure"], "map");
    for (name, line) in [("before", scored[0]), ("last", scored[2])] {
        assert_eq!(
            (&figure[name]["value"], &figure[name]["interval"], &figure[name]["step"]),
            (&line["eval_map"], &line["eval_map_interval"], &line["step"])
        );
    }
    let best = scored[1..].iter().map(|line| line["eval_map"].as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!(figure["best"]["value"], best);
    assert_eq!(a["settings"]["batch_size"], "8");
}

/// Without labels, the first figure is alignment, which is best in embeddings that have collapsed.
#[test]
fn the_main_figure_is_the_one_that_tells_most() {
    let workspace = workspace();
    workspace.put("dev.jsonl", DEV);
    let main = |arguments: &str| {
        let _ = fs::remove_dir_all(workspace.path("out"));
        train(&workspace, &format!("in.txt --model model --max-steps 2 --eval-steps 1 --output-dir out {arguments}"));
        listed(&workspace, "out")["runs"][0].clone()
    };
    assert_eq!(main("--hold-out 8")["main_figure"], "unlabeled_corruption_mrr");
    assert_eq!(main("--hold-out 8 --eval-rerank dev.jsonl")["main_figure"], "map");
    let best = main("--eval-rerank dev.jsonl --choose-best-by p@5 --load-best-model-at-end");
    assert_eq!(best["main_figure"], "p@5");
    let of = |name: &str, which: &str| best["development"][name][which]["step"].clone();
    assert_eq!((of("p@5", "final"), of("map", "final")), (of("p@5", "best"), of("p@5", "best")));
}

#[test]
fn runs_are_sorted_by_a_setting_or_a_figure() {
    let workspace = with_runs();
    let sorted = |by: &str| {
        let found = listed(&workspace, &format!("output --sort-by {by}"));
        names(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(sorted("learning_rate"), ["a", "c", "deep/b"]);
    assert_eq!(sorted("learning-rate --descending")[0], "deep/b");
    assert_eq!(sorted("steps")[0], "c");
    assert_eq!(sorted("max_steps")[2], "c", "without a value, it comes last");
    assert_eq!(sorted("max_steps --descending")[2], "c");
    let found = listed(&workspace, "output --sort-by map");
    let values: Vec<_> = (0..3).map(|index| &found["runs"][index]["development"]["map"]["best"]["value"]).collect();
    assert!(values.windows(2).all(|pair| pair[0].as_f64() >= pair[1].as_f64()), "{values:?}");
    let found = listed(&workspace, "output --sort-by loss");
    let values: Vec<_> = (0..3).map(|index| found["runs"][index]["loss"].as_f64().unwrap()).collect();
    assert!(values.is_sorted(), "{values:?}");
    let error = workspace.error("runs output --sort-by accuracy", 2);
    assert!(error.contains("--sort-by: expected one of name, steps, loss, time, map, "), "{error}");
}

#[test]
fn what_is_no_run_is_noted_and_the_others_are_listed() {
    let workspace = with_runs();
    fs::create_dir_all(workspace.path("output/half")).unwrap();
    fs::copy(workspace.path("output/a/run.toml"), workspace.path("output/half/run.toml")).unwrap();
    for (broken, record, log) in
        [("record", "[settings\n", ""), ("log", "[settings]\n", "nothing\n"), ("other", "x = 1\n", "")]
    {
        fs::create_dir(workspace.path("output").join(broken)).unwrap();
        workspace.put(&format!("output/{broken}/run.toml"), record);
        workspace.put(&format!("output/{broken}/metrics.jsonl"), log);
    }
    let output = workspace.command("runs output nowhere model").output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for note in [
        "warning: output/half: not a run: it has no metrics.jsonl\n",
        "warning: output/record/run.toml: expected the record of a run, found invalid TOML: ",
        "warning: output/log/metrics.jsonl: expected the log of a run, found in line 1: ",
        "warning: output/other/run.toml: expected the record of a run, found no settings\n",
        "warning: nowhere: ",
        "warning: model: no run, with run.toml and metrics.jsonl, is in it or below\n",
    ] {
        assert_eq!(stderr.matches(note).count(), 1, "{note}: {stderr}");
    }
    assert_eq!(stderr.lines().count(), 6, "{stderr}");
    assert!(text(&output.stdout).contains("deep/b"));
    let error = workspace.error("runs model", 1);
    assert_eq!(error, "error: model: no run, with run.toml and metrics.jsonl, is in it or below");
    // A run that is named twice is one run, and one of its checkpoints is none.
    let found = listed(&workspace, "output/a output/a/ output/a/checkpoint-2 output/c");
    assert_eq!(names(&found), ["a", "c"]);
}

#[test]
fn two_runs_are_compared_without_claiming_what_the_intervals_do_not_show() {
    let workspace = with_runs();
    let compared = workspace.stdout("runs --compare output/a output/deep/b");
    assert!(
        compared.starts_with("first:  output/a\nsecond: output/deep/b\n\nlearning_rate  0.001 → 0.01\n\n"),
        "{compared}"
    );
    assert!(compared.lines().all(|line| line.chars().count() <= 80), "{compared}");
    assert!(
        compared.contains("do not show that one run is better") && !compared.contains("the second is"),
        "{compared}"
    );
    let found: Value = serde_json::from_str(&workspace.stdout("runs --compare --json output/a output/deep/b")).unwrap();
    let map = &found["figures"]["map"];
    assert_eq!(map["verdict"], "intervals overlap");
    let [a, b] = [0, 1].map(|index| map["values"][index].as_f64().unwrap());
    assert_eq!(map["difference"], b - a);
    assert_eq!(found["settings"], serde_json::json!({"learning_rate": ["0.001", "0.01"]}));

    // Figures on different sets say nothing.
    let record = fs::read_to_string(workspace.path("output/a/run.toml")).unwrap();
    let at = record.find("flag = \"--eval-rerank\"\nsha256 = \"").unwrap() + 33;
    workspace.put("output/a/run.toml", format!("{}0123456789{}", &record[..at], &record[at + 10..]));
    let compared = workspace.stdout("runs --compare output/a output/deep/b");
    assert!(compared.contains("scored on different sets") && !compared.contains("intervals overlap"), "{compared}");
    let error = workspace.error("runs --compare output", 2);
    assert!(error.ends_with("--compare: expected two runs, found 3: a, c, deep/b"), "{error}");
}

#[test]
fn several_runs_are_on_one_page() {
    let workspace = with_runs();
    assert_eq!(workspace.stdout("report output"), "output/runs.html\n");
    let page = fs::read_to_string(workspace.path("output/runs.html")).unwrap();
    for part in ["Runs", "Scores", "Training", "Embeddings", "Warnings"] {
        assert!(page.contains(&format!(">{part}</h2>")), "{part}");
    }
    assert_eq!(page.matches("type=\"checkbox\"").count(), 3);
    for shown in [
        "<title>simcse: 3 runs</title>",
        "<bdi>deep/b</bdi>",
        ">learning_rate</th>",
        "aria-label=\"map\"",
        "<td>3/15</td>",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    // A line for each run on every chart, in a color of its own, with marks.
    for chart in ["Loss", "In-batch accuracy", "Learning rate", "map", "Alignment against uniformity", "Throughput"] {
        let (_, svg) = page.split_once(&format!("aria-label=\"{chart}\"")).unwrap();
        let svg = svg.split("</svg>").next().unwrap();
        for color in ["#100000", "#100001", "#100002"] {
            assert!(svg.contains(&format!("stroke=\"{color}\"")), "{chart}: {color}");
            assert!(svg.contains(&format!("fill=\"{color}\"")), "{chart}: {color}");
        }
    }
    for outside in ["src=\"", "href=\"http", "url(", "@import", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }

    let arguments = "report output/a output/c --output ac.html";
    assert_eq!(workspace.stdout(arguments), "ac.html\n");
    assert!(fs::read_to_string(workspace.path("ac.html")).unwrap().contains("simcse: 2 runs"));
    // One run has a page of its own, wherever it is found.
    assert_eq!(workspace.stdout("report output/deep"), "output/deep/b/report.html\n");
    assert_eq!(workspace.stdout("report output/a --output a.html"), "a.html\n");
    assert!(fs::read_to_string(workspace.path("a.html")).unwrap().contains("Map of sentences"));
}
