//! Similarities, indexes and searches, from the outside.

#[expect(dead_code, reason = "other tests use more of it")]
mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{Workspace, encoder, text};
use serde_json::Value;

const TEXTS: [&str; 8] = [
    "how to install wifi",
    "slow boot",
    "the sound",
    "how to boot",
    "slow boot",
    "wifi slow ?",
    "install the sound",
    "boot slow",
];

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.put("corpus.txt", TEXTS.map(|text| format!("{text}\n")).concat());
    workspace
}

/// The unit vectors of texts, as `simcse encode` writes them.
fn vectors(workspace: &Workspace, texts: &[&str]) -> Vec<Vec<f64>> {
    workspace.put("encoded.txt", texts.iter().map(|text| format!("{text}\n")).collect::<String>());
    let lines = workspace.stdout("encode --model model encoded.txt --normalize --output -");
    let vector = |line: &str| -> Vec<f64> {
        let line: Value = serde_json::from_str(line).unwrap();
        line["embedding"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    lines.lines().map(vector).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn hits(output: &str) -> Vec<Value> {
    serde_json::from_str(output.trim()).unwrap()
}

#[test]
fn hits_are_those_of_comparing_everything() {
    let workspace = workspace();
    workspace.stdout("index corpus.txt --model model --output index");
    let query = "how to boot slow";
    let rows = vectors(&workspace, &TEXTS);
    let of_query = vectors(&workspace, &[query]).remove(0);
    let mut expected: Vec<_> = rows.iter().map(|row| cosine(row, &of_query)).enumerate().collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));

    workspace.put("queries.txt", format!("{query}\n").repeat(6));
    let mut command = workspace.command("search --index index --top-k 5 --json --query");
    let alone = hits(&text(&command.arg(query).output().unwrap().stdout));
    let several = workspace.stdout("search --index index --top-k 5 --json --queries queries.txt");
    assert_eq!(several.lines().count(), 6);
    for found in std::iter::once(alone).chain(several.lines().map(hits)) {
        assert_eq!(found.len(), 5);
        for (rank, (hit, (row, score))) in found.iter().zip(&expected).enumerate() {
            assert_eq!((hit["rank"].as_u64(), hit["text"].as_str()), (Some(rank as u64 + 1), Some(TEXTS[*row])));
            assert_eq!(hit["id"].as_u64(), Some(*row as u64), "{hit}");
            assert!((hit["score"].as_f64().unwrap() - score).abs() < 1e-6, "{hit}, {score}");
        }
    }
    // From a pipe, as text.
    let output = text(&workspace.run_with("search --index index --top-k 1", b"slow boot\nthe sound\n").stdout);
    assert_eq!(output, "  1  1.0000  slow boot\n  1  1.0000  the sound\n");
}

#[test]
fn piped_lines_are_answered_in_order_alone_or_together() {
    const SEARCH: &str = "search --index index --top-k 3 --json";
    let workspace = workspace();
    workspace.stdout("index corpus.txt --model model --output index");
    let queries: Vec<String> = (0..1500).map(|i| format!("{} {}", TEXTS[i % 8], TEXTS[i / 8 % 8])).collect();
    workspace.put("queries.txt", queries.join("\n"));
    let together = workspace.stdout(&format!("{SEARCH} --queries queries.txt"));
    let piped = workspace.run_with(SEARCH, queries.join("\n").as_bytes());
    assert!(text(&piped.stdout) == together, "{}", text(&piped.stderr));

    // Each line is answered before the next one is sent.
    let mut child = workspace.command(SEARCH).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for (query, expected) in queries[..5].iter().zip(together.lines()) {
        writeln!(input, "{query}").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), expected);
    }
    drop(input);
    assert!(answers.next().is_none() && child.wait().unwrap().success());

    // What is in front of a line that is no text is answered.
    let broken = workspace.run_with(SEARCH, &[queries[0].as_bytes(), b"\n\xff\n"].concat());
    assert_eq!((text(&broken.stdout).lines().next(), broken.status.code()), (together.lines().next(), Some(1)));
}

#[test]
fn rows_are_filtered_by_their_other_columns() {
    let workspace = workspace();
    let line = |(row, text): (usize, &&str)| format!("d{row},{},{text}\n", ["en", "de"][row % 2]);
    workspace.put("corpus.csv", "id,lang,title\n".to_owned() + &TEXTS.iter().enumerate().map(line).collect::<String>());
    workspace.stdout("index corpus.csv --model model --output index --storage f16");
    let found = hits(&workspace.stdout("search --index index --query boot --filter lang=de --json --top-k 20"));
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|hit| hit["lang"] == "de" && hit["id"].as_str().unwrap().starts_with('d')), "{found:?}");
    let both = workspace.stdout("search --index index --query boot --filter lang=de --filter id=d3");
    assert!(both.contains("how to boot  d3") && both.lines().count() == 1, "{both}");
    assert_eq!(workspace.stdout("search --index index --query boot --filter none=x --json"), "[]\n");
    workspace.error("search --index index --query boot --filter lang", 2);
}

#[test]
fn an_index_goes_on_and_grows_without_encoding_anything_twice() {
    let workspace = workspace();
    let encoded = |arguments: &str| {
        let report: Value = serde_json::from_str(&workspace.stdout(&format!("index {arguments} --json"))).unwrap();
        (report["rows"].as_u64().unwrap(), report["encoded"].as_u64().unwrap())
    };
    let index = "corpus.txt --model model --output index";
    assert_eq!(encoded(index), (8, 8));
    assert_eq!(encoded(index), (8, 0));
    workspace.put("corpus.txt", TEXTS.map(|text| format!("{text}\n")).concat() + "a new line\n");
    assert_eq!(encoded(index), (9, 1));
    workspace.put("more.txt", "slow boot\nanother line\n");
    let refused = workspace.error("index more.txt --model model --output index", 2);
    assert_eq!(refused, "error: the index has the rows of corpus.txt: give --append to add those of more.txt");
    assert_eq!(encoded("more.txt --model model --output index --append"), (11, 1));
    let found = hits(&workspace.stdout("search --index index --query boot --json --top-k 99"));
    assert_eq!(found.len(), 11);

    // A whole index of the same rows has the same bytes.
    let all = fs::read_to_string(workspace.path("corpus.txt")).unwrap() + "slow boot\nanother line\n";
    workspace.put("all.txt", all);
    workspace.stdout("index all.txt --model model --output whole");
    for file in ["vectors.bin", "records.jsonl"] {
        let [grown, whole] = ["index", "whole"].map(|index| fs::read(workspace.path(index).join(file)).unwrap());
        assert!(grown == whole, "{file}");
    }
    // A process that was killed leaves rows that are not described.
    let path = workspace.path("whole/vectors.bin");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], b"torn"].concat()).unwrap();
    assert_eq!(encoded("all.txt --model model --output whole"), (11, 0));
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn another_model_or_a_changed_corpus_is_refused() {
    let workspace = workspace();
    workspace.stdout("index corpus.txt --model model --output index");
    workspace.stdout("train corpus.txt --model model --batch-size 2 --max-steps 3 --min-length 1 --output-dir tuned");
    let other = workspace.error("search --index index --query boot --model tuned", 1);
    assert!(other.contains("tuned: expected the model that the index was made with"), "{other}");
    let other = workspace.error("index corpus.txt --model tuned --output index", 1);
    assert!(other.contains("expected weights with the digest "), "{other}");
    let mut encoder = encoder();
    encoder.directory.max_seq_length = 8;
    encoder.save(&workspace.path("short")).unwrap();
    let short = workspace.error("search --index index --query boot --model short", 1);
    assert!(short.ends_with("mean pooling, at most 16 tokens, found mean pooling, at most 8 tokens"), "{short}");
    workspace.put("corpus.txt", "something else\n");
    let changed = workspace.error("index corpus.txt --model model --output index", 1);
    assert!(
        changed.contains("corpus.txt, line 1: expected the text that is indexed, \"how to install wifi\""),
        "{changed}"
    );
    workspace.put("corpus.txt", "how to install wifi\n");
    let short = workspace.error("index corpus.txt --model model --output index", 1);
    assert!(short.ends_with("expected the 8 rows that the index has of it, found 1"), "{short}");
    let none = workspace.error("search --index none --query boot", 1);
    assert!(none.contains("index.json: expected the description of an index"), "{none}");
}

#[test]
fn texts_pairs_and_files_are_compared() {
    let workspace = workspace();
    let rows = vectors(&workspace, &["slow boot", "the sound", "boot slow"]);
    let expected = [cosine(&rows[0], &rows[1]), cosine(&rows[0], &rows[2])];
    let close = |text: &str, expected: f64| (text.trim().parse::<f64>().unwrap() - expected).abs() < 2e-6;
    let mut command = workspace.command("similarity --model model");
    let output = text(&command.args(["slow boot", "the sound"]).output().unwrap().stdout);
    assert!(close(&output, expected[0]), "{output}");
    workspace.put("pairs.tsv", "slow boot\tthe sound\nslow boot\tboot slow\n");
    let output = workspace.stdout("similarity --model model --pairs pairs.tsv --text-columns 1,2");
    assert!(output.lines().zip(expected).all(|(line, expected)| close(line, expected)), "{output}");
    workspace.put("left.txt", "slow boot\n");
    workspace.put("right.txt", "the sound\nboot slow\n");
    let output = workspace.stdout("similarity --model model --left left.txt --right right.txt");
    assert!(output.trim().split('\t').zip(expected).all(|(cell, expected)| close(cell, expected)), "{output}");
    workspace.error("similarity --model model one", 2);
    workspace.error("similarity --model model --left left.txt", 2);
}

#[test]
fn paraphrases_and_groups_of_a_corpus() {
    let workspace = workspace();
    workspace.stdout("index corpus.txt --model model --output index");
    let of_file = workspace.stdout("paraphrases corpus.txt --model model --threshold 0.2 --max-pairs 4");
    assert_eq!(of_file.lines().next(), Some("1.0000\tslow boot\tslow boot"));
    assert_eq!(of_file.lines().count(), 4);
    assert_eq!(workspace.stdout("paraphrases --index index --threshold 0.2 --max-pairs 4"), of_file);
    let pair: Value = serde_json::from_str(
        workspace.stdout("paraphrases --index index --json --max-pairs 1").lines().next().unwrap(),
    )
    .unwrap();
    assert_eq!(pair["rows"], serde_json::json!([1, 4]));
    let groups = workspace.stdout("cluster --index index --threshold 0.9999 --min-size 2 --json");
    let first: Value = serde_json::from_str(groups.lines().next().unwrap()).unwrap();
    assert_eq!(first["rows"], serde_json::json!([1, 4]));
    let shown = workspace.stdout("cluster corpus.txt --model model --threshold 0.9999 --min-size 2");
    assert!(shown.starts_with("group 1, 2 sentences\n  slow boot\n  slow boot\n"), "{shown}");
    workspace.error("paraphrases corpus.txt", 2);
    workspace.error("cluster --index index --threshold 2", 2);
}
