//! `modules.json` and, separated by zero bytes, the files that it refers to: none is outside the
//! model's directory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_fuzz::{bounded, file, model};
use simcse_model::ModelDirectory;

const FILES: [&str; 7] = [
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "2_Dense/config.json",
    "1_WeightedLayerPooling/config.json",
    "1_WordWeights/config.json",
];

fuzz_target!(|bytes: &[u8]| {
    let dir = model();
    let mut parts = bytes.splitn(FILES.len(), |&byte| byte == 0);
    for name in FILES {
        file(name, parts.next().unwrap_or(b"{}"));
    }
    if let Ok(model) = bounded(bytes, || ModelDirectory::read(dir)) {
        let transformer = model.transformer.canonicalize().unwrap();
        assert!(transformer.starts_with(dir.canonicalize().unwrap()));
    }
});
