//! Runs of `simcse train` on a few sentences of known words.

use std::fs;

use serde_json::Value;

use crate::common::Workspace;

const WORDS: [&str; 8] = ["how", "to", "install", "boot", "wifi", "slow", "the", "sound"];

/// `count` different sentences of four known words.
pub(crate) fn sentences(count: usize) -> String {
    let word = |index: usize, place: u32| WORDS[index / 8usize.pow(place) % 8];
    (0..count).map(|i| format!("{} {} {} install\n", word(i, 0), word(i, 1), word(i, 2))).collect()
}

pub(crate) fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.put("in.txt", sentences(40));
    workspace
}

/// A workspace with 64 sentences in `in.txt` and a development set in `dev.jsonl`.
pub(crate) fn workspace_with_dev() -> Workspace {
    let workspace = Workspace::new();
    workspace.put("in.txt", sentences(64));
    workspace.put(
        "dev.jsonl",
        "{\"query\": \"slow wifi\", \"positive\": [\"wifi slow boot\"], \"negative\": [\"how to boot\", \"the sound\"]}\n",
    );
    workspace
}

/// Runs the command with settings for tiny data, and returns its standard output.
#[track_caller]
pub(crate) fn train(workspace: &Workspace, arguments: &str) -> String {
    workspace.stdout(&format!("train --batch-size 8 --max-seq-length 12 --learning-rate 1e-3 {arguments}"))
}

pub(crate) fn lines(workspace: &Workspace, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(workspace.path(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
