use std::path::PathBuf;

use simcse_tensor::Layout;

use super::*;
use crate::directory::weights::write::write_safetensors;

const WORDS: &str = "embeddings.word_embeddings.weight";
const QUERY: &str = "encoder.layer.0.attention.self.query.weight";
const NORM: &str = "encoder.layer.0.output.LayerNorm.weight";
const NORM_BIAS: &str = "encoder.layer.0.output.LayerNorm.bias";

/// What an encoder of four parameters needs.
fn needed() -> Layout {
    let mut layout = Layout::default();
    layout.push(WORDS, &[3, 2], true, true);
    layout.push(QUERY, &[2, 2], true, true);
    layout.push(NORM, &[2], false, true);
    layout.push(NORM_BIAS, &[2], false, true);
    layout
}

/// That encoder's tensors under a prefix.
fn encoder(prefix: &str) -> Vec<(String, Vec<usize>)> {
    let named = |tensor: &Parameter| (format!("{prefix}{}", tensor.name), tensor.shape.clone());
    needed().parameters().iter().map(named).collect()
}

fn tensor(name: &str, shape: &[usize]) -> (String, Vec<usize>) {
    (name.to_owned(), shape.to_vec())
}

/// A file with these tensors, each filled with its place in the list.
fn stored(tensors: &[(String, Vec<usize>)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let values = |(place, (_, shape)): (usize, &(_, Vec<usize>))| vec![place as f32; shape.iter().product()];
    let values: Vec<Vec<f32>> = tensors.iter().enumerate().map(values).collect();
    let tensors = tensors.iter().zip(&values).map(|((name, shape), values)| (name, &shape[..], &values[..]));
    write_safetensors(&path, tensors, &[]).unwrap();
    (dir, path)
}

fn find(tensors: &[(String, Vec<usize>)]) -> Result<EncoderTensors> {
    let (_dir, path) = stored(tensors);
    EncoderTensors::find(WeightsFile::read(&path).unwrap(), needed().parameters())
}

/// Takes the whole encoder, whose tensors are the first ones of the file, and returns what is left,
/// without the name of the file.
#[track_caller]
fn take_all(tensors: &[(String, Vec<usize>)]) -> Rest {
    let mut weights = find(tensors).unwrap();
    for (place, parameter) in needed().parameters().iter().enumerate() {
        let mut values = vec![f32::NAN; parameter.len()];
        weights.take(&parameter.name, &parameter.shape, &mut values).unwrap();
        assert!(values.iter().all(|&value| value == place as f32), "{}: {values:?}", parameter.name);
    }
    let rest = weights.finish().unwrap();
    assert!(rest.file.ends_with("model.safetensors"));
    Rest { file: PathBuf::new(), ..rest }
}

#[track_caller]
fn refused(tensors: &[(String, Vec<usize>)], message: &str) {
    let error = find(tensors).map(drop).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn any_one_prefix_is_recognized() {
    let wrappers = ["", "bert.", "roberta.", "distilbert.", "model.", "module.", "encoder.", "auto_model."];
    let nested = ["0.auto_model.", "module.bert.", "model.encoder.", "encoder.encoder.", "_orig_mod.student.0."];
    for prefix in wrappers.into_iter().chain(nested) {
        assert_eq!(take_all(&encoder(prefix)), Rest::default(), "{prefix}");
    }
}

#[test]
fn what_the_encoder_does_not_use_is_listed_by_its_name_in_the_file() {
    let mut tensors = encoder("bert.");
    tensors.extend([
        tensor("mlp.dense.weight", &[2, 2]),
        tensor("bert.pooler.dense.weight", &[2, 2]),
        tensor("bert.encoder.layer.1.attention.self.query.weight", &[2, 2]),
        tensor("teacher.embeddings.position_ids", &[2]),
    ]);
    let rest = take_all(&tensors);
    let expected = [
        "bert.encoder.layer.1.attention.self.query.weight",
        "bert.pooler.dense.weight",
        "mlp.dense.weight",
        "teacher.embeddings.position_ids",
    ];
    assert_eq!(rest.left_out, expected);
    assert_eq!(rest.carried, []);
}

#[test]
fn known_heads_are_left_out_silently_next_to_the_encoder_and_further_up() {
    for head in ["cls.predictions.bias", "module.lm_head.dense.weight", "module.bert.qa_outputs.weight"] {
        let mut tensors = encoder("module.bert.");
        tensors.push(tensor(head, &[2]));
        assert_eq!(take_all(&tensors), Rest::default(), "{head}");
    }
    let mut tensors = encoder("bert.");
    tensors.push(tensor("other.cls.bias", &[2]));
    assert_eq!(take_all(&tensors).left_out, ["other.cls.bias"]);
}

#[test]
fn buffers_are_carried_under_their_bare_names() {
    let mut tensors = encoder("0.auto_model.");
    tensors.push(tensor("0.auto_model.embeddings.position_ids", &[1, 2]));
    let (_dir, path) = stored(&[tensor("embeddings.position_ids", &[1, 2])]);
    let buffer = WeightsFile::read(&path).unwrap().carry("embeddings.position_ids").unwrap();
    let rest = take_all(&tensors);
    assert_eq!(rest.left_out, [""; 0]);
    assert_eq!(rest.carried.len(), 1);
    assert_eq!(rest.carried[0].size(), buffer.size());
}

#[test]
fn old_names_of_layer_norm_are_read() {
    let old =
        |name: &str| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    for prefix in ["", "bert."] {
        let tensors: Vec<_> = encoder(prefix).into_iter().map(|(name, shape)| (old(&name), shape)).collect();
        assert_eq!(take_all(&tensors), Rest::default());
    }
    let mut tensors = encoder("bert.");
    tensors.push(tensor(&format!("bert.{}", old(NORM)), &[2]));
    refused(&tensors, "LayerNorm.weight, bert.encoder.layer.0.output.LayerNorm.gamma: expected one tensor, found two");
}

#[test]
fn several_encoders_are_refused_by_name() {
    for (one, another) in [("", "bert."), ("bert.", "teacher."), ("model.", "module.model.")] {
        let tensors = [encoder(one), encoder(another)].concat();
        let error = find(&tensors).map(drop).unwrap_err().to_string();
        assert!(error.contains("expected one encoder in the file, found 2"), "{error}");
        assert!(error.contains(&format!("{one}{WORDS}")) && error.contains(&format!("{another}{WORDS}")), "{error}");
    }
}

/// A teacher of another size is no second encoder.
#[test]
fn only_what_fits_the_configuration_is_an_encoder() {
    let mut tensors = encoder("student.");
    tensors.extend(encoder("teacher.").into_iter().map(|(name, shape)| {
        let wider = shape.iter().map(|size| size + 1).collect();
        (name, wider)
    }));
    assert_eq!(take_all(&tensors).left_out.len(), needed().parameters().len());
}

#[test]
fn what_the_encoder_needs_must_be_there() {
    refused(&[], "tensor embeddings.word_embeddings.weight: expected shape [3, 2], found no such tensor");
    for (missing, name) in [WORDS, QUERY, NORM, NORM_BIAS].into_iter().enumerate() {
        let mut tensors = encoder("");
        tensors.remove(missing);
        refused(&tensors, &format!("tensor {name}: expected shape"));
    }
    // The error is about the encoder that goes furthest, by its names in the file.
    let mut tensors = [encoder("bert."), encoder("a.")].concat();
    tensors.retain(|(name, _)| name != &format!("a.{QUERY}") && name != &format!("bert.{NORM_BIAS}"));
    refused(&tensors, &format!("tensor bert.{NORM_BIAS}: expected shape [2], found no such tensor"));

    let mut tensors = encoder("bert.");
    tensors[1].1 = vec![2, 5];
    refused(&tensors, &format!("tensor bert.{QUERY}: expected shape [2, 2], found shape [2, 5]"));
}

/// A prefix ends with a dot: `my_embeddings.word_embeddings.weight` is another tensor.
#[test]
fn part_of_a_word_is_no_prefix() {
    refused(&encoder("my_"), "tensor embeddings.word_embeddings.weight: expected shape [3, 2], found no such tensor");
}
