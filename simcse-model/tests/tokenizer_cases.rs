//! Generated model directories with every combination of tokenizer settings, compared with
//! sentence-transformers. Skipped unless `SIMCSE_TOKENIZER_CASES` names a directory that
//! `tools/peer/tokenizer_cases.py` wrote.
//!
//! Whatever the files say: the same token ids and embeddings as there, or an error. An error is
//! allowed where sentence-transformers fails, too, and for the reasons in [`UNSUPPORTED`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use simcse_model::{BufferPool, SentenceEncoder};

/// What sentence-transformers accepts and we refuse, by a piece of the message.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("not supported", "it says that this is not supported"),
    ("it has no token, and so no embedding", "a text without tokens"),
    ("max_seq_length: expected more than", "no room for text"),
];

/// As floats of two implementations differ.
const TOLERANCE: f32 = 2e-5;

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    error: Option<String>,
    #[serde(default)]
    prompts: BTreeMap<String, Prompted>,
}

impl Expected {
    fn always_fails(&self) -> bool {
        let rows = self.prompts.values().flat_map(|prompted| &prompted.rows);
        rows.into_iter().all(|row| row.embedding.is_none())
    }
}

#[derive(Deserialize)]
struct Prompted {
    text: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    ids: Option<Vec<u32>>,
    embedding: Option<Vec<Option<f32>>>,
    error: Option<String>,
}

#[test]
fn token_ids_and_embeddings_are_sentence_transformers() {
    let Some(dir) = std::env::var_os("SIMCSE_TOKENIZER_CASES").map(PathBuf::from) else {
        println!("skipped: SIMCSE_TOKENIZER_CASES is not set");
        return;
    };
    let mut cases: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let mut tally = BTreeMap::<String, usize>::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = std::fs::read(case.join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_slice(&expected).unwrap();
        match compare(case, &expected) {
            Ok(verdict) => *tally.entry(verdict).or_default() += 1,
            Err(difference) => wrong.push(format!("{}: {difference}", case.display())),
        }
    }
    for (verdict, count) in &tally {
        println!("{count:5} {verdict}");
    }
    assert!(cases.len() >= 20 && tally.get("same").is_some_and(|same| 2 * same > cases.len()), "{tally:?}");
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What was found, or how it differs from what is allowed.
fn compare(case: &Path, expected: &Expected) -> Result<String, String> {
    let encoder = match (SentenceEncoder::load(case), &expected.error) {
        (Ok(encoder), None) => encoder,
        (Ok(_), Some(error)) => return Err(format!("the peer fails: {error}")),
        (Err(_), Some(_)) => return Ok("refused, and the peer fails".to_owned()),
        (Err(_), None) if expected.always_fails() => return Ok("refused, and the peer fails at every text".to_owned()),
        (Err(error), None) => {
            println!("{error}");
            return allowed(&error.to_string()).map(|reason| format!("refused: {reason}"));
        }
    };
    for (name, prompted) in &expected.prompts {
        let prompts = &encoder.directory.prompts;
        let prompt = match name.as_str() {
            "default" => prompts.default_prompt(),
            "query" => prompts.query(),
            _ => prompts.document(),
        };
        if prompt != prompted.text {
            return Err(format!("{name} prompt {prompt:?}, expected {:?}", prompted.text));
        }
        for (text, row) in expected.texts.iter().zip(&prompted.rows) {
            compare_text(&encoder, prompt, text, row).map_err(|difference| format!("{name} {text:?}: {difference}"))?;
        }
    }
    let written = case.join("written");
    encoder.save(&written).map_err(|error| error.to_string())?;
    let again = SentenceEncoder::load(&written).map_err(|error| format!("written, but not read: {error}"))?;
    for text in &expected.texts {
        let [before, after] = [&encoder, &again].map(|encoder| encoder.tokenize(&[text]).map(|tokens| tokens.ids));
        if before.as_ref().ok() != after.as_ref().ok() {
            return Err(format!("{text:?}: {before:?}, after saving {after:?}"));
        }
    }
    Ok("same".to_owned())
}

fn compare_text(encoder: &SentenceEncoder, prompt: &str, text: &str, row: &Row) -> Result<(), String> {
    let tokens = encoder
        .prompt(prompt)
        .and_then(|prompt| Ok((prompt.excluded, encoder.tokenize_with_prompt(prompt, &[text])?.ids)));
    let (excluded, found) = match (tokens, &row.ids) {
        (Ok(found), Some(_)) => found,
        (Err(_), None) => return Ok(()),
        (Err(error), Some(_)) => return allowed(&error.to_string()).map(drop),
        // Longer texts than the model has positions for are cut, where the peer has no bound that
        // does.
        (Ok((_, ids)), None) if ids[0].len() == encoder.config().max_tokens() => return Ok(()),
        (Ok((_, ids)), None) => return Err(format!("{ids:?}, where the peer fails: {:?}", row.error)),
    };
    if Some(&found[0]) != row.ids.as_ref() {
        return Err(format!("{:?}, expected {:?}", found[0], row.ids));
    }
    let Some(expected) = &row.embedding else {
        return Ok(());
    };
    let embedding = encoder.encode_tokens_after(excluded, &found, &mut BufferPool::new());
    let close = |found: f32, expected: Option<f32>| match expected {
        Some(expected) => (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0),
        None => !found.is_finite(),
    };
    match embedding.iter().zip(expected).all(|(&found, &expected)| close(found, expected)) {
        true => Ok(()),
        false => Err(format!("{embedding}, expected {expected:?}")),
    }
}

fn allowed(error: &str) -> Result<String, String> {
    let reason = UNSUPPORTED.iter().find(|(piece, _)| error.contains(piece));
    reason
        .map(|(_, reason)| (*reason).to_owned())
        .ok_or_else(|| format!("refused, where the peer does not fail: {error}"))
}
