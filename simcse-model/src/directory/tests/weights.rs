use super::*;

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

#[test]
fn other_kinds_of_weights_come_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    refused(WeightsFile::read(&path), "not found: a model directory holds its weights as model.safetensors");
    std::fs::write(dir.path().join("pytorch_model.bin"), "").unwrap();
    refused(WeightsFile::read(&path), "safe_serialization=True");
    std::fs::write(dir.path().join("model.safetensors.index.json"), "").unwrap();
    refused(WeightsFile::read(&path), "in several files");
}
