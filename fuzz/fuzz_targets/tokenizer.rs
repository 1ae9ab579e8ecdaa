//! `tokenizer.json`: a tokenizer that can be read encodes texts within the maximum length, or
//! returns an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_fuzz::{bounded, encode, file};
use simcse_model::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    let path = file("tokenizer.json", bytes);
    if let Ok(tokenizer) = bounded(bytes, || Tokenizer::read(path.parent().unwrap())) {
        bounded(bytes, || encode(&tokenizer));
    }
});
