//! `simcse train`, with a tiny model that the tests make.

mod common;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "common/runs.rs"]
mod runs;

use std::fs;

use common::{Workspace, encoder, text};
use runs::{lines, sentences, train, workspace};
use serde_json::Value;
use simcse_model::SentenceEncoder;

/// An AskUbuntu directory (see `simcse_eval::data`) with one query in each split and 30 other
/// questions, of which one has the title of a candidate.
fn put_askubuntu(workspace: &Workspace) {
    fs::create_dir(workspace.path("data")).unwrap();
    let held_out = "900\tthe wifi boot\tx\n901\tthe boot wifi\tx\n902\tthe slow sound\tx\n\
                    910\thow to sound\tx\n911\tto sound how\tx\n912\tboot slow wifi\tx\n";
    let others: String =
        sentences(29).lines().enumerate().map(|(id, title)| format!("{id}\t{title}\tbody\n")).collect();
    workspace.put("data/text_tokenized.txt", format!("{held_out}{others}29\tthe slow sound\tx\n"));
    workspace.put("data/dev.txt", "900\t901\t901 902\t2 1\n");
    workspace.put("data/test.txt", "910\t911\t912 911\t2 1\n");
}

/// The lines of a log that are of steps.
fn steps(workspace: &Workspace, name: &str) -> Vec<Value> {
    lines(workspace, name).into_iter().filter(|line| line["loss"].is_number()).collect()
}

#[test]
fn the_model_card_names_a_base_model_only_where_its_name_was_resolved() {
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    let workspace = workspace();
    fs::create_dir_all(workspace.path("deep/texts")).unwrap();
    fs::rename(workspace.path("in.txt"), workspace.path("deep/texts/in.txt")).unwrap();
    // Two models of the same name, one of them in the cache.
    let cached = workspace.path("hub/models--owner--name");
    fs::create_dir_all(cached.join("snapshots")).unwrap();
    fs::create_dir_all(cached.join("refs")).unwrap();
    fs::write(cached.join("refs/main"), COMMIT).unwrap();
    fs::rename(workspace.path("model"), cached.join("snapshots").join(COMMIT)).unwrap();
    let card = |output: &str| {
        train(&workspace, &format!("deep/texts/in.txt --model owner/name --output-dir {output}"));
        fs::read_to_string(workspace.path(output).join("README.md")).unwrap()
    };
    let by_name = card("by-name");
    assert!(by_name.contains("\nbase_model: owner/name\n"), "{by_name}");
    assert!(by_name.contains("Starting from `owner/name`"), "{by_name}");

    fs::create_dir_all(workspace.path("owner")).unwrap();
    encoder().save(&workspace.path("owner/name")).unwrap();
    let by_path = card("by-path");
    assert!(!by_path.contains("base_model"), "{by_path}");
    assert!(by_path.contains("Starting from `name`"), "{by_path}");
    for card in [by_name, by_path] {
        assert!(card.contains("sentences of `in.txt`") || card.contains("sentences\nof `in.txt`"), "{card}");
        assert!(!card.contains("deep/texts"), "{card}");
    }
}

#[test]
fn a_run_leaves_checkpoints_a_model_and_a_record() {
    let workspace = workspace();
    let stdout = train(&workspace, "in.txt --model model --output-dir out --epochs 2 --save-steps 4 --seed 7 --json");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["steps"], &report["before"]), (&10.into(), &Value::Null));

    for directory in ["out", "out/checkpoint-4", "out/checkpoint-8", "out/checkpoint-10"] {
        let encoder = SentenceEncoder::load(workspace.path(directory)).unwrap();
        assert!(encoder.encode(&["slow boot"]).unwrap().iter().all(|value| value.is_finite()));
    }
    let weights = |directory| fs::read(workspace.path(directory).join("model.safetensors")).unwrap();
    assert_eq!(weights("out"), weights("out/checkpoint-10"));
    assert_ne!(weights("out"), weights("model"));

    let steps = steps(&workspace, "out/metrics.jsonl");
    assert_eq!(steps.len(), 10);
    assert_eq!(
        (&steps[0]["step"], &steps[0]["learning_rate"], &steps[9]["epoch"]),
        (&1.into(), &0.0.into(), &2.0.into())
    );
    for key in ["loss", "grad_norm", "step_seconds", "sentences_per_second", "tokens_per_second"] {
        assert!(steps.iter().all(|step| step[key].is_number()), "{key}");
    }
    let run = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
    for line in ["name = \"model\"", "examples = 40", "batch_size = 8", "seed = 7", "warmup_ratio = 0.1"] {
        assert!(run.contains(line), "{line} in {run}");
    }
    assert!(fs::read_to_string(workspace.path("out/README.md")).unwrap().contains("| seed | 7 |"));
}

#[test]
fn batches_are_encoded_in_pieces_and_accumulated() {
    let workspace = workspace();
    let run = |output: &str, more: &str| {
        train(&workspace, &format!("in.txt --model model --output-dir {output} --epochs 2 {more}"));
        let settings = fs::read_to_string(workspace.path(output).join("run.toml")).unwrap();
        (settings, steps(&workspace, &format!("{output}/metrics.jsonl")))
    };
    // 5 batches of 8 per epoch: its last step has one batch.
    let (settings, steps) = run("out", "--gradient-accumulation-steps 2 --mini-batch-tokens 512");
    assert!(settings.contains("gradient_accumulation_steps = 2\nmini_batch_tokens = 512\n"), "{settings}");
    let epochs: Vec<_> = steps.iter().map(|step| step["epoch"].as_f64().unwrap()).collect();
    assert_eq!(epochs, [0.4, 0.8, 1.0, 1.4, 1.8, 2.0]);
    let (settings, _) = run("plain", "");
    assert!(!settings.contains("mini_batch_tokens"), "{settings}");
}

#[test]
fn memory_is_limited() {
    let workspace = workspace();
    for (limit, message) in [
        ("1MB", "may use only 1 MB (--memory-limit): no batch fits: use more memory, or a smaller model"),
        ("0.001GiB", "may use only 1 MB"),
    ] {
        let error = workspace.error(
            &format!(
                "train in.txt --model model --batch-size 8 --max-seq-length 12 --output-dir out --memory-limit {limit}"
            ),
            1,
        );
        assert!(error.contains(message), "{error}");
        assert!(!workspace.path("out").exists());
    }
    let report = train(&workspace, "in.txt --model model --output-dir out --max-steps 2 --memory-limit 0.5GB --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    let [found, predicted] =
        ["peak_memory_bytes", "predicted_memory_bytes"].map(|figure| report[figure].as_u64().unwrap());
    assert!(0 < found && found <= predicted && predicted < 500_000_000, "{report}");
}

#[test]
fn skipped_equal_and_truncated_sentences_of_standard_input_are_counted() {
    let workspace = Workspace::new();
    let input = format!("{0}{0}short\n\n", sentences(16));
    let arguments = "train - --model model --output-dir out --batch-size 8 --max-steps 2 --max-seq-length 5";
    let output = workspace.run_with(arguments, input.as_bytes());
    let stdout = text(&output.stdout);
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("standard input: 32 sentences, 2 too short and skipped, 16 equal to an earlier one"),
        "{stderr}"
    );
    assert!(stdout.contains("16 of 16 sentences were longer than 5 tokens and were truncated"), "{stdout}");
}

/// `count` different sentences as a table: ids, and texts of which every other one has a line
/// break.
fn table(count: usize) -> String {
    let text = |(id, text): (usize, &str)| format!("{id},\"{text},{}more\"\n", if id % 2 == 0 { "\n" } else { " " });
    format!("id,text\n{}", sentences(count).lines().enumerate().map(text).collect::<String>())
}

#[test]
fn a_table_is_trained_on_by_its_column() {
    let workspace = workspace();
    workspace.put("in.csv", table(16));
    workspace.put("lines.txt", table(16).replace(",\nmore", ", more").replace("id,text\n", ""));
    let run = |arguments: &str| {
        let arguments = format!("train {arguments} --model model --output-dir out --batch-size 8 --max-steps 2");
        let output = workspace.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let record = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
        fs::remove_dir_all(workspace.path("out")).unwrap();
        (text(&output.stderr), record)
    };
    let (stderr, record) = run("in.csv");
    assert!(stderr.contains("in.csv: 16 sentences, 0 too short") && !stderr.contains("header"), "{stderr}");
    assert!(!record.contains("text_column"), "{record}");
    let (_, named) = run("in.csv --text-column text");
    assert!(named.contains("\ntext_columns = [\"text\"]\n"), "{named}");
    let digest = |record: &str| record.split("[data]").nth(1).unwrap().to_owned();
    assert_eq!(digest(&named), digest(&record));

    workspace.put("in.txt", format!("text\n{}", sentences(16)));
    let (stderr, _) = run("in.txt --min-length 1");
    assert!(stderr.contains("warning: in.txt: line 1 looks like a header"), "{stderr}");

    workspace.put("pairs.tsv", "slow boot install\tthe wifi install\n".repeat(9));
    let before = workspace.names();
    for (arguments, message) in [
        ("pairs.tsv", "pairs.tsv: expected one column named text, sentence or the like (or --text-column"),
        ("in.csv --text-column sent0", "in.csv: expected a column `sent0`, found id, text"),
        ("in.txt --text-column text", "in.txt: expected a .csv, .tsv or .jsonl file because a column is named"),
    ] {
        let error = workspace.error(&format!("train {arguments} --model model --output-dir out"), 1);
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(workspace.names(), before);
}

const PROMPTS: &str = r#"{"prompts": {"query": "how to ", "long": "slow sound: "}, "default_prompt_name": "long"}"#;

#[test]
fn a_prompt_goes_in_front_of_every_sentence_and_is_recorded() {
    let workspace = workspace();
    workspace.put("model/config_sentence_transformers.json", PROMPTS);
    let prompted = sentences(40).lines().map(|line| format!("how to {line}\n")).collect::<String>();
    workspace.put("prompted.txt", prompted);
    let options = "--model model --max-steps 3 --output-dir";
    train(&workspace, &format!("prompted.txt {options} expected"));
    train(&workspace, &format!("in.txt {options} out --prompt-name query"));
    // Without a space, the prompt makes every first word unknown, and so only five sentences differ.
    train(&workspace, &format!("in.txt {options} word --prompt 5 --batch-sampler batch"));
    let error = workspace.error(&format!("train in.txt {options} none --prompt 5 --batch-size 8"), 1);
    let expected = "in.txt: expected at least 8 sentences that the model's tokenizer can tell apart for one batch, \
                    found 5: ";
    assert!(error.contains(expected), "{error}");
    assert!(!workspace.path("none").exists());
    let read = |name: &str| fs::read_to_string(workspace.path(name)).unwrap();
    let weights = |directory| fs::read(workspace.path(directory).join("model.safetensors")).unwrap();
    assert_eq!(weights("out"), weights("expected"));
    assert!(read("out/run.toml").contains("\nprompt = \"how to \"\n"));
    assert!(read("word/run.toml").contains("\nprompt = \"5\"\n"));
    assert!(!read("expected/run.toml").contains("prompt ="));
    assert!(read("out/README.md").contains("| prompt in front of every text | `\"how to \"` |"));

    // Those of the model survive.
    let prompts = |directory: &str| -> Value {
        let config: Value =
            serde_json::from_str(&read(&format!("{directory}/config_sentence_transformers.json"))).unwrap();
        [config["prompts"].clone(), config["default_prompt_name"].clone()].into_iter().collect()
    };
    assert_eq!(prompts("out"), prompts("model"));
    assert_eq!(prompts("out/checkpoint-3"), prompts("model"));

    let error = workspace.error(&format!("train in.txt {options} new --prompt-name document --prompt x"), 2);
    assert!(error.contains("cannot be used with"), "{error}");
    let error = workspace.error(&format!("train in.txt {options} new --prompt-name passage --max-seq-length 12"), 1);
    assert!(error.contains("expected a prompt named passage, found query, document, long"), "{error}");
    let arguments = format!("train in.txt {options} none --batch-size 8 --max-seq-length 12");
    let stderr = text(&workspace.command(&arguments).output().unwrap().stderr);
    assert!(stderr.contains("to train with it, give --prompt-name long"), "{stderr}");
}

#[test]
fn a_prompt_is_left_out_of_pooling_if_the_model_says_so() {
    let workspace = workspace();
    let mut encoder = encoder();
    encoder.directory.include_prompt = false;
    encoder.save(&workspace.path("without")).unwrap();
    let run = |model: &str, more: &str| {
        let output = format!("of-{model}{}", more.len());
        let arguments = format!("in.txt --model {model} --output-dir {output} --max-steps 3 {more}");
        // The prompt makes every first word unknown, and so some sentences equal.
        train(&workspace, &format!("{arguments} --batch-sampler batch"));
        fs::read(workspace.path(&output).join("model.safetensors")).unwrap()
    };
    assert_eq!(run("without", ""), run("model", ""));
    assert_ne!(run("without", "--prompt how"), run("model", "--prompt how"));
    assert!(!SentenceEncoder::load(workspace.path("of-without12")).unwrap().directory.include_prompt);
}

#[test]
fn flags_take_precedence_over_a_recipe() {
    let workspace = workspace();
    train(&workspace, "in.txt --model model --output-dir out --max-steps 2 --recipe st-2021");
    let run = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
    for line in [
        "recipe = \"st-2021\"",
        "weight_decay = 0.01",
        "adam_epsilon = 0.000001",
        "warmup_ratio = 0.1",
        "warmup_rounding = \"down\"",
        "batch_sampler = \"batch\"",
        "learning_rate = 0.001",
    ] {
        assert!(run.contains(line), "{line} in {run}");
    }
}

#[test]
fn askubuntu_titles_are_trained_on_except_for_the_held_out_ones() {
    let workspace = workspace();
    put_askubuntu(&workspace);
    let run = |output: &str, more: &str| {
        let stdout = train(&workspace, &format!("--data data --model model --output-dir {output} --json {more}"));
        let report: Value = serde_json::from_str(&stdout).unwrap();
        (report, fs::read_to_string(workspace.path(output).join("run.toml")).unwrap())
    };
    let (report, by_text) = run("out", "--eval-steps 2");
    assert!(by_text.contains("examples = 29\n") && by_text.contains("exclude_by = \"text\"\n"), "{by_text}");
    assert!(report["before"]["eval_map"].is_number() && report["test"]["test_map"].is_number(), "{report}");
    let metrics = lines(&workspace, "out/metrics.jsonl");
    assert_eq!(metrics.iter().filter(|line| line["eval_map"].is_number()).count(), 3);
    assert_eq!(metrics.last().unwrap()["test_map"], report["test"]["test_map"]);
    assert!(fs::read_to_string(workspace.path("out/README.md")).unwrap().contains("## Test"));

    let (_, by_id) = run("by-id", "--exclude-by id");
    assert!(by_id.contains("examples = 30\n"), "{by_id}");
    let (_, published) = run("published", "--recipe st-2021");
    assert!(published.contains("exclude_by = \"id\"\n"), "{published}");
}

#[test]
fn bad_sentences_are_an_error_in_one_line_and_nothing_is_written() {
    let workspace = workspace();
    workspace.put("empty.txt", "");
    workspace.put("few.txt", sentences(5));
    workspace.put("latin.txt", b"the sound of wifi\nis caf\xe9 slow to boot\n");
    for (file, message) in [
        ("missing.txt", "cannot read missing.txt: No such file"),
        ("empty.txt", "empty.txt: expected sentences of at least 10 characters"),
        ("few.txt", "few.txt: expected at least 128 different sentences for one batch, found 5"),
        ("latin.txt", "latin.txt, line 2: expected UTF-8 text, found byte 0xe9 at position 7"),
    ] {
        let error = workspace.error(&format!("train {file} --model model --max-seq-length 12 --output-dir out"), 1);
        assert!(error.contains(message), "{error}");
        assert!(!workspace.path("out").exists(), "{file}");
    }
}

#[test]
fn bad_models_are_an_error_in_one_line_and_nothing_is_written() {
    let workspace = workspace();
    let config = fs::read_to_string(workspace.path("model/config.json")).unwrap();
    let bad = |from: &str, to: &str, message: &str| {
        assert!(config.contains(from), "{from}");
        workspace.put("model/config.json", config.replace(from, to));
        let error = workspace.error("train in.txt --model model --output-dir out", 1);
        assert!(error.contains(message), "{error}");
        assert!(!workspace.path("out").exists(), "{to}");
    };
    bad(
        "\"bert\"",
        "\"t5\"",
        "model_type: expected bert, roberta, xlm-roberta, camembert, distilbert, electra, mpnet or modernbert, found \"t5\"",
    );
    bad("\"gelu\"", "\"mish\"", "hidden_act: expected gelu, ");
    bad("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "encoder.layer.2.attention");
    bad("\"intermediate_size\": 32", "\"intermediate_size\": 48", "expected shape [48, 16], found shape [32, 16]");
    bad(
        "\"vocab_size\": 14",
        "\"vocab_size\": 13",
        "word_embeddings.weight: expected shape [13, 16], found shape [14, 16]",
    );
}

#[test]
fn an_output_directory_with_a_run_is_not_touched() {
    let workspace = workspace();
    fs::create_dir(workspace.path("out")).unwrap();
    workspace.put("out/metrics.jsonl", "precious");
    let error = workspace.error("train in.txt --model model --output-dir out", 1);
    assert!(error.contains("out already holds a run or a model (metrics.jsonl)"), "{error}");
    assert_eq!(fs::read_to_string(workspace.path("out/metrics.jsonl")).unwrap(), "precious");
    assert_eq!(fs::read_dir(workspace.path("out")).unwrap().count(), 1);
}

#[test]
fn missing_models_and_data_are_errors_that_name_the_way_out() {
    let workspace = workspace();
    let error = workspace.error("train in.txt --model owner/name --output-dir out", 1);
    assert!(error.contains("owner/name is missing or incomplete in"), "{error}");
    let error = workspace.error("train --data askubuntu --model model --output-dir out", 1);
    assert!(error.ends_with("download it with `simcse fetch askubuntu`"), "{error}");
    assert!(!workspace.path("out").exists());
}

#[test]
fn wrong_usage_is_explained() {
    let workspace = workspace();
    for (arguments, message) in [
        ("train in.txt", "for example: simcse train titles.txt --model distilroberta-base"),
        ("train --model model", "nothing to train on"),
        ("train in.txt --data data --model model", "cannot be used with"),
        ("train in.txt --model ./nowhere", "--model: no model directory `./nowhere`"),
        ("train in.txt --model model --eval-steps 2", "need a development set"),
        ("train in.txt --model model --recipe st-1999", "'st-1999'"),
        ("train --recipe st-6", "required arguments"),
        ("train --memory-limit 4", "expected a size such as 3.5GB"),
        ("train in.txt --model o/not-loaded --batch-size 1", "expected 2 or more: a sentence needs negatives"),
        ("train in.txt --model o/not-loaded --warmup-ratio 1.5", "expected 0 to 1"),
        ("train in.txt --model o/not-loaded --precision f16", "expected f32, bf16 or auto"),
    ] {
        let error = workspace.error(arguments, 2);
        let output = workspace.command(arguments).output().unwrap();
        assert!(text(&output.stderr).contains(message), "{error}");
    }
    assert_eq!(workspace.names(), ["in.txt", "model"]);
}

#[test]
fn without_arguments_the_embedded_sentences_are_trained_on() {
    let workspace = Workspace::new();
    let stdout = workspace.stdout("train --max-steps 1 --output-dir out --json");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let [before, lexical] = [&report["before"], &report["tf_idf"]].map(|figures| figures["eval_map"].as_f64().unwrap());
    // As reported by the script that generates the questions: tools/generate/default_corpus.py
    // --report.
    assert!((lexical - 0.5051).abs() < 5e-5, "{lexical}");
    assert_eq!(report["after"]["eval_map"], before, "the first step's learning rate is 0");
    SentenceEncoder::load(workspace.path("out")).unwrap();
}

#[test]
fn parameters_that_are_not_trained_are_listed_and_kept() {
    let workspace = workspace();
    let encoder = encoder();
    let weight = [0.5; 16 * 16];
    let bias = [0.25; 16];
    let tensors = encoder.params.layout().parameters().iter();
    let tensors = tensors.map(|t| (t.name.as_str(), t.shape.as_slice(), &encoder.params.values()[t.range()]));
    let pooler: [(&str, &[usize], &[f32]); 2] =
        [("pooler.dense.weight", &[16, 16], &weight), ("pooler.dense.bias", &[16], &bias)];
    simcse_model::write_safetensors(&workspace.path("model/model.safetensors"), tensors.chain(pooler), &[]).unwrap();

    let arguments = "train in.txt --model model --output-dir out --batch-size 8 --max-seq-length 12 --weight-decay 0.1";
    let output = workspace.command(arguments).output().unwrap();
    let note = "not trained, because the loss does not depend on them: pooler.dense.weight, pooler.dense.bias\n";
    assert!(text(&output.stderr).contains(note), "{}", text(&output.stderr));
    let trained = SentenceEncoder::load(workspace.path("out")).unwrap();
    let kept = trained.params.layout().parameters().iter().filter(|tensor| !tensor.trainable);
    let kept: Vec<_> = kept.map(|tensor| &trained.params.values()[tensor.range()]).collect();
    assert_eq!(kept, [&weight[..], &bias[..]]);
}

#[test]
fn a_table_of_pairs_trains_on_them_unless_one_column_is_named() {
    let workspace = workspace();
    let rows: String = sentences(16).lines().map(|sentence| format!("{sentence},the {sentence}\n")).collect();
    workspace.put("pairs.csv", format!("anchor,positive\n{rows}how to install,\n"));
    let run = |arguments: &str| {
        let arguments =
            format!("train pairs.csv {arguments} --model model --output-dir out --batch-size 4 --max-steps 2");
        let output = workspace.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        fs::remove_dir_all(workspace.path("out")).unwrap();
        text(&output.stderr)
    };
    let pairs = run("--directions query_to_doc,doc_to_query");
    let expected = "pairs.csv: 16 examples of anchor, positive (for single sentences, name one column with \
                    --text-column), 1 with a text missing or too short and skipped";
    assert!(pairs.contains(expected), "{pairs}");
    assert!(pairs.contains("\nobjective: --directions query_to_doc,doc_to_query\n"), "{pairs}");
    assert!(pairs.contains("2 steps of 4 examples of 2 texts"), "{pairs}");
    let named = run("--text-column positive,anchor");
    assert!(named.contains("pairs.csv: 16 examples of positive, anchor, 1 with a text missing"), "{named}");
    let sentences = run("--text-column anchor");
    assert!(sentences.contains("pairs.csv: 17 sentences") && !sentences.contains("objective:"), "{sentences}");

    let refused =
        |arguments: &str| workspace.error(&format!("train pairs.csv {arguments} --model model --output-dir out"), 1);
    let error = refused("--hard-negative-weight 1 --batch-size 4");
    assert!(error.contains("expected examples with hard negatives: a third text, found 2 texts in each"), "{error}");
    let error = refused("--matryoshka-dims 16,17 --batch-size 4");
    assert!(error.contains("--matryoshka-dims: expected at most 16 for this model, found 16,17"), "{error}");
    let error = refused("--dup-rate 0.32 --batch-size 4");
    assert!(error.contains("--dup-rate: expected single sentences"), "{error}");
    let error = refused("--batch-size 17");
    assert!(error.contains("expected at least 17 examples without a text in common"), "{error}");
}

#[test]
fn several_files_and_those_in_a_directory_are_read_as_one() {
    let workspace = workspace();
    let all = sentences(16);
    let lines: Vec<_> = all.lines().collect();
    workspace.put("whole.txt", &all);
    fs::create_dir(workspace.path("parts")).unwrap();
    workspace.put("parts/b.txt", lines[5..12].join("\n"));
    workspace.put("parts/a.txt", lines[..5].join("\n"));
    workspace.put("parts/.hidden", "not a sentence of this run\n");
    workspace.put("last.csv", format!("text\n{}\n", lines[12..].join("\n")));
    let record = |files: &str| {
        workspace.stdout(&format!("train {files} --model model --output-dir out --batch-size 8 --max-steps 2"));
        let record = fs::read_to_string(workspace.path("out/run.toml")).unwrap();
        let resumed = workspace.stdout("train --resume-from-checkpoint auto --output-dir out --max-steps 3");
        assert!(resumed.starts_with("3 steps"), "{resumed}");
        fs::remove_dir_all(workspace.path("out")).unwrap();
        record
    };
    let digest = |record: &str| record.split("[data]").nth(1).unwrap().split("sha256").nth(1).unwrap()[..70].to_owned();
    let whole = record("whole.txt");
    let parts = record("parts last.csv");
    assert_eq!(digest(&parts), digest(&whole));
    assert!(parts.contains("name = \"parts and 1 more\""), "{parts}");

    workspace.put("pairs.csv", "anchor,positive\none,two\n");
    let train = "--model model --output-dir out --batch-size 8";
    let error = workspace.error(&format!("train whole.txt pairs.csv {train}"), 1);
    assert!(error.contains("pairs.csv: expected examples of 1 texts, as in the first file, found 2"), "{error}");
    fs::create_dir(workspace.path("empty")).unwrap();
    let error = workspace.error(&format!("train empty {train}"), 1);
    assert!(error.contains("empty: expected files of sentences in the directory, found none"), "{error}");
}
