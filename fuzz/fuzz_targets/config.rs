//! `config.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_model::ModelConfig;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = ModelConfig::read(&simcse_fuzz::file("config.json", bytes)) {
        assert_eq!(ModelConfig::read(&simcse_fuzz::file("again.json", config.to_json().as_bytes())).unwrap(), config);
    }
});
