//! `modules.json` and what it leads to: nothing outside of the model's directory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_model::ModelDirectory;

fuzz_target!(|bytes: &[u8]| {
    let dir = simcse_fuzz::model();
    simcse_fuzz::file("modules.json", bytes);
    if let Ok(model) = ModelDirectory::read(dir) {
        let transformer = model.transformer.canonicalize().unwrap();
        assert!(transformer.starts_with(dir.canonicalize().unwrap()));
    }
});
