//! The files of an AskUbuntu directory: `dev.txt` and `text_tokenized.txt`, separated by a zero
//! byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_eval::{Reranking, Split, Titles};
use simcse_fuzz::{bounded, file};

fuzz_target!(|bytes: &[u8]| {
    let (annotations, texts) = bytes.split_at(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    let path = file("dev.txt", annotations);
    file("text_tokenized.txt", texts.get(1..).unwrap_or_default());
    let dir = path.parent().unwrap();
    if let Ok(set) = bounded(bytes, || Reranking::read(dir, Split::Dev)) {
        set.baseline_bm25().unwrap();
        assert!(Titles::open(dir).unwrap().all(|title| title.is_ok()));
    }
});
