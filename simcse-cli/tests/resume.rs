//! Runs that are stopped or killed, and resume as if nothing had happened; and resumes that are
//! refused.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};

use common::{Workspace, text};
use serde_json::Value;
use simcse_model::SentenceEncoder;

const WORDS: [&str; 8] = ["how", "to", "install", "boot", "wifi", "slow", "the", "sound"];
const TRAIN: &str = "train in.txt --model model --batch-size 8 --max-seq-length 12 --learning-rate 1e-3 \
                     --eval-rerank dev.jsonl --output-dir";
const RESUME: &str = "train --resume-from-checkpoint auto --output-dir";

/// Some of the sentences are equal, so that the number of batches depends on the epoch; some are
/// equal only to the tokenizer, which lower-cases.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    let word = |index: usize, place: u32| WORDS[index / 8usize.pow(place) % 8];
    let sentence = |i| format!("{} {} {} install\n", word(i, 0), word(i, 1), word(i, 2));
    let capitals = (4..8).map(sentence).collect::<String>().to_uppercase();
    workspace.put("in.txt", (0..36).chain(0..4).map(sentence).collect::<String>() + &capitals);
    let query = |q: &str, p: &str, n: &str| {
        format!("{{\"query\": \"{q}\", \"positive\": [\"{p}\"], \"negative\": [\"{n}\", \"the sound\"]}}\n")
    };
    workspace.put(
        "dev.jsonl",
        query("slow wifi", "wifi slow boot", "how to boot") + &query("install boot", "the boot", "sound"),
    );
    workspace
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let from = entry.path();
        let to = to.join(entry.file_name());
        if from.is_dir() { copy(&from, &to) } else { fs::copy(&from, &to).map(drop).unwrap() }
    }
}

/// The log, without the figures that depend on time, and on what the process did before.
fn log(output: &Path) -> Vec<Value> {
    let text = fs::read_to_string(output.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().retain(|name, _| !name.contains("second") && !name.contains("memory"));
        line
    });
    lines.collect()
}

#[track_caller]
fn assert_same(found: &Path, expected: &Path) {
    const MODULES: [&str; 3] = ["1_Pooling/config.json", "3_Dense/config.json", "3_Dense/model.safetensors"];
    for file in ["model.safetensors", "config.json", "tokenizer.json", "modules.json"].into_iter().chain(MODULES) {
        assert_eq!(fs::read(found.join(file)).ok(), fs::read(expected.join(file)).ok(), "{file}");
    }
    assert_eq!(log(found), log(expected));
}

/// A run of `arguments` that has printed `line`.
fn started(workspace: &Workspace, arguments: &str, line: &str) -> Child {
    let mut child = workspace.command(arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|seen: &String| seen.contains(line)) {
        seen.push(lines.next().unwrap_or_else(|| panic!("{seen:?}")).unwrap());
    }
    std::thread::spawn(move || lines.for_each(drop)); // otherwise the pipe would fill up
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Checks that a run of `steps` steps, started with `arguments`, ends with the same weights when it
/// is resumed after any of them.
fn check_resumes(workspace: &Workspace, arguments: &str, steps: usize) {
    workspace.stdout(&format!("{arguments} --output-dir whole"));
    let whole = workspace.path("whole");
    assert_eq!(log(&whole).iter().filter(|line| line["loss"].is_number()).count(), steps);
    for step in 1..=steps {
        let part = workspace.path(&format!("part-{step}"));
        copy(&whole, &part);
        for later in step + 1..=steps {
            fs::remove_dir_all(part.join(format!("checkpoint-{later}"))).unwrap();
        }
        fs::remove_file(part.join("model.safetensors")).unwrap();
        fs::create_dir(part.join(".checkpoint-4.partial")).unwrap();
        workspace.stdout(&format!("{RESUME} part-{step} --threads {}", 1 + step % 3));
        assert_same(&part, &whole);
        let modules = ["mlp.safetensors", "3_Dense/model.safetensors", "1_WordWeights/config.json"];
        for file in ["model.safetensors", "optimizer.safetensors"].into_iter().chain(modules) {
            let of = |output: &Path| fs::read(output.join(format!("checkpoint-{steps}")).join(file)).ok();
            assert_eq!(of(&part), of(&whole), "{file} from step {step}");
        }
        assert!(!part.join(".checkpoint-4.partial").exists());
    }
}

#[test]
fn a_run_resumed_from_any_step_ends_with_the_same_weights() {
    let workspace = workspace();
    let train = TRAIN.trim_end_matches(" --output-dir");
    let options = "--epochs 2 --save-steps 1 --eval-steps 3 --load-best-model-at-end";
    check_resumes(&workspace, &format!("{train} {options}"), 10);
}

#[test]
fn a_run_with_word_weights_resumed_from_any_step_ends_with_the_same_weights() {
    let workspace = workspace();
    let train = TRAIN.trim_end_matches(" --output-dir");
    let options = "--max-steps 5 --save-steps 1 --word-weights idf --word-weights-in-training";
    check_resumes(&workspace, &format!("{train} {options}"), 5);
    assert!(workspace.path("whole/1_WordWeights/config.json").exists());
    workspace
        .stdout("train in.txt --model whole --batch-size 8 --max-steps 1 --word-weights none --output-dir without");
    assert!(!workspace.path("without/1_WordWeights").exists());
    let card = fs::read_to_string(workspace.path("whole/README.md")).unwrap();
    assert!(card.contains("| pooling | mean, weighted by word |"), "{card}");
    let error = workspace.error(&format!("{TRAIN} other --word-weights idf --pooling cls"), 1);
    assert!(error.contains("--pooling: expected mean with --word-weights idf, found cls"), "{error}");
}

#[test]
fn a_run_with_a_layer_of_its_own_resumed_from_any_step_ends_with_the_same_weights() {
    let train = TRAIN.trim_end_matches(" --output-dir");
    let options = "--max-steps 5 --save-steps 1 --pooling cls --eval-steps 2 --load-best-model-at-end";
    for (mlp, layers) in [("only_train", "last"), ("always", "avg_first_last")] {
        let workspace = workspace();
        check_resumes(&workspace, &format!("{train} {options} --mlp {mlp} --pooled-layers {layers}"), 5);
        let exists = |file: &str| workspace.path("whole").join(file).exists();
        // What only training uses is in checkpoints alone, apart from the model.
        assert_eq!(exists("checkpoint-5/mlp.safetensors"), mlp == "only_train");
        assert_eq!(exists("checkpoint-5/3_Dense/model.safetensors"), mlp == "always");
        assert_eq!(exists("3_Dense/model.safetensors"), mlp == "always");
        assert_eq!(exists("1_WeightedLayerPooling/model.safetensors"), mlp == "always");
        assert!(!exists("mlp.safetensors"));
        let model = SentenceEncoder::load(workspace.path("whole")).unwrap();
        assert_eq!(model.directory.dense().len(), usize::from(mlp == "always"));
    }
}

#[test]
fn a_run_on_triplets_resumed_from_any_step_ends_with_the_same_weights() {
    let workspace = workspace();
    let word = |index: usize| WORDS[index % 8];
    let row = |i: usize| format!("{} {},{0} install,{}\n", word(i), word(i / 8), word(i / 5));
    let capitals = (0..8).map(|i| row(i).to_uppercase());
    let rows: String = (0..40).map(row).chain(capitals).chain(["slow,,wifi\n".to_owned()]).collect();
    workspace.put("triplets.csv", format!("anchor,positive,negative\n{rows}"));
    let train = "train triplets.csv --model model --batch-size 3 --max-seq-length 12 --learning-rate 1e-3";
    let options = "--max-steps 8 --save-steps 1 --hard-negative-weight 0.5 --directions query_to_doc,doc_to_query";
    check_resumes(&workspace, &format!("{train} {options}"), 8);
    let record = fs::read_to_string(workspace.path("whole/run.toml")).unwrap();
    for line in [
        "examples = 48",
        "texts_per_example = 3",
        "columns = [\"anchor\", \"positive\", \"negative\"]",
        "skipped = 1",
        "directions = [\"query_to_doc\", \"doc_to_query\"]",
        "hard_negative_weight = 0.5",
    ] {
        assert!(record.lines().any(|found| found == line), "{line}: {record}");
    }
    let card = fs::read_to_string(workspace.path("whole/README.md")).unwrap();
    assert!(card.contains("supervised SimCSE") && card.contains("--hard-negative-weight 0.5"), "{card}");
    let error = workspace.error(&format!("{RESUME} part-1 --text-column anchor triplets.csv"), 1);
    assert!(error.contains("--text-column: the run started with nothing, found anchor"), "{error}");
}

#[test]
fn a_run_with_variants_resumed_from_any_step_ends_with_the_same_weights() {
    let workspace = workspace();
    let train = TRAIN.trim_end_matches(" --output-dir");
    let options = "--epochs 2 --save-steps 1 --dup-rate 0.5 --word-deletion 0.2 --noise-negatives 20 --focal-m 0.3 \
                   --template the:[X]means[MASK] --pooling lasttoken";
    check_resumes(&workspace, &format!("{train} {options}"), 10);
    let card = fs::read_to_string(workspace.path("whole/README.md")).unwrap();
    let flags = "--template the:[X]means[MASK] --focal-m 0.3 --noise-negatives 20 --dup-rate 0.5 --word-deletion 0.2";
    assert!(card.contains(&format!("| objective | `{flags}` |")), "{card}");
    let error = workspace.error(&format!("{RESUME} part-1 --dup-rate 0.3"), 1);
    assert!(error.contains("--dup-rate: the run started with 0.5, found 0.3"), "{error}");
}

/// Of 17 lines, 10 differ only in case, so an epoch has one batch of eight, although the texts would
/// make two. Each batch must have one sentence of each length.
#[test]
fn lines_that_differ_only_in_case_never_meet_even_after_a_resume() {
    let workspace = workspace();
    let sentence = |words: usize| WORDS[..words].join(" ");
    let capitals = |from: usize| format!("{} {}", sentence(from), WORDS[from..].join(" ").to_uppercase());
    let lines: Vec<_> = (1..=8).map(sentence).chain((1..8).map(capitals)).collect();
    let more = [sentence(8).to_uppercase(), sentence(8).replace("how", "How")];
    workspace.put("in.txt", [&lines[..], &more].concat().join("\n"));
    workspace.stdout(&format!("{TRAIN} whole --min-length 1 --epochs 3 --save-steps 1"));
    let whole = workspace.path("whole");

    let text = fs::read_to_string(whole.join("metrics.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps: Vec<_> = records.filter(|record| record["loss"].is_number()).collect();
    let epochs: Vec<_> = steps.iter().map(|step| step["epoch"].as_f64().unwrap()).collect();
    assert_eq!(epochs, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5], "as many steps as announced");
    for step in &steps {
        let tokens = step["tokens_per_second"].as_f64().unwrap() * step["step_seconds"].as_f64().unwrap();
        assert_eq!(tokens.round() as usize, (1..=8).map(|words| words + 2).sum::<usize>());
    }

    for step in 1..6 {
        let part = workspace.path(&format!("part-{step}"));
        copy(&whole, &part);
        for later in step + 1..=6 {
            fs::remove_dir_all(part.join(format!("checkpoint-{later}"))).unwrap();
        }
        workspace.stdout(&format!("{RESUME} part-{step}"));
        assert_same(&part, &whole);
    }
}

#[test]
fn a_stopped_run_saves_a_checkpoint_and_a_killed_run_resumes_from_its_last_one() {
    let workspace = workspace();
    workspace.stdout(&format!("{TRAIN} whole --max-steps 3000"));
    for name in ["-INT", "-TERM", "-KILL"] {
        let output = format!("out{name}");
        let mut child =
            started(&workspace, &format!("{TRAIN} {output} --max-steps 3000 --save-steps 100"), "checkpoint-100");
        let second = workspace.error(&format!("{TRAIN} {output}"), 1);
        assert!(second.contains("already holds a run"), "{second}");
        let second = workspace.error(&format!("{RESUME} {output}"), 1);
        assert!(second.contains("another run is writing into"), "{second}");
        signal(&child, name);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), (name != "-KILL").then_some(130));
        assert!(!workspace.path(&output).join("model.safetensors").exists());
        workspace.stdout(&format!("{RESUME} {output}"));
        let weights = |output: &str| fs::read(workspace.path(output).join("model.safetensors")).unwrap();
        assert_eq!(weights(&output), weights("whole"), "{name}");
    }
}

#[test]
fn damaged_checkpoints_are_skipped_and_without_any_other_the_resume_is_refused() {
    let workspace = workspace();
    workspace.stdout(&format!("{TRAIN} whole --max-steps 6 --save-steps 2"));
    copy(&workspace.path("whole"), &workspace.path("out"));
    let weights = |step| workspace.path(&format!("out/checkpoint-{step}/model.safetensors"));
    let damage = |step| {
        let mut bytes = fs::read(weights(step)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(weights(step), bytes).unwrap();
    };
    damage(6);
    let output = workspace.command(&format!("{RESUME} out")).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(stderr.contains("checkpoint-6/model.safetensors: expected SHA-256"), "{stderr}");
    assert!(stderr.contains("falling back to out/checkpoint-4") && stderr.contains("checkpoint-6.old"), "{stderr}");
    assert_same(&workspace.path("out"), &workspace.path("whole"));

    [2, 4, 6].into_iter().for_each(damage);
    for arguments in [RESUME.to_owned() + " out", "train --resume-from-checkpoint out/checkpoint-4".to_owned()] {
        let error = workspace.error(&arguments, 1);
        assert!(error.contains("checkpoint-4/model.safetensors: expected SHA-256"), "{error}");
    }
    let error = workspace.error(&format!("{RESUME} out"), 1);
    assert!(error.ends_with("start again in another --output-dir"), "{error}");
    let error = workspace.error(&format!("{RESUME} model"), 1);
    assert!(error.contains("found none: start again in another --output-dir"), "{error}");
    assert!(!workspace.path("model/.lock").exists());
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_makes_way_for_another() {
    let workspace = workspace();
    workspace.stdout(&format!("{TRAIN} whole --max-steps 6"));
    let start = |arguments: &str| text(&workspace.command(arguments).output().unwrap().stderr);
    let mut child = started(&workspace, &format!("{TRAIN} out --max-steps 1000000 --save-steps 1000000"), "step 1/");
    let second = workspace.error(&format!("{TRAIN} out"), 1);
    assert!(second.contains("another run is writing into out"), "{second}");
    child.kill().unwrap();
    child.wait().unwrap();
    workspace.put("out/.run.toml.1.tmp", "half");
    workspace.put("out/notes.txt", "mine");
    let record = fs::read(workspace.path("out/run.toml")).unwrap();

    let error = workspace.error(&format!("{RESUME} out"), 1);
    let expected = "out: expected a complete checkpoint to resume from, found none: start again, without \
                    --resume-from-checkpoint";
    assert!(error.ends_with(expected), "{error}");
    let stderr = start(&format!("{TRAIN} out --max-steps 6"));
    assert!(stderr.contains("were renamed to out/metrics.jsonl.old and out/run.toml.old"), "{stderr}");
    assert_same(&workspace.path("out"), &workspace.path("whole"));
    let kept = fs::read_to_string(workspace.path("out/metrics.jsonl.old")).unwrap();
    assert!(kept.contains("\"step\":1,"), "{kept}");
    assert_eq!(fs::read(workspace.path("out/run.toml.old")).unwrap(), record);
    assert_eq!(fs::read_to_string(workspace.path("out/notes.txt")).unwrap(), "mine");
    assert!(!workspace.path("out/.run.toml.1.tmp").exists());

    // A log or a record that no run wrote is not set aside.
    for (name, content) in [("metrics.jsonl", "mine"), ("run.toml", "mine = 1\n")] {
        fs::create_dir(workspace.path(&format!("of-{name}"))).unwrap();
        workspace.put(&format!("of-{name}/{name}"), content);
        let error = workspace.error(&format!("{TRAIN} of-{name}"), 1);
        assert!(error.contains(&format!("already holds a run or a model ({name})")), "{error}");
        assert_eq!(fs::read_dir(workspace.path(&format!("of-{name}"))).unwrap().count(), 1);
    }
}

#[test]
fn the_error_names_what_has_changed_since_the_run_was_started() {
    let workspace = workspace();
    workspace.stdout(&format!("{TRAIN} out --max-steps 4 --save-steps 2"));
    fs::remove_dir_all(workspace.path("out/checkpoint-4")).unwrap();
    workspace.put("other.txt", fs::read_to_string(workspace.path("in.txt")).unwrap() + "the slow sound\n");
    let mut other = SentenceEncoder::load(workspace.path("model")).unwrap();
    other.params.values_mut()[0] += 1.0;
    other.save(&workspace.path("other")).unwrap();
    workspace.put("other.jsonl", fs::read_to_string(workspace.path("dev.jsonl")).unwrap().replace("slow", "fast"));
    workspace.put("dev.tsv", "3\thow to boot\tthe boot\n1\tthe wifi\tsound\n");
    for (changed, message) in [
        ("--seed 7", "--seed: the run started with 42, found 7"),
        ("--learning-rate 1e-4", "--learning-rate: the run started with 0.001, found 0.0001"),
        ("--warmup-steps 3", "the run started with nothing, found 3"),
        ("--load-best-model-at-end", "--load-best-model-at-end: the run started with false, found true"),
        ("--max-steps 3", "--max-steps: the run started with 4, found 3"),
        ("--min-length 3", "--min-length: the run started with 10, found 3"),
        ("--eval-sts dev.tsv", "--eval-sts: the run started with nothing, found a set with SHA-256"),
        ("in.txt --eval-rerank other.jsonl", "--eval-rerank: the run started with a set with SHA-256"),
        ("other.txt", "other.txt: the run started with 44 sentences with SHA-256"),
        ("--model other", "--model: the run started with model, whose weights have SHA-256"),
    ] {
        let error = workspace.error(&format!("{RESUME} out {changed}"), 1);
        assert!(error.contains(message), "{error}");
    }
    let error = workspace.error("train --resume-from-checkpoint out/checkpoint-2 --output-dir other", 2);
    assert!(error.contains("expected the directory of the checkpoint's run, out, found other"), "{error}");
    workspace.error("train --resume-from-checkpoint auto", 2);

    // Sets are compared by their content, not by their paths.
    let dev = fs::read(workspace.path("dev.jsonl")).unwrap();
    fs::rename(workspace.path("other.jsonl"), workspace.path("dev.jsonl")).unwrap();
    let error = workspace.error(&format!("{RESUME} out"), 1);
    assert!(error.contains("--eval-rerank: the run started with a set with SHA-256"), "{error}");
    workspace.put("moved.jsonl", dev);

    // Flags that repeat the run's settings are accepted, and so is a larger number of steps.
    let arguments = format!("{TRAIN} out --resume-from-checkpoint auto --seed 42 --max-steps 7 --json")
        .replace("dev.jsonl", "moved.jsonl");
    let output = workspace.command(&arguments).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(stderr.contains("7 steps instead of 4: the learning rate continues at"), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["steps"], 7);
    assert!(fs::read_to_string(workspace.path("out/run.toml")).unwrap().contains("max_steps = 7"));
}

#[test]
fn a_run_on_a_table_resumes_with_the_column_it_started_with() {
    let workspace = workspace();
    let lines = fs::read_to_string(workspace.path("in.txt")).unwrap();
    let record = |line: &str| format!("{{\"id\": \"7\", \"title\": \"other\", \"body\": \"{line}\"}}\n");
    workspace.put("in.jsonl", lines.lines().map(record).collect::<String>());
    let train = TRAIN.replace("in.txt", "in.jsonl --text-column body");
    workspace.stdout(&format!("{train} whole --max-steps 4 --save-steps 2"));
    copy(&workspace.path("whole"), &workspace.path("out"));
    fs::remove_dir_all(workspace.path("out/checkpoint-4")).unwrap();
    let error = workspace.error(&format!("{RESUME} out in.jsonl --text-column title"), 1);
    assert!(error.contains("--text-column: the run started with body, found title"), "{error}");
    workspace.stdout(&format!("{RESUME} out"));
    assert_same(&workspace.path("out"), &workspace.path("whole"));
}

#[test]
fn a_run_with_a_prompt_resumes_with_it() {
    let workspace = workspace();
    let prompts = r#"{"prompts": {"query": "how to ", "same": "how to "}}"#;
    workspace.put("model/config_sentence_transformers.json", prompts);
    let mut encoder = SentenceEncoder::load(workspace.path("model")).unwrap();
    encoder.directory.include_prompt = false;
    encoder.save(&workspace.path("model")).unwrap();
    workspace.stdout(&format!("{TRAIN} whole --max-steps 4 --save-steps 2 --prompt-name query"));
    for more in ["", "--prompt-name same"] {
        let part = format!("part{}", more.len());
        copy(&workspace.path("whole"), &workspace.path(&part));
        fs::remove_dir_all(workspace.path(&part).join("checkpoint-4")).unwrap();
        for other in ["--prompt how", "--prompt-name document"] {
            let error = workspace.error(&format!("{RESUME} {part} {other}"), 1);
            assert!(error.contains("--prompt: the run started with how to , found "), "{error}");
        }
        workspace.stdout(&format!("{RESUME} {part} {more}"));
        assert_same(&workspace.path(&part), &workspace.path("whole"));
    }
}

#[test]
fn the_best_model_survives_rotation_and_resuming() {
    let workspace = workspace();
    let options = "--max-steps 40 --save-steps 4 --eval-steps 2 --save-total-limit 1 --load-best-model-at-end --json";
    let report: Value = serde_json::from_str(&workspace.stdout(&format!("{TRAIN} whole {options}"))).unwrap();
    let lines = log(&workspace.path("whole"));
    let map = |line: &Value| line["eval_map"].as_f64().filter(|_| line["step"] != 0);
    let best = lines.iter().filter_map(map).fold(0.0, f64::max);
    let step = &lines.iter().find(|line| map(line) == Some(best)).unwrap()["step"];
    assert_eq!((&report["best_step"], &report["after"]["eval_map"]), (step, &best.into()));
    let weights = |directory: String| fs::read(workspace.path(&directory).join("model.safetensors")).unwrap();
    assert_eq!(weights("whole".into()), weights(format!("whole/checkpoint-{step}")));
    let checkpoints = || {
        let names = fs::read_dir(workspace.path("whole")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| name.starts_with("checkpoint-"));
        names.sort();
        names
    };
    let before = checkpoints();
    assert!(before.contains(&"checkpoint-40".to_owned()) && before.len() <= 2, "{before:?}");
    let again: Value = serde_json::from_str(&workspace.stdout(&format!("{RESUME} whole --json"))).unwrap();
    assert_eq!((&again["best_step"], &again["after"]), (&report["best_step"], &report["after"]));
    assert_eq!(checkpoints(), before);
}

#[test]
fn steps_that_are_not_finite_are_skipped_and_five_in_a_row_end_the_run() {
    let workspace = workspace();
    let error = {
        let arguments = format!("{TRAIN} out --max-steps 100 --save-steps 1 --learning-rate 1e38")
            .replace("--learning-rate 1e-3 ", "");
        let output = workspace.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    assert!(error.contains("5 steps in a row, up to step") && error.contains("lower --learning-rate"), "{error}");
    let skipped = log(&workspace.path("out")).into_iter().filter(|line| line["skipped"] == true).count();
    assert_eq!(skipped, 5, "{error}");
    for entry in fs::read_dir(workspace.path("out")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let encoder = SentenceEncoder::load(&path).unwrap();
            assert!(encoder.params.values().iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn the_run_on_embedded_sentences_resumes_too() {
    let workspace = Workspace::new();
    workspace.stdout("train --max-steps 3 --save-steps 2 --output-dir whole");
    copy(&workspace.path("whole"), &workspace.path("out"));
    fs::remove_dir_all(workspace.path("out/checkpoint-3")).unwrap();
    workspace.stdout("train --max-steps 3 --resume-from-checkpoint out/checkpoint-2");
    assert_same(&workspace.path("out"), &workspace.path("whole"));
}

#[test]
#[cfg(unix)]
fn links_are_not_followed() {
    let workspace = workspace();
    workspace.stdout(&format!("{TRAIN} whole --max-steps 4 --save-steps 2"));
    let precious = workspace.path("precious");
    fs::create_dir(&precious).unwrap();
    workspace.put("precious/file", "mine");
    // A run ends with an error as soon as it would have to write through a link.
    for (link, target) in [(".lock", "file"), ("metrics.jsonl", "file"), ("1_Pooling", ".")] {
        let output = workspace.path(&format!("out{link}"));
        copy(&workspace.path("whole"), &output);
        let _ = fs::remove_file(output.join(link)).or_else(|_| fs::remove_dir_all(output.join(link)));
        std::os::unix::fs::symlink(precious.join(target), output.join(link)).unwrap();
        let ended = workspace.command(&format!("{RESUME} out{link}")).output().unwrap();
        let stderr = text(&ended.stderr);
        assert!(ended.status.code() == Some(1) && stderr.contains(&format!("out{link}/{link}")), "{stderr}");
    }
    assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "mine");
    assert_eq!(fs::read_dir(precious).unwrap().count(), 1);
}
