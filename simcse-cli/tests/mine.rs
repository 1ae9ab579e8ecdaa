//! `simcse mine` on small tables.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use std::collections::HashSet;
use std::fs;

use common::{Workspace, text};
use serde_json::Value;

const PAIRS: &str =
    "anchor,positive\nhow to install,install\nslow boot,\"the boot, slow\"\nslow boot,boot\nwifi ?,the wifi\n";

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.put("pairs.csv", PAIRS);
    workspace.put("corpus.txt", "the sound\nslow wifi\nslow boot\nhow to boot\nthe wifi\ninstall sound\n");
    workspace
}

/// The cells of a table without quoted line ends.
fn rows(workspace: &Workspace, name: &str) -> Vec<Vec<String>> {
    let mut table = csv::ReaderBuilder::new().has_headers(false).from_path(workspace.path(name)).unwrap();
    table.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn negatives_are_the_most_similar_texts_that_do_not_answer() {
    let workspace = workspace();
    let arguments = "mine pairs.csv --corpus corpus.txt --model model --num-negatives 2";
    let report = workspace.stdout(&format!("{arguments} --scores --output out.csv --json"));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["triplets"], &report["anchors"], &report["corpus"]), (&8.into(), &3.into(), &9.into()));
    let found = rows(&workspace, "out.csv");
    assert_eq!(found[0], ["anchor", "positive", "negative", "positive_score", "negative_score"]);
    assert_eq!(found.len(), 9, "two for each of four pairs");

    // The similarity of every text to each anchor, by the command for that.
    let texts = ["the sound", "slow wifi", "slow boot", "how to boot", "the wifi", "install sound"];
    let texts: Vec<_> = texts.into_iter().chain(["install", "the boot, slow", "boot"]).collect();
    for (anchor, positives) in [
        ("how to install", vec!["install"]),
        ("slow boot", vec!["the boot, slow", "boot"]),
        ("wifi ?", vec!["the wifi"]),
    ] {
        workspace.put("left.txt", anchor);
        workspace.put("right.txt", texts.join("\n"));
        let line = workspace.stdout("similarity --model model --left left.txt --right right.txt");
        let scores: Vec<f64> = line.trim().split('\t').map(|score| score.parse().unwrap()).collect();
        let mut ranked: Vec<_> = texts.iter().zip(&scores).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(a.1));
        ranked.retain(|(text, _)| **text != anchor && !positives.contains(text));
        let expected: Vec<_> = ranked.iter().take(2).map(|(text, _)| (**text).to_owned()).collect();
        for positive in positives {
            let of: Vec<_> = found.iter().filter(|row| row[0] == anchor && row[1] == positive).collect();
            assert_eq!(of.iter().map(|row| row[2].clone()).collect::<Vec<_>>(), expected);
            let score = scores[texts.iter().position(|text| *text == positive).unwrap()];
            assert!(of.iter().all(|row| (row[3].parse::<f64>().unwrap() - score).abs() < 2e-6));
        }
    }
    for name in ["out.tsv", "out.jsonl"] {
        workspace.stdout(&format!("{arguments} --output {name}"));
    }
    let line = fs::read_to_string(workspace.path("out.jsonl")).unwrap();
    let first: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!(first, serde_json::json!({ "anchor": found[1][0], "positive": found[1][1], "negative": found[1][2] }));
    let tsv = fs::read_to_string(workspace.path("out.tsv")).unwrap();
    assert_eq!(tsv.lines().nth(1).unwrap(), found[1][..3].join("\t"));
}

#[test]
fn triplets_are_what_train_reads() {
    let workspace = workspace();
    workspace.stdout("mine pairs.csv --corpus corpus.txt --model model --relative-margin -0.5 --output triplets.csv");
    let output = workspace
        .command("train triplets.csv --model model --max-steps 1 --batch-size 2 --output-dir out --max-seq-length 16")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let run = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
    assert!(run.contains("negative"), "{run}");
}

#[test]
fn bounds_leave_fewer_and_random_ones_follow_the_seed() {
    let workspace = workspace();
    let mine = |options: &str| {
        let arguments = format!("mine pairs.csv --corpus corpus.txt --model model {options} --output out.csv");
        let output = workspace.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (rows(&workspace, "out.csv").split_off(1), text(&output.stderr))
    };
    let (none, stderr) = mine("--max-score -1");
    assert!(none.is_empty() && stderr.contains("3 anchors have fewer than 3 negatives"), "{stderr}");
    assert!(stderr.contains("candidates left out: 0 within the margin of a positive,"), "{stderr}");

    let random = |seed: u32| mine(&format!("--sampling random --num-negatives 1 --range-max 6 --seed {seed}")).0;
    assert_eq!(random(1), random(1));
    assert!((0..8).map(random).collect::<HashSet<_>>().len() > 1);
}

#[test]
fn what_cannot_be_mined_is_refused() {
    let workspace = workspace();
    workspace.put("empty.csv", "anchor,positive\n");
    workspace.put("three.csv", "anchor,positive,negative\na,b,c\n");
    for (arguments, status, message) in [
        ("empty.csv --output out.csv", 1, "empty.csv: expected pairs, found none"),
        ("three.csv --output out.csv", 1, "three.csv: expected two columns of texts (--text-columns A,B), found 3"),
        ("pairs.csv --output out.txt", 2, "expected a name ending in .csv, .tsv or .jsonl"),
        ("pairs.csv --output out.csv --num-negatives 0", 2, "expected a positive number"),
        ("pairs.csv --output out.csv --relative-margin 5", 2, "expected a number between -2 and 2"),
        ("pairs.csv --output out.csv --range-min 9 --range-max 10", 2, "--range-max: expected at least --range-min"),
    ] {
        let error = workspace.error(&format!("mine --model model {arguments}"), status);
        assert!(error.contains(message), "{error}");
    }
    assert!(!workspace.path("out.csv").exists());
}
