use std::collections::HashMap;

use half::{bf16, f16};

use super::*;
use crate::directory::weights::tensor::CHUNK;
use crate::directory::weights::write::write_safetensors;

/// A safetensors file with a given header, followed by `data` zero bytes.
fn file(header: &str, data: usize) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// A file with one tensor of two values.
fn one(name: &str, dtype: Dtype, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let carried = CarriedTensor { name: name.to_owned(), dtype, shape: vec![2], bytes: bytes.to_vec() };
    write_safetensors::<&str>(&path, [], &[carried]).unwrap();
    (dir, path)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, message: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn tensors_and_buffers_survive_a_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let ids = CarriedTensor {
        name: "embeddings.position_ids".to_owned(),
        dtype: Dtype::I64,
        shape: vec![1, 2],
        bytes: (0..16).collect(),
    };
    let a = [1.0, -2.5, f32::MIN_POSITIVE, 0.1, 5.0, 6.0];
    let b = [7.0];
    let tensors: [(_, &[usize], &[f32]); 2] = [("b.weight", &[2, 3], &a), ("a", &[1], &b)];
    write_safetensors(&path, tensors, std::slice::from_ref(&ids)).unwrap();

    let bytes = std::fs::read(&path).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.tensor("b.weight").unwrap().shape(), [2, 3]);
    let metadata = safetensors::SafeTensors::read_metadata(&bytes).unwrap().1;
    assert_eq!(*metadata.metadata(), Some(HashMap::from([("format".to_owned(), "pt".to_owned())])));

    let mut weights = WeightsFile::read(&path).unwrap();
    let mut a_back = [0.0; 6];
    let mut b_back = [0.0];
    assert!(weights.contains("a"));
    weights.take("a", &[1], &mut b_back).unwrap();
    assert!(!weights.contains("a"));
    weights.take("b.weight", &[2, 3], &mut a_back).unwrap();
    assert_eq!(a_back, a);
    assert_eq!(b_back, b);
    assert_eq!(weights.carry(&ids.name).unwrap(), ids);
    weights.finish().unwrap();
}

#[test]
fn a_tensor_longer_than_a_chunk_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let values: Vec<f32> = (0..CHUNK / 4 + 3).map(|i| i as f32).collect();
    write_safetensors(&path, [("w", &[values.len()][..], &values[..])], &[]).unwrap();
    let mut back = vec![0.0; values.len()];
    WeightsFile::read(&path).unwrap().take("w", &[values.len()], &mut back).unwrap();
    assert_eq!(back, values);
}

#[test]
fn other_precisions_become_f32() {
    for (dtype, bytes) in [
        (Dtype::F64, [1.5_f64, -0.25].map(f64::to_le_bytes).concat()),
        (Dtype::F16, [f16::from_f32(1.5), f16::from_f32(-0.25)].map(f16::to_le_bytes).concat()),
        (Dtype::BF16, [bf16::from_f32(1.5), bf16::from_f32(-0.25)].map(bf16::to_le_bytes).concat()),
    ] {
        let (_dir, path) = one("w", dtype, &bytes);
        let mut out = [0.0; 2];
        WeightsFile::read(&path).unwrap().take("w", &[2], &mut out).unwrap();
        assert_eq!(out, [1.5, -0.25]);
    }
}

/// The nearest f32; a double that is too large for one is refused, not made infinite.
#[test]
fn doubles_are_rounded_and_must_fit() {
    let (_dir, path) = one("w", Dtype::F64, &[0.1, 1e-300].map(f64::to_le_bytes).concat());
    let mut out = [f32::NAN; 2];
    WeightsFile::read(&path).unwrap().take("w", &[2], &mut out).unwrap();
    assert_eq!(out, [0.1_f32, 0.0]);
    let (_dir, path) = one("w", Dtype::F64, &[1.0, -1e39].map(f64::to_le_bytes).concat());
    refused(WeightsFile::read(&path).unwrap().take("w", &[2], &mut out), "expected finite values, found -inf");
}

#[test]
fn tensors_that_were_not_taken_are_named() {
    let (_dir, path) = one("my\u{1b}layer", Dtype::F32, &[0; 8]);
    refused(WeightsFile::read(&path).unwrap().finish(), r"tensor my\u{1b}layer: expected only");
}

#[test]
fn bad_tensors_are_named() {
    let (_dir, path) = one("w", Dtype::I32, &[0; 8]);
    let mut weights = WeightsFile::read(&path).unwrap();
    let mut out = [0.0; 2];
    refused(weights.take("v", &[2], &mut out), "tensor v: expected shape [2], found no such tensor");
    refused(weights.take("w", &[2, 1], &mut out), "tensor w: expected shape [2, 1], found shape [2]");
    refused(weights.take("w", &[2], &mut out), "expected type F64, F32, F16 or BF16, found type I32");
    for value in [f32::NAN, f32::INFINITY] {
        let (_dir, path) = one("w", Dtype::F32, &[1.0, value].map(f32::to_le_bytes).concat());
        refused(WeightsFile::read(&path).unwrap().take("w", &[2], &mut out), "expected finite values");
    }
}

#[test]
fn broken_files_are_refused() {
    let tensor = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    for (header, data) in [
        ("", 0),
        ("{", 0),
        (tensor, 7),
        (tensor, 9),
        (r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8),
        (r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, 12),
        (r#"{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, 0),
    ] {
        let (_dir, path) = file(header, data);
        refused(WeightsFile::read(&path), "expected a safetensors file, found");
    }
    let (_dir, path) = file(tensor, 8);
    std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
    refused(WeightsFile::read(&path), "a header of 18446744073709551615 bytes in a file of 8");
    std::fs::write(&path, [0; 4]).unwrap();
    refused(WeightsFile::read(&path), "expected a safetensors file");
}

/// The order of transformers.
#[test]
fn the_first_form_that_exists_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let missing = "model.safetensors: not found: a model directory holds its weights as model.safetensors or pytorch_";
    refused(WeightsFile::find(dir.path()), missing);
    let forms =
        ["pytorch_model.bin.index.json", "pytorch_model.bin", "model.safetensors.index.json", "model.safetensors"];
    for name in forms {
        std::fs::write(dir.path().join(name), "").unwrap();
        refused(WeightsFile::find(dir.path()), &format!("{name}: expected "));
    }
}

#[test]
fn a_file_under_the_name_of_another_format_comes_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\n";
    for (name, content, advice) in [
        ("model.safetensors", "PK\x03\x04 and more", "rename it to pytorch_model.bin"),
        ("model.safetensors", pointer, "`git lfs pull`"),
        ("pytorch_model.bin", pointer, "`git lfs pull`"),
        ("pytorch_model.bin", "\x08\0\0\0\0\0\0\0{}      ", "neither a zip archive nor"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        refused(WeightsFile::read(&path), advice);
    }
}

/// A directory with two shards, and an index with this map.
fn sharded(map: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for (file, name, value) in [("1.safetensors", "a", 1.0), ("2.safetensors", "b", 2.0)] {
        write_safetensors(&dir.path().join(file), [(name, &[1][..], &[value][..])], &[]).unwrap();
    }
    write_safetensors(&dir.path().join("again.safetensors"), [("a", &[1][..], &[3.0][..])], &[]).unwrap();
    let path = dir.path().join("model.safetensors.index.json");
    std::fs::write(&path, format!(r#"{{"metadata": {{}}, "weight_map": {map}}}"#)).unwrap();
    (dir, path)
}

#[test]
fn shards_are_read_as_one_file() {
    let (_dir, path) = sharded(r#"{"a": "1.safetensors", "b": "2.safetensors"}"#);
    let mut weights = WeightsFile::read(&path).unwrap();
    let mut out = [0.0; 2];
    weights.take("b", &[1], &mut out[1..]).unwrap();
    weights.take("a", &[1], &mut out[..1]).unwrap();
    assert_eq!(out, [1.0, 2.0]);
    weights.finish().unwrap();
}

#[test]
fn bad_indexes_and_shards_are_refused_by_name() {
    let many: Vec<_> = (0..300).map(|i| format!(r#""t{i}": "{i}.safetensors""#)).collect();
    for (map, message) in [
        ("{}", "index.json: weight_map: expected an object from names of tensors to names of files, found {}"),
        (r#"["1.safetensors"]"#, "weight_map: expected an object"),
        ("null", "weight_map: expected an object"),
        (r#"{"a": 1}"#, "weight_map.a: expected the name of a .safetensors file next to it, found 1"),
        (r#"{"a": "../1.safetensors"}"#, "weight_map.a: expected the name of a .safetensors file next to it"),
        (r#"{"a": "/1.safetensors"}"#, "weight_map.a: expected"),
        (r#"{"a": "1.bin"}"#, "weight_map.a: expected"),
        (r#"{"a": "model.safetensors.index.json"}"#, "weight_map.a: expected"),
        (r#"{"a": "3.safetensors"}"#, "3.safetensors: not found: "),
        (r#"{"c": "1.safetensors"}"#, "1.safetensors: tensor c: expected a tensor, as the index says, found no such"),
        (
            r#"{"a": "1.safetensors", "a ": "again.safetensors"}"#,
            "again.safetensors: tensor a : expected a tensor, as the index says",
        ),
        (&format!("{{{}}}", many.join(",")), "weight_map: expected at most 256 files, found more"),
    ] {
        refused(WeightsFile::read(&sharded(map).1), message);
    }
    let (dir, path) = sharded(r#"{"a": "1.safetensors", "b": "2.safetensors"}"#);
    std::fs::copy(dir.path().join("again.safetensors"), dir.path().join("2.safetensors")).unwrap();
    refused(WeightsFile::read(&path), "2.safetensors: tensor b: expected a tensor, as the index says");
    let both: [(_, &[usize], &[f32]); 2] = [("a", &[1], &[3.0]), ("b", &[1], &[3.0])];
    write_safetensors(&dir.path().join("2.safetensors"), both, &[]).unwrap();
    refused(WeightsFile::read(&path), "2.safetensors: tensor a: expected each tensor in one shard, found another");
}
