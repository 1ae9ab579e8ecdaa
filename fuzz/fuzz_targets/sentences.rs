//! A file of sentences, plain or gzip: every line is either a sentence or counted as skipped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_fuzz::{bounded, file};
use simcse_model::io::Lines;
use simcse_train::Examples;

fuzz_target!(|bytes: &[u8]| {
    let path = file("in.txt", bytes);
    let Ok(sentences) = bounded(bytes, || Examples::read(&path, 3)) else { return };
    let mut lines = Lines::open(&path).unwrap();
    let mut count = 0;
    while lines.next_line().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, sentences.len() as u64 + sentences.skipped());
    assert!(sentences.texts().all(|sentence| sentence.chars().count() >= 3));
    assert!(sentences.duplicates() < sentences.len());
});
