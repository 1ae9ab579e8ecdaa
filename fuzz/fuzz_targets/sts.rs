//! A file of scored pairs of sentences.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_eval::Sts;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(set) = Sts::read(&simcse_fuzz::file("sts.tsv", bytes)) {
        assert!(set.pairs.iter().all(|pair| pair.score.is_finite()));
        assert!(set.pairs.iter().flat_map(|pair| pair.sentences).all(|text| text < set.texts().len()));
    }
});
