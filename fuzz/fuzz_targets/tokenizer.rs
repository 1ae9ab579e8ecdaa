//! `tokenizer.json`: whatever is read encodes within the length, or says why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_fuzz::TEXTS;
use simcse_model::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    let path = simcse_fuzz::file("tokenizer.json", bytes);
    let Ok(tokenizer) = Tokenizer::read(path.parent().unwrap()) else { return };
    if let Ok(tokens) = tokenizer.encode_batch(&TEXTS, 12) {
        assert!(tokens.ids.iter().all(|ids| (1..=12).contains(&ids.len())));
        assert!(tokens.ids.iter().flatten().all(|&id| id <= tokenizer.max_id()));
    }
});
