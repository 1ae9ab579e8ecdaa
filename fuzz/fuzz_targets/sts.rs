//! A file of scored pairs of sentences.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_eval::Sts;
use simcse_fuzz::{bounded, file};

fuzz_target!(|bytes: &[u8]| {
    let path = file("sts.tsv", bytes);
    if let Ok(set) = bounded(bytes, || Sts::read(&path)) {
        assert!(set.pairs.iter().all(|pair| pair.score.is_finite()));
        assert!(set.pairs.iter().flat_map(|pair| pair.sentences).all(|text| text < set.texts().len()));
    }
});
