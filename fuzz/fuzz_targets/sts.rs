//! A file of scored pairs of sentences, as any kind of table, with its columns found or named.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simcse_eval::{Sts, StsOptions};
use simcse_fuzz::{bounded, file};

fuzz_target!(|bytes: &[u8]| {
    for name in ["sts.tsv", "sts.csv", "sts.jsonl", "sts"] {
        let path = file(name, bytes);
        for columns in [None, Some("3,1,2"), Some("score,a,b")] {
            let columns = columns.map(|columns| columns.parse().unwrap());
            let split = columns.is_some().then(|| "dev".to_owned());
            let options = StsOptions { columns, split };
            if let Ok(set) = bounded(bytes, || Sts::read_with(&path, &options)) {
                assert!(set.pairs.iter().all(|pair| pair.score.is_finite()));
                assert!(set.pairs.iter().flat_map(|pair| pair.sentences).all(|text| text < set.texts().len()));
            }
        }
    }
});
