//! `config.json`: a configuration that can be read is the same after it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_fuzz::{bounded, file};
use simcse_model::ModelConfig;

fuzz_target!(|bytes: &[u8]| {
    let path = file("config.json", bytes);
    if let Ok(config) = bounded(bytes, || ModelConfig::read(&path)) {
        assert_eq!(ModelConfig::read(&file("again.json", config.to_json().as_bytes())).unwrap(), config);
    }
});
