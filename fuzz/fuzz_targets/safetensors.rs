//! `model.safetensors`: a file that can be read is also valid for the safetensors crate, and has
//! the same tensors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use safetensors::{Dtype, SafeTensors};
use simcse_fuzz::{bounded, file};
use simcse_model::WeightsFile;

fuzz_target!(|bytes: &[u8]| {
    let path = file("model.safetensors", bytes);
    let Ok(mut weights) = bounded(bytes, || WeightsFile::read(&path)) else { return };
    for (name, tensor) in SafeTensors::deserialize(bytes).unwrap().tensors() {
        let mut values = vec![0.0; tensor.shape().iter().product()];
        let taken = weights.contains(&name) && weights.take(&name, tensor.shape(), &mut values).is_ok();
        if taken && tensor.dtype() == Dtype::F32 {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(bytes, tensor.data());
        }
    }
    let _ = weights.finish();
});
