//! Quantized embeddings, compared with sentence-transformers'.

use std::collections::HashMap;

use ndarray::Array2;
use serde::Deserialize;
use simcse_eval::{Ranges, ValueType};
use simcse_model::Named;

#[derive(Deserialize)]
struct Golden {
    embeddings: Vec<Vec<f32>>,
    calibration_rows: usize,
    quantized: HashMap<String, Vec<Vec<f32>>>,
}

#[test]
fn numbers_are_those_of_sentence_transformers() {
    let golden: Golden = serde_json::from_str(include_str!("goldens/quantization.json")).unwrap();
    let width = golden.embeddings[0].len();
    let mut ranges = Ranges::default();
    for row in &golden.embeddings[..golden.calibration_rows] {
        ranges.add(Array2::from_shape_vec((1, width), row.clone()).unwrap().view());
    }
    assert_eq!(ranges.count(), golden.calibration_rows);
    for (name, expected) in &golden.quantized {
        let value_type = ValueType::from_name(name).unwrap();
        for (row, expected) in golden.embeddings.iter().zip(expected) {
            let quantized = value_type.quantize(row, Some(&ranges));
            assert_eq!(&quantized.to_f32(), expected, "{name}");
            let bytes = quantized.to_bytes();
            assert_eq!(bytes.len(), value_type.width(width) * value_type.bytes());
            assert_eq!(value_type.read(&bytes), quantized);
        }
    }
    assert_eq!(golden.quantized.len(), ValueType::ALL.len() - 1);
}
