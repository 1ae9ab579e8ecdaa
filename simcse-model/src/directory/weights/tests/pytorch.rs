//! The files are written by PyTorch, with `tools/generate/weights.py`.

use std::path::PathBuf;

use crate::directory::weights::file::WeightsFile;
use crate::error::Result;

const BUFFERS: [&str; 2] = ["position_ids", "backward_ids"];

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/weights").join(name)
}

fn names(weights: &WeightsFile) -> Vec<String> {
    weights.names().map(str::to_owned).collect()
}

fn taken(weights: &mut WeightsFile, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
    let shape = weights.shape(name).unwrap().to_vec();
    let mut values = vec![f32::NAN; shape.iter().product()];
    weights.take(name, &shape, &mut values)?;
    Ok((shape, values))
}

#[test]
fn every_format_and_type_gives_the_values_of_the_safetensors_file() {
    for name in ["archive.bin", "old.bin", "f16.bin", "bf16.bin", "f64_old.bin"] {
        let mut expected = WeightsFile::read(&file("expected.safetensors")).unwrap();
        let mut weights = WeightsFile::read(&file(name)).unwrap();
        assert_eq!(names(&weights), names(&expected), "{name}");
        for tensor in names(&expected) {
            if BUFFERS.contains(&tensor.as_str()) {
                assert_eq!(weights.carry(&tensor).unwrap(), expected.carry(&tensor).unwrap(), "{name}: {tensor}");
            } else {
                assert_eq!(taken(&mut weights, &tensor).unwrap(), taken(&mut expected, &tensor).unwrap(), "{name}");
            }
        }
        weights.finish().unwrap();
    }
}

#[test]
fn integers_are_listed_but_are_no_weights() {
    let error = taken(&mut WeightsFile::read(&file("archive.bin")).unwrap(), "position_ids").unwrap_err().to_string();
    assert!(error.ends_with("position_ids: expected type F64, F32, F16 or BF16, found type I64"), "{error}");
}

#[test]
fn whatever_is_not_a_dictionary_of_plain_tensors_is_refused_by_name() {
    for (name, expected) in [
        // What the module of `os.system` is called on this kind of system.
        ("system", "the global posix.system, which no dictionary of tensors needs"),
        ("eval", "the global __builtin__.eval, which"),
        ("module", "the global torch.nn.modules.linear.Linear, which"),
        ("sparse", "the global torch._utils._rebuild_sparse_tensor, which"),
        ("complex", "the global torch.ComplexFloatStorage, which"),
        ("number", "tensor epoch: expected a tensor, found a number"),
        ("expanded", "tensor a: expected a view of 1 values without overlap, found shape [4] with strides [0] at 0"),
        ("list", "found: a list"),
        ("protocol", "a pickle of protocol 4 (torch.save's own is 2)"),
        ("nan", "tensor a: expected finite values, found NaN"),
        ("pickle", "neither a zip archive nor the pickles of older versions"),
        ("compressed", "data.pkl compressed by method 8 (DEFLATE)"),
        ("big_endian", "values in the order of a big-endian machine"),
    ] {
        let path = file(&format!("refused/{name}.bin"));
        let read = WeightsFile::read(&path).and_then(|mut weights| taken(&mut weights, "a"));
        let error = read.unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.contains(expected), "{name}: {error}");
    }
}
