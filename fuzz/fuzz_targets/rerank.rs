//! A reranking set of JSON lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_eval::{HeldOut, Reranking, Split};
use simcse_fuzz::{bounded, file};

fuzz_target!(|bytes: &[u8]| {
    let path = file("dev.jsonl", bytes);
    if let Ok(set) = bounded(bytes, || Reranking::read(&path, Split::Dev)) {
        let texts = set.texts().unwrap().len();
        assert!(
            set.queries.iter().all(|query| query.text < texts && query.candidates.iter().all(|&text| text < texts))
        );
        HeldOut::read(&path).unwrap();
    }
});
