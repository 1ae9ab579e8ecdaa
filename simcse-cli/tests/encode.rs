//! `simcse encode` on small files.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Workspace, encoder, text};
use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{Array2, Axis};
use safetensors::SafeTensors;
use serde_json::Value;

/// Empty lines, spaces at both ends, both kinds of line ends, and a last line without one.
const INPUT: &str = "how to install\r\n\n  slow\tboot \n\r\nthe sound ?";
const LINES: [&str; 5] = ["how to install", "", "  slow\tboot ", "", "the sound ?"];

fn expected() -> Array2<f32> {
    encoder().encode(&LINES).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Reads NumPy's format 1.0 as its documentation describes it.
fn npy(bytes: &[u8]) -> Array2<f32> {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(end % 64, 0);
    let header = str::from_utf8(&bytes[10..end]).unwrap();
    let shape = header.strip_prefix("{'descr': '<f4', 'fortran_order': False, 'shape': (").unwrap();
    let (rows, cols) =
        shape.strip_suffix('\n').unwrap().trim_end().strip_suffix("), }").unwrap().split_once(", ").unwrap();
    Array2::from_shape_vec((rows.parse().unwrap(), cols.parse().unwrap()), floats(&bytes[end..])).unwrap()
}

fn records(jsonl: &str) -> Vec<(String, Vec<f32>)> {
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let embedding = serde_json::from_value(record["embedding"].clone()).unwrap();
        (record["text"].as_str().unwrap().to_owned(), embedding)
    };
    jsonl.lines().map(record).collect()
}

#[test]
fn every_format_has_a_row_for_every_line() {
    let workspace = Workspace::new();
    workspace.put("in.txt", INPUT);
    let expected = expected();

    let json = workspace.stdout("encode --model model in.txt --output out.npy --json");
    let summary: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["sentences"], &summary["dimension"]), (&5.into(), &16.into()));
    assert!(summary["seconds"].as_f64().unwrap() > 0.0 && summary["sentences_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(npy(&fs::read(workspace.path("out.npy")).unwrap()), expected);

    assert_eq!(workspace.stdout("encode --model model in.txt --output out.safetensors"), "");
    let bytes = fs::read(workspace.path("out.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.names(), ["embeddings"]);
    let tensor = tensors.tensor("embeddings").unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (safetensors::Dtype::F32, [5, 16].as_slice()));
    assert_eq!(floats(tensor.data()), expected.as_slice().unwrap());

    workspace.stdout("encode --model model in.txt --output out.jsonl");
    let records = records(&fs::read_to_string(workspace.path("out.jsonl")).unwrap());
    assert_eq!(records.len(), 5);
    for ((text, embedding), (line, row)) in records.iter().zip(LINES.iter().zip(expected.rows())) {
        assert_eq!((text.as_str(), embedding.as_slice()), (*line, row.as_slice().unwrap()));
    }
}

#[test]
fn sentences_that_are_cut_are_counted() {
    let workspace = Workspace::new();
    workspace.put("in.txt", format!("{}\nslow boot\n", "slow ".repeat(15))); // 17 tokens with the special ones, 16 fit
    let output = workspace.command("encode --model model in.txt --output out.npy").output().unwrap();
    assert!(
        text(&output.stderr).ends_with("\n1 sentence was longer than 16 tokens and truncated\n"),
        "{}",
        text(&output.stderr)
    );
    let json = workspace.stdout("encode --model model in.txt --output out.npy --json");
    assert!(json.contains(r#""sentences":2,"cut":1,"#), "{json}");
}

#[test]
fn input_may_be_piped_or_compressed_and_rows_of_unit_length() {
    let workspace = Workspace::new();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(INPUT.as_bytes()).unwrap();
    workspace.put("in.txt.gz", gzip.finish().unwrap());
    workspace.stdout("encode --model model in.txt.gz -o out.npy");
    let expected = expected();
    assert_eq!(npy(&fs::read(workspace.path("out.npy")).unwrap()), expected);

    for input in ["", "-"] {
        let output = workspace.run_with(&format!("encode --model model {input} --output -"), INPUT.as_bytes());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let rows = records(&text(&output.stdout));
        assert_eq!(rows.into_iter().flat_map(|(_, row)| row).collect::<Vec<_>>(), expected.as_slice().unwrap());
    }

    workspace.stdout("encode --model model in.txt.gz -o out.npy --normalize");
    let unit = npy(&fs::read(workspace.path("out.npy")).unwrap());
    for (row, unit) in expected.axis_iter(Axis(0)).zip(unit.axis_iter(Axis(0))) {
        let norm = row.dot(&row).sqrt();
        assert!(row.iter().zip(unit).all(|(value, unit)| (value / norm - unit).abs() < 1e-6));
    }
}

#[test]
fn many_and_no_lines() {
    let workspace = Workspace::new();
    let many: Vec<_> = (0..1500).map(|i| ["slow boot", "", "the wifi"][i % 3]).collect();
    workspace.put("in.txt", many.join("\n"));
    workspace.stdout("encode --model model in.txt --output out.npy");
    let rows = npy(&fs::read(workspace.path("out.npy")).unwrap());
    assert_eq!(rows.nrows(), 1500);
    assert!((3..1500).all(|i| rows.row(i) == rows.row(i % 3)));

    workspace.put("in.txt", "");
    for (name, len) in [("out.npy", 192), ("out.safetensors", 192), ("out.jsonl", 0)] {
        workspace.stdout(&format!("encode --model model in.txt --output {name}"));
        assert_eq!(fs::metadata(workspace.path(name)).unwrap().len(), len);
    }
    assert_eq!(npy(&fs::read(workspace.path("out.npy")).unwrap()).dim(), (0, 16));
}

#[test]
fn failures_leave_the_old_file_and_no_new_one() {
    let workspace = Workspace::new();
    workspace.put("out.npy", "old");
    workspace.put("bad.txt", b"fine\nnot \xff fine\n");
    let before = workspace.names();
    let error = workspace.error("encode --model model bad.txt --output out.npy", 1);
    assert!(error.starts_with("error: bad.txt, line 2: expected UTF-8"), "{error}");
    // In a pipe, the bad line is found only after the work has started.
    let output = workspace.run_with("encode --model model --output out.npy", b"fine\n\nnot \xff fine\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: standard input, line 3: expected UTF-8"));
    assert_eq!((workspace.names(), fs::read(workspace.path("out.npy")).unwrap()), (before, b"old".to_vec()));

    let error = workspace.error("encode --model model no.txt --output out.npy", 1);
    assert!(error.starts_with("error: cannot read no.txt: No such file"), "{error}");
    let error = workspace.error("encode --model model model --output out.npy", 1);
    assert!(error.contains("found a directory"), "{error}");
    let error = workspace.error("encode --model ./no-model - --output out.npy", 2);
    assert!(error.contains("no model directory `./no-model`"), "{error}");
    let error = workspace.error("encode --model model - --output no/out.npy", 1);
    assert!(error.starts_with("error: cannot write no/out.npy: "), "{error}");
}

#[test]
#[cfg(unix)]
fn a_signal_ends_the_wait_for_a_pipe_and_leaves_no_file() {
    let workspace = Workspace::new();
    let before = workspace.names();
    for signal in ["-INT", "-TERM"] {
        let mut child =
            workspace.command("encode --model model --output out.npy").stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all("slow boot\n".repeat(600).as_bytes()).unwrap();
        while workspace.names() == before {
            std::thread::sleep(Duration::from_millis(5)); // until a part of the file is there
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert!(text(&output.stderr).ends_with("stopped; out.npy was not written\n"), "{}", text(&output.stderr));
        assert_eq!(workspace.names(), before);
    }
}

#[test]
fn embeddings_must_be_finite() {
    let workspace = Workspace::new();
    let mut damaged = encoder();
    let layout = damaged.params.layout().clone();
    for gamma in layout.parameters().iter().filter(|tensor| tensor.name.ends_with("LayerNorm.weight")) {
        damaged.params.values_mut()[gamma.range()].fill(1e38);
    }
    damaged.save(&workspace.path("damaged")).unwrap();
    workspace.put("in.txt", INPUT);
    let error = workspace.error("encode --model damaged in.txt --output out.npy", 1);
    assert!(error.starts_with("error: in.txt, line 1: the model gives an embedding with NaN"), "{error}");
    assert!(!workspace.path("out.npy").exists());
}

#[test]
fn the_extension_names_the_format() {
    let workspace = Workspace::new();
    for name in ["out.txt", "out", ".npy"] {
        let error = workspace.error(&format!("encode --model model - --output {name}"), 2);
        assert!(error.contains(".npy, .jsonl, .safetensors or .arrow"), "{error}");
    }
    fs::create_dir(workspace.path("dir.npy")).unwrap();
    let error = workspace.error("encode --model model - --output dir.npy", 2);
    assert!(error.contains("found a directory"), "{error}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let workspace = Workspace::new();
    workspace.put("in.txt", "slow boot\n".repeat(5000));
    let mut child = workspace.command("encode --model model in.txt --output - --json").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap(); // and closes the pipe
    assert_eq!(records(&line)[0].0, "slow boot");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn a_prompt_is_the_given_one_or_the_models_default() {
    let workspace = Workspace::new();
    workspace.put("in.txt", INPUT);
    let settings = r#"{"prompts": {"slow": "slow boot ", "query": "wifi "}, "default_prompt_name": "slow"}"#;
    workspace.put("model/config_sentence_transformers.json", settings);
    let encode = |flags: &[&str]| {
        let mut command = workspace.command("encode --model model in.txt --output out.npy --json");
        let output = command.args(flags).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let summary: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
        (summary["prompt"].as_str().unwrap().to_owned(), npy(&fs::read(workspace.path("out.npy")).unwrap()))
    };
    let expected =
        |prompt: &str| (prompt.to_owned(), encoder().encode(&LINES.map(|line| format!("{prompt}{line}"))).unwrap());
    assert_eq!(encode(&[]), expected("slow boot "));
    assert_eq!(encode(&["--prompt-name", "query"]), expected("wifi "));
    assert_eq!(encode(&["--prompt-name", "document"]), expected(""));
    assert_eq!(encode(&["--prompt", "how "]), expected("how "));
    assert_eq!(encode(&["--prompt", ""]), expected(""));
    let error = workspace.error("encode --model model in.txt --output out.npy --prompt-name passage", 1);
    assert!(error.ends_with("prompts: expected a prompt named passage, found query, document, slow"), "{error}");
    workspace.error("encode --model model in.txt --output out.npy --prompt-name query --prompt x", 2);
}

#[test]
fn tables_are_read_by_their_column() {
    let workspace = Workspace::new();
    workspace.put("in.csv", "id,text\n1,\"how to install, wifi ?\"\n2,\n3,\"slow \"\"boot\"\"\"\n");
    let texts = ["how to install, wifi ?", "", "slow \"boot\""];
    let expected = encoder().encode(&texts).unwrap();
    workspace.stdout("encode --model model in.csv --output out.npy");
    assert_eq!(npy(&fs::read(workspace.path("out.npy")).unwrap()), expected);

    // What encode writes, it reads.
    workspace.stdout("encode --model model in.csv --output out.jsonl");
    workspace.stdout("encode --model model out.jsonl --output again.npy");
    assert_eq!(npy(&fs::read(workspace.path("again.npy")).unwrap()), expected);

    workspace.put("pairs.tsv", "slow boot\tthe wifi\nboot\tthe sound\n");
    workspace.stdout("encode --model model pairs.tsv --text-column 2 --output out.npy");
    let expected = encoder().encode(&["the wifi", "the sound"]).unwrap();
    assert_eq!(npy(&fs::read(workspace.path("out.npy")).unwrap()), expected);

    let before = workspace.names();
    let error = workspace.error("encode --model model pairs.tsv --output new.npy", 1);
    assert!(error.starts_with("error: pairs.tsv: expected one column named text, sentence or the like"), "{error}");
    assert!(error.contains("--text-column"), "{error}");
    let error = workspace.error("encode --model model in.csv --text-column sent0 --output new.npy", 1);
    assert_eq!(error, "error: in.csv: expected a column `sent0`, found id, text");
    assert_eq!(workspace.names(), before);
}

#[test]
fn headers_and_quotes_in_lines_warn() {
    let workspace = Workspace::new();
    workspace.put("in.txt", "text\nslow boot\n");
    let warning = "warning: in.txt: line 1 looks like a header, and is read like every other line\n";
    let output = workspace.command("encode --model model in.txt --output out.npy").output().unwrap();
    assert!(text(&output.stderr).starts_with(warning), "{}", text(&output.stderr));

    let output = workspace.run_with("encode --model model --output out.npy", b"\"slow boot\"\n\"wifi\"\n");
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("warning: standard input: every sentence is in quotes"), "{stderr}");
    assert_eq!(stderr.matches("warning").count(), 1, "{stderr}");
}

#[test]
fn a_length_beyond_the_models_positions_warns_once() {
    let workspace = Workspace::new();
    workspace.put("model/sentence_bert_config.json", r#"{"max_seq_length": 40}"#);
    workspace.put("in.txt", format!("slow boot\n{}\n", "wifi ".repeat(50)));
    let output = workspace.command("encode --model model in.txt --output out.npy").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let warning = "warning: model/sentence_bert_config.json: max_seq_length is 40, but the model has positions for 32 \
                   tokens; longer texts are truncated to 32";
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().filter(|line| line.contains("warning")).collect::<Vec<_>>(), [warning]);
    assert!(stderr.contains("1 sentence was longer than 32 tokens"), "{stderr}");
}

#[test]
fn the_input_is_never_overwritten() {
    let workspace = Workspace::new();
    let content = "{\"text\": \"slow boot\"}\n";
    workspace.put("in.jsonl", content);
    let before = workspace.names();
    for output in ["in.jsonl", "./model/../in.jsonl"] {
        let error = workspace.error(&format!("encode --model model in.jsonl --output {output}"), 2);
        assert_eq!(error, format!("error: --output: expected a file other than the input, found the input: {output}"));
    }
    let append = || fs::OpenOptions::new().append(true).open(workspace.path("in.jsonl")).unwrap();
    let output = workspace.command("encode --model model in.jsonl --output -").stdout(append()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let stdin = fs::File::open(workspace.path("in.jsonl")).unwrap();
    let output = workspace.command("encode --model model - --output in.jsonl").stdin(stdin).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(
        (workspace.names(), fs::read_to_string(workspace.path("in.jsonl")).unwrap()),
        (before, content.to_owned())
    );
}

#[test]
#[cfg(unix)]
fn links_to_the_input_are_the_input() {
    let workspace = Workspace::new();
    workspace.put("in.txt", "slow boot\n");
    std::os::unix::fs::symlink(workspace.path("in.txt"), workspace.path("soft.npy")).unwrap();
    fs::hard_link(workspace.path("in.txt"), workspace.path("hard.npy")).unwrap();
    for output in ["soft.npy", "hard.npy"] {
        let error = workspace.error(&format!("encode --model model in.txt --output {output}"), 2);
        assert!(error.contains("expected a file other than the input"), "{error}");
    }
    assert_eq!(fs::read_to_string(workspace.path("in.txt")).unwrap(), "slow boot\n");
}
