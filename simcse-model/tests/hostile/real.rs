//! A thousand random edits of each file of a real checkpoint. The directory is that of the
//! environment variable `SIMCSE_SHARED`; without it, the tests are skipped.

use std::fs;
use std::path::Path;

use simcse_model::Tokenizer;
use simcse_tensor::rng::Philox;

use crate::{TEXTS, alone, bounded, load};

const EDITS: u32 = 1000;

/// Makes one to four edits: changes a byte, or removes, doubles, or moves a piece.
fn edited(bytes: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut draws = 0;
    let mut below = |n: usize| {
        draws += 1;
        Philox::new(1).block([number, draws, 0, 0])[0] as usize % n.max(1)
    };
    for _ in 0..1 + below(4) {
        let at = below(bytes.len());
        let end = (at + 1 + below(16)).min(bytes.len());
        match below(4) {
            _ if bytes.is_empty() => {}
            0 => bytes[at] = below(256) as u8,
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            _ => {
                let piece: Vec<u8> = bytes.drain(at..end).collect();
                let to = below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

fn edit(from: &Path, names: &[&str], read: impl Fn(&str, &Path)) {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    for name in names {
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for edit in 0..EDITS {
            fs::write(&path, edited(&bytes, edit)).unwrap();
            read(&format!("{name}, edit {edit}"), dir.path());
        }
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_real_checkpoint() {
    let Some(shared) = std::env::var_os("SIMCSE_SHARED") else {
        println!("skipped: SIMCSE_SHARED is not set");
        return;
    };
    let names = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"];
    edit(&Path::new(&shared).join("data/tiny_bert"), &names, |case, dir| drop(load(case, dir)));
}

/// Slow, because the vocabularies have tens of thousands of words.
#[test]
#[ignore = "minutes"]
fn real_tokenizers() {
    let Some(shared) = std::env::var_os("SIMCSE_SHARED") else {
        println!("skipped: SIMCSE_SHARED is not set");
        return;
    };
    for model in ["bert-base-uncased", "roberta-base"] {
        edit(&Path::new(&shared).join("tokenizers").join(model), &["tokenizer.json"], |case, dir| {
            let size = fs::metadata(dir.join("tokenizer.json")).unwrap().len() as usize;
            let _ = bounded(case, dir, size, || Tokenizer::read(dir)?.encode_batch(&TEXTS, 9));
        });
    }
}
