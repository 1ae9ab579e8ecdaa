//! `pytorch_model.bin`, an archive or the older format: whatever is read has finite values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_fuzz::{bounded, file};
use simcse_model::WeightsFile;

/// Names and shapes of tensors in the seeds.
const TENSORS: [(&str, &[usize]); 4] = [("w", &[2]), ("t", &[3, 2]), ("s", &[2, 2]), ("h", &[])];

fuzz_target!(|bytes: &[u8]| {
    let path = file("pytorch_model.bin", bytes);
    let Ok(mut weights) = bounded(bytes, || WeightsFile::read(&path)) else { return };
    for (name, shape) in TENSORS {
        let mut values = vec![f32::NAN; shape.iter().product()];
        if weights.contains(name) && weights.take(name, shape, &mut values).is_ok() {
            assert!(values.iter().all(|value| value.is_finite()));
        }
    }
    let _ = weights.finish();
});
