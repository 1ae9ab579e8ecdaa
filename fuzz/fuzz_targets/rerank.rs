//! A reranking set of JSON lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_eval::{HeldOut, Reranking, Split};

fuzz_target!(|bytes: &[u8]| {
    let path = simcse_fuzz::file("dev.jsonl", bytes);
    if let Ok(set) = Reranking::read(&path, Split::Dev) {
        let texts = set.texts().unwrap().len();
        assert!(set.queries.iter().all(|query| query.text < texts && query.candidates.iter().all(|&text| text < texts)));
        HeldOut::read(&path).unwrap();
    }
});
