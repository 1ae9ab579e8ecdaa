//! The files that replace a `tokenizer.json`, separated by zero bytes: `tokenizer_config.json` with
//! `vocab.txt`, or with `vocab.json` and `merges.txt`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_fuzz::{bounded, encode, file};
use simcse_model::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |&byte| byte == 0);
    let mut part = || parts.next();
    let config = file("tokenizer_config.json", part().unwrap_or_default());
    let files = match (part().unwrap_or_default(), part()) {
        (words, None) => vec![file("vocab.txt", words)],
        (vocab, Some(merges)) => vec![file("vocab.json", vocab), file("merges.txt", merges)],
    };
    if let Ok(tokenizer) = bounded(bytes, || Tokenizer::read(config.parent().unwrap())) {
        bounded(bytes, || encode(&tokenizer));
    }
    files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
});
