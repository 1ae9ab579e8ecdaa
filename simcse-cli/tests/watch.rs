//! A run that is watched: figures of its embeddings, and every warning, made to happen by training.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use std::fs;

use common::{Workspace, text};
use serde_json::Value;
use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling, SentenceEncoder, Tokenizer};

const WORDS: usize = 120;
const SENTENCES: usize = 240;
const TRAIN: &str = "train in.txt --model wide --batch-size 16 --max-seq-length 12 --output-dir out";

fn word(index: usize) -> String {
    let letter = |index: usize| char::from(b'a' + (index % 26) as u8);
    format!("{}{}{}", letter(index), letter(index / 26), letter(7 * index))
}

/// Different sentences of five words.
fn sentence(index: usize) -> String {
    (0..5)
        .map(|place| word((index / (1 + 119 * (place / 4)) * (2 * place + 1) + place * 31) % WORDS))
        .collect::<Vec<_>>()
        .join(" ")
}

fn sentences() -> Vec<String> {
    (0..SENTENCES).map(sentence).collect()
}

/// A model that knows these words, with random weights.
fn encoder() -> SentenceEncoder {
    let words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).into();
    let words: Vec<String> = words.into_iter().chain((0..WORDS).map(word)).collect();
    let config = ModelConfig {
        vocab_size: words.len(),
        hidden_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 64,
        max_position_embeddings: 32,
        initializer_range: 0.2,
        ..ModelConfig::defaults(Architecture::Bert)
    };
    let tokenizer = Tokenizer::word_piece(&words, true).unwrap();
    SentenceEncoder::random(ModelDirectory::new(config, tokenizer, Pooling::Mean, 16).unwrap(), 1)
}

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    encoder().save(&workspace.path("wide")).unwrap();
    workspace.put("in.txt", sentences().join("\n"));
    workspace
}

/// The lines of the log that have this key.
fn logged(workspace: &Workspace, key: &str) -> Vec<Value> {
    let log = fs::read_to_string(workspace.path("out/metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line.get(key).is_some()).collect()
}

/// The names of the warnings of a run that succeeds: each is shown once, and logged.
#[track_caller]
fn warnings(workspace: &Workspace, arguments: &str) -> Vec<String> {
    let output = workspace.command(arguments).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let names: Vec<String> =
        logged(workspace, "warning").iter().map(|line| line["warning"].as_str().unwrap().to_owned()).collect();
    for name in &names {
        assert_eq!(stderr.matches(&format!("[{name}]")).count(), 1, "{name}: {stderr}");
    }
    names
}

#[test]
fn the_embeddings_of_a_probe_are_measured_before_during_and_after_the_run() {
    let workspace = workspace();
    assert_eq!(warnings(&workspace, &format!("{TRAIN} --learning-rate 1e-3 --logging-steps 10")), [""; 0]);
    let probed = logged(&workspace, "probe_alignment");
    let steps: Vec<_> = probed.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 10, 15]);
    let first_and_last = |name: &str| [&probed[0], &probed[2]].map(|line| line[name].as_f64().unwrap());
    // Random embeddings are close together; SimCSE pushes them apart.
    for name in ["probe_mean_cosine", "probe_uniformity"] {
        let [first, last] = first_and_last(name);
        assert!(last < first, "{name}: {first}, {last}");
    }
    let [first, last] = first_and_last("probe_effective_rank");
    assert!(1.0 < first && first < last && last <= 32.0, "{first}, {last}");

    for step in logged(&workspace, "loss") {
        let accuracy = step["in_batch_accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy) && (16.0 * accuracy).fract() == 0.0, "{step}");
        // Sixteen sentences of seven tokens.
        assert_eq!((step["tokens"].as_u64(), step["cut_share"].as_f64()), (Some(16 * 7), Some(0.0)));
    }
    let pictures = fs::read_to_string(workspace.path("out/probe.json")).unwrap();
    let pictures: Value = serde_json::from_str(&pictures).unwrap();
    let sentences = pictures["sentences"].as_array().unwrap();
    assert_eq!(
        (sentences.len(), &pictures["before"]["step"], &pictures["after"]["step"]),
        (SENTENCES, &0.into(), &15.into())
    );
    let pairs: u64 = pictures["after"]["cosines"].as_array().unwrap().iter().map(|bar| bar.as_u64().unwrap()).sum();
    assert_eq!(pairs as usize, SENTENCES * (SENTENCES - 1) / 2);
}

#[test]
fn a_learning_rate_that_is_too_high_is_noticed_before_everything_has_collapsed() {
    let found = warnings(&workspace(), &format!("{TRAIN} --learning-rate 0.3 --warmup-ratio 0.9 --epochs 12"));
    assert_eq!(found, ["learning-rate-too-high", "collapse"]);
}

#[test]
fn embeddings_that_collapse_are_noticed_and_so_is_the_loss_of_guessing() {
    let workspace = workspace();
    let found = warnings(&workspace, &format!("{TRAIN} --learning-rate 0.3 --epochs 4 --logging-steps 20"));
    assert_eq!(found, ["collapse", "stuck"]);
    let given = logged(&workspace, "warning");
    assert_eq!(given[0]["step"], 20);
    assert!(given[1]["text"].as_str().unwrap().contains("(2.7726 for this batch size)"), "ln 16: {given:?}");
}

#[test]
fn a_loss_that_never_leaves_the_logarithm_of_the_batch_size_is_noticed() {
    assert_eq!(warnings(&workspace(), &format!("{TRAIN} --scale 0.01 --epochs 4")), ["stuck"]);
}

#[test]
fn views_that_hardly_differ_are_noticed() {
    let dropout = "--hidden-dropout 0.0004 --attention-dropout 0.0004";
    assert_eq!(warnings(&workspace(), &format!("{TRAIN} {dropout}")), ["dropout-inactive"]);
    let none = "--hidden-dropout 0 --attention-dropout 0";
    assert_eq!(warnings(&workspace(), &format!("{TRAIN} {none}")), ["dropout-inactive"]);
}

/// The development set likes the model as it is, so training can only make it worse.
#[test]
fn a_score_that_falls_while_nothing_is_left_to_learn_is_noticed() {
    let workspace = workspace();
    workspace.put("dev.jsonl", backwards());
    let arguments = format!("{TRAIN} --epochs 20 --learning-rate 3e-3 --eval-rerank dev.jsonl --eval-steps 20");
    assert_eq!(warnings(&workspace, &arguments), ["overfitting"]);

    // Without labels, nobody knows: alignment gets worse in every good run.
    fs::remove_dir_all(workspace.path("out")).unwrap();
    let arguments = arguments.replace("--eval-rerank dev.jsonl", "--hold-out 40");
    assert_eq!(warnings(&workspace, &arguments), [""; 0]);
}

#[test]
fn texts_that_are_cut_and_lines_that_are_repeated_are_noticed() {
    let workspace = workspace();
    let cut = TRAIN.replace("--max-seq-length 12", "--max-seq-length 4");
    assert_eq!(warnings(&workspace, &cut), ["many-cut"]);
    fs::remove_dir_all(workspace.path("out")).unwrap();
    let repeated: Vec<String> = sentences().into_iter().chain(sentences().into_iter().take(40)).collect();
    workspace.put("in.txt", repeated.join("\n"));
    assert_eq!(warnings(&workspace, TRAIN), ["many-duplicates"]);
}

#[test]
fn a_resumed_run_measures_the_same_and_repeats_no_warning() {
    let workspace = workspace();
    let train = format!("{TRAIN} --learning-rate 0.3 --epochs 4 --logging-steps 20 --save-steps 30");
    assert_eq!(warnings(&workspace, &train), ["collapse", "stuck"]);
    let given = logged(&workspace, "warning");
    assert!(given[0]["step"].as_u64() <= Some(30), "{given:?}");
    let exact = |line: &Value| {
        let mut line = line.clone();
        line.as_object_mut().unwrap().retain(|name, _| !name.contains("second") && !name.contains("memory"));
        line
    };
    let log = || logged(&workspace, "step").iter().map(exact).collect::<Vec<_>>();
    let whole = log();
    let pictures = fs::read(workspace.path("out/probe.json")).unwrap();
    fs::remove_dir_all(workspace.path("out/checkpoint-60")).unwrap();
    let output = workspace.command("train --resume-from-checkpoint auto --output-dir out").output().unwrap();
    let stderr = text(&output.stderr);
    for warning in given {
        let name = warning["warning"].as_str().unwrap();
        assert_eq!(stderr.contains(&format!("[{name}]")), warning["step"].as_u64() > Some(30), "{name}: {stderr}");
    }
    assert_eq!(log(), whole);
    assert_eq!(fs::read(workspace.path("out/probe.json")).unwrap(), pictures);
}

/// A development set that likes the model as it is: the text that is most similar to a query is the
/// right one.
fn backwards() -> String {
    let texts = &sentences()[..40];
    let z = encoder().encode(texts).unwrap();
    let cosine = |i: usize, j: usize| {
        let norm = |i: usize| z.row(i).dot(&z.row(i)).sqrt();
        z.row(i).dot(&z.row(j)) / norm(i) / norm(j)
    };
    let line = |i: usize| {
        let others = (0..texts.len()).filter(|&j| j != i);
        let nearest = others.clone().max_by(|&a, &b| cosine(i, a).total_cmp(&cosine(i, b))).unwrap();
        let negative: Vec<_> = others.filter(|&j| j != nearest).map(|j| &texts[j]).collect();
        serde_json::json!({"query": texts[i], "positive": [texts[nearest]], "negative": negative}).to_string()
    };
    (0..texts.len()).map(line).collect::<Vec<_>>().join("\n")
}
