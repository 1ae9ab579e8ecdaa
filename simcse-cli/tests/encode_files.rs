//! `simcse encode`: types of values, fewer dimensions, and files that grow.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type};
use arrow_ipc::reader::FileReader;
use common::{Workspace, encoder, text};
use ndarray::{Array2, s};
use serde_json::Value;
use simcse_eval::{Ranges, ValueType};
use simcse_model::Named;

const LINES: [&str; 5] = ["how to install", "the wifi", "slow boot", "", "the sound ?"];

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.put("in.txt", LINES.join("\n"));
    workspace
}

fn expected() -> Array2<f32> {
    encoder().encode(&LINES).unwrap()
}

/// What follows the header of a .npy or .safetensors file.
fn rows(workspace: &Workspace, name: &str) -> Vec<u8> {
    fs::read(workspace.path(name)).unwrap()[192..].to_vec()
}

#[test]
fn values_have_the_type_that_is_asked_for() {
    let workspace = workspace();
    let expected = expected();
    let mut ranges = Ranges::default();
    ranges.add(expected.view());
    for &value_type in ValueType::ALL {
        let name = value_type.name();
        let quantized = |row: usize| value_type.quantize(expected.row(row).as_slice().unwrap(), Some(&ranges));
        let bytes: Vec<u8> = (0..5).flat_map(|row| quantized(row).to_bytes()).collect();
        for extension in ["npy", "safetensors"] {
            workspace.stdout(&format!("encode --model model in.txt --output-dtype {name} -o out.{extension}"));
            assert_eq!(rows(&workspace, &format!("out.{extension}")), bytes, "{name}");
        }
        let json = workspace.stdout(&format!("encode --model model in.txt --output-dtype {name} -o -"));
        for (row, line) in json.lines().enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            let numbers: Vec<f32> = serde_json::from_value(line["embedding"].clone()).unwrap();
            assert_eq!(numbers, quantized(row).to_f32(), "{name}");
        }
    }
    let descr = |name: &str| {
        workspace.stdout(&format!("encode --model model in.txt --output-dtype {name} -o out.npy"));
        String::from_utf8_lossy(&fs::read(workspace.path("out.npy")).unwrap()[10..80]).trim_end().to_owned()
    };
    assert_eq!(descr("f16"), "{'descr': '<f2', 'fortran_order': False, 'shape': (5, 16), }");
    assert_eq!(descr("binary"), "{'descr': '|i1', 'fortran_order': False, 'shape': (5, 2), }");
    assert_eq!(descr("uint8"), "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 16), }");
}

#[test]
fn ranges_come_from_the_calibration() {
    let workspace = workspace();
    workspace.put("few.txt", "how to install\nthe wifi\nslow boot\n");
    let mut ranges = Ranges::default();
    ranges.add(expected().slice(s![..3, ..]));
    let arguments = "encode --model model in.txt --output-dtype int8 --calibration few.txt -o out.npy";
    let output = workspace.command(arguments).output().unwrap();
    assert!(text(&output.stderr).contains("warning: few.txt: the ranges of values come from only 3 embeddings"));
    let quantized = |row: &[f32]| ValueType::Int8.quantize(row, Some(&ranges)).to_bytes();
    let bytes: Vec<u8> = expected().rows().into_iter().flat_map(|row| quantized(row.as_slice().unwrap())).collect();
    assert_eq!(rows(&workspace, "out.npy"), bytes);

    workspace.put("one.txt", "the wifi");
    for (arguments, status, message) in [
        ("in.txt --output-dtype int8 --calibration one.txt", 1, "one.txt: expected two or more sentences"),
        ("in.txt --calibration few.txt", 2, "--calibration: is for --output-dtype int8 and uint8, found f32"),
        ("- --output-dtype uint8", 2, "--output-dtype uint8: needs --calibration FILE"),
        ("in.txt --output-dtype int8 --append", 2, "--output-dtype int8: needs --calibration FILE"),
    ] {
        let error = workspace.error(&format!("encode --model model {arguments} -o new.npy"), status);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn fewer_dimensions_are_the_first_and_scaled_after() {
    let workspace = workspace();
    workspace.stdout("encode --model model in.txt --truncate-dim 5 -o out.npy");
    let floats = |bytes: Vec<u8>| -> Vec<f32> {
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let kept = expected().slice(s![.., ..5]).to_owned();
    assert_eq!(floats(rows(&workspace, "out.npy")), kept.iter().copied().collect::<Vec<_>>());
    workspace.stdout("encode --model model in.txt --truncate-dim 5 --normalize -o out.npy");
    for row in floats(rows(&workspace, "out.npy")).chunks(5) {
        assert!((row.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-6);
    }
    let error = workspace.error("encode --model model in.txt --truncate-dim 17 -o out.npy", 2);
    assert!(error.contains("--truncate-dim: expected 1 to 16 values, found 17"), "{error}");
}

#[test]
fn arrow_has_texts_and_embeddings() {
    let workspace = workspace();
    for value_type in ["f32", "f16"] {
        workspace.stdout(&format!("encode --model model in.txt --output-dtype {value_type} -o out.arrow"));
        let batches = FileReader::try_new(File::open(workspace.path("out.arrow")).unwrap(), None).unwrap();
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for batch in batches.map(Result::unwrap) {
            let column = |name| batch.column_by_name(name).unwrap();
            texts.extend(column("text").as_string::<i32>().iter().map(|text| text.unwrap().to_owned()));
            let lists = column("embedding").as_fixed_size_list();
            assert_eq!(lists.value_length(), 16);
            match value_type {
                "f32" => numbers.extend_from_slice(lists.values().as_primitive::<Float32Type>().values()),
                _ => numbers.extend(lists.values().as_primitive::<Float16Type>().values().iter().map(|v| v.to_f32())),
            }
        }
        assert_eq!(texts, LINES);
        let expected = expected().into_iter().map(|value| match value_type {
            "f32" => value,
            _ => half::f16::from_f32(value).to_f32(),
        });
        assert_eq!(numbers, expected.collect::<Vec<_>>());
    }
    let error = workspace.error("encode --model model in.txt --append -o out.arrow", 2);
    assert!(error.contains("--append: expected a file that ends in .npy, .jsonl or .safetensors"), "{error}");
}

#[test]
fn rows_are_added_to_what_is_there_and_none_is_lost_or_doubled() {
    let workspace = workspace();
    for (extension, options) in [("npy", ""), ("safetensors", "--output-dtype f16"), ("jsonl", "--output-dtype binary")]
    {
        workspace.put("in.txt", LINES.join("\n"));
        let encode = |options: &str, name: &str| {
            workspace.stdout(&format!("encode --model model in.txt {options} -o {name}.{extension}"))
        };
        let read = |name: &str| fs::read(workspace.path(&format!("{name}.{extension}"))).unwrap();
        encode(options, "whole");
        let appended = format!("{options} --append --json");
        workspace.put("in.txt", LINES[..3].join("\n"));
        let report: Value = serde_json::from_str(&encode(&appended, "grown")).unwrap();
        assert_eq!((&report["kept"], &report["sentences"]), (&0.into(), &3.into()));
        let three = read("grown");

        // A kill leaves a row that is not counted yet, or half of one.
        for tail in [&b""[..], b"\x01\x02{"] {
            fs::write(workspace.path(&format!("grown.{extension}")), [&three[..], tail].concat()).unwrap();
            workspace.put("in.txt", LINES.join("\n"));
            let report: Value = serde_json::from_str(&encode(&appended, "grown")).unwrap();
            assert_eq!((&report["kept"], &report["sentences"]), (&3.into(), &2.into()));
            assert!(read("grown") == read("whole"), "{extension}");
        }
        let report: Value = serde_json::from_str(&encode(&appended, "grown")).unwrap();
        assert_eq!((&report["kept"], &report["sentences"]), (&5.into(), &0.into()));
        assert!(read("grown") == read("whole"), "{extension}");
    }
}

#[test]
fn what_does_not_belong_together_is_not_added() {
    let workspace = workspace();
    let arguments = "encode --model model in.txt --append -o out.npy";
    workspace.stdout(arguments);
    let before = fs::read(workspace.path("out.npy")).unwrap();
    for (arguments, message) in [
        ("in.txt --append --prompt slow -o out.npy", "out.npy, row 5: expected the embedding of sentence 5"),
        ("in.txt --append --truncate-dim 8 -o out.npy", "expected embeddings of 8 values as f32, written by this"),
        ("in.txt --append --output-dtype f16 -o out.npy", "expected embeddings of 16 values as f16, written by this"),
        ("short.txt --append -o out.npy", "short.txt: expected the 5 sentences whose embeddings are in the output"),
        ("in.txt --append -o other.npy", "other.npy: expected embeddings of 16 values as f32"),
        ("in.txt --append -o lines.jsonl", "lines.jsonl: expected lines with a text and an embedding"),
    ] {
        workspace.put("short.txt", "the wifi");
        workspace.put("other.npy", "not NumPy's");
        workspace.put("lines.jsonl", "{}\n");
        let error = workspace.error(&format!("encode --model model {arguments}"), 1);
        assert!(error.contains(message), "{error}");
        assert!(fs::read(workspace.path("out.npy")).unwrap() == before);
    }
    assert_eq!(workspace.names(), ["in.txt", "lines.jsonl", "model", "other.npy", "out.npy", "short.txt"]);
    let mut changed = LINES;
    changed[4] = "slow wifi";
    workspace.put("in.txt", changed.join("\n"));
    let error = workspace.error(arguments, 1);
    assert!(error.contains("expected the embedding of sentence 5, \"slow wifi\", found another"), "{error}");

    workspace.put("in.txt", LINES.join("\n"));
    let file = File::options().append(true).open(workspace.path("out.npy")).unwrap();
    file.try_lock().unwrap();
    let error = workspace.error(arguments, 1);
    assert!(error.contains("expected a file that nobody writes"), "{error}");
}

#[test]
#[cfg(unix)]
fn stopped_killed_and_failed_commands_go_on() {
    let workspace = workspace();
    let many = (0..3000).map(|row| LINES[row % 5].to_owned() + "\n").collect::<String>();
    workspace.put("many.txt", &many);
    workspace.stdout("encode --model model many.txt -o whole.npy");
    let whole = fs::read(workspace.path("whole.npy")).unwrap();

    for (signal, status, message) in [("-TERM", Some(130), "the same command goes on"), ("-KILL", None, "")] {
        let mut child =
            workspace.command("encode --model model --append -o out.npy").stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(&many.as_bytes()[..many.len() / 2]).unwrap();
        while fs::metadata(workspace.path("out.npy")).map_or(0, |file| file.len()) == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), status);
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
        workspace.stdout("encode --model model many.txt --append -o out.npy");
        assert!(fs::read(workspace.path("out.npy")).unwrap() == whole);
        fs::remove_file(workspace.path("out.npy")).unwrap();
    }

    let bad = [many.as_bytes(), b"not \xff fine\n"].concat();
    let output = workspace.run_with("encode --model model --append -o out.npy", &bad);
    assert_eq!(output.status.code(), Some(1));
    let kept = fs::read(workspace.path("out.npy")).unwrap();
    let rows = (kept.len() - 192) / 64;
    assert!(rows > 0 && kept[192..] == whole[192..kept.len()]);
    workspace.stdout("encode --model model many.txt --append -o out.npy");
    assert!(fs::read(workspace.path("out.npy")).unwrap() == whole);
}
