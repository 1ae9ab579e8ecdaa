//! Hostile texts: for tokenizers of BERT's, RoBERTa's and XLM-RoBERTa's kinds, the token ids are those that the
//! tokenizers library itself returns, including truncation.

use proptest::prelude::*;
use serde_json::{Value, json};
use simcse_model::Tokenizer;
use tokenizers::TruncationParams;

/// Texts, and words to repeat. `tools/peer/hostile_ids.py` gives the same file to the Python
/// library.
const HOSTILE: &str = include_str!("hostile_texts.json");

fn list(name: &str) -> Vec<String> {
    let hostile: Value = serde_json::from_str(HOSTILE).unwrap();
    serde_json::from_value(hostile[name].clone()).unwrap()
}

fn texts() -> Vec<String> {
    list("texts").into_iter().chain(list("repeated").iter().map(|word| word.repeat(10_000))).collect()
}

/// A tokenizer of ours, and the library's from the `tokenizer.json` that ours writes.
struct Both {
    ours: Tokenizer,
    librarys: tokenizers::Tokenizer,
    max_length: usize,
}

impl Both {
    fn new(ours: Tokenizer, max_length: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        ours.write(dir.path(), true).unwrap();
        let mut librarys = tokenizers::Tokenizer::from_file(dir.path().join("tokenizer.json")).unwrap();
        librarys.with_truncation(Some(TruncationParams { max_length, ..TruncationParams::default() })).unwrap();
        Self { ours, librarys, max_length }
    }

    fn assert_equal(&self, texts: &[String]) {
        for (text, found) in texts.iter().zip(self.ours.encode_batch(texts, self.max_length).unwrap().ids) {
            let expected = self.librarys.encode(text.as_str(), true).unwrap();
            let shown: String = text.chars().take(60).collect();
            assert_eq!(found, expected.get_ids(), "{shown:?}, at most {} tokens", self.max_length);
        }
    }
}

/// BERT's kind, with part of each text in its vocabulary.
fn word_piece(do_lower_case: bool) -> Tokenizer {
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).to_vec();
    let texts = list("texts").concat();
    let characters = texts.chars().filter(|c| !c.is_whitespace()).step_by(2);
    let pieces = characters.flat_map(|c| [c.to_string(), format!("##{c}")]);
    for word in pieces.chain(["the", "##ing", "double", "spaces", "##aa"].map(str::to_owned)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Tokenizer::word_piece(&words, do_lower_case).unwrap()
}

fn byte_level() -> Tokenizer {
    Tokenizer::byte_level_bpe(&list("texts"), 500).unwrap()
}

/// RoBERTa's kind, from a `vocab.json` and a `merges.txt`.
fn roberta() -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    byte_level().write(dir.path(), false).unwrap();
    let trained: Value = serde_json::from_slice(&std::fs::read(file("tokenizer.json")).unwrap()).unwrap();
    let tokens = trained["model"]["vocab"].as_object().unwrap().keys().filter(|token| !token.starts_with('['));
    let special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"].map(str::to_owned);
    let vocab: serde_json::Map<_, _> =
        special.iter().chain(tokens).zip(0..).map(|(token, id)| (token.clone(), json!(id))).collect();
    let known = |token: &Value| vocab.contains_key(token.as_str().unwrap());
    let pairs = trained["model"]["merges"].as_array().unwrap().iter().map(|pair| (&pair[0], &pair[1]));
    let merges = pairs.filter(|(a, b)| known(a) && known(b));
    let merges: Vec<_> = merges.map(|(a, b)| format!("{} {}\n", a.as_str().unwrap(), b.as_str().unwrap())).collect();
    assert!(merges.len() > 100);
    let roberta = tempfile::tempdir().unwrap();
    let write = |name: &str, content: String| std::fs::write(roberta.path().join(name), content).unwrap();
    write("vocab.json", serde_json::to_string(&vocab).unwrap());
    write("merges.txt", merges.concat());
    Tokenizer::read(roberta.path()).unwrap()
}

/// XLM-RoBERTa's kind, with part of each text among its pieces.
fn unigram() -> Tokenizer {
    let texts = list("texts").concat();
    let characters = texts.chars().filter(|c| !c.is_whitespace()).step_by(2);
    let mut pieces: Vec<String> = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁the", "ing"].map(str::to_owned).to_vec();
    for piece in characters.flat_map(|c| [c.to_string(), format!("▁{c}")]) {
        if !pieces.contains(&piece) {
            pieces.push(piece);
        }
    }
    let words = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true });
    let pieces: Vec<_> = pieces.iter().zip(0..).map(|(piece, rank)| json!([piece, -0.01 * f64::from(rank)])).collect();
    let token = |token: &str| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let with_id = |token: &str, id: u32| json!({ "id": token, "ids": [id], "tokens": [token] });
    let json = json!({ "version": "1.0", "added_tokens": [], "normalizer": { "type": "NFKC" },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [{ "type": "WhitespaceSplit" }, words] },
        "post_processor": { "type": "TemplateProcessing",
            "single": [token("<s>"), { "Sequence": { "id": "A", "type_id": 0 } }, token("</s>")], "pair": [],
            "special_tokens": { "<s>": with_id("<s>", 0), "</s>": with_id("</s>", 2) } },
        "model": { "type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": false } });
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    Tokenizer::read(dir.path()).unwrap()
}

fn all(max_length: usize) -> [Both; 5] {
    [word_piece(true), word_piece(false), byte_level(), roberta(), unigram()].map(|ours| Both::new(ours, max_length))
}

#[test]
fn ids_are_the_librarys() {
    for max_length in [3, 8, 128, 50_000] {
        all(max_length).iter().for_each(|both| both.assert_equal(&texts()));
    }
}

#[test]
fn ids_are_the_librarys_for_random_texts() {
    let all = all(20);
    let piece = prop_oneof![prop::sample::select(list("texts")), any::<String>(), "\\PC{0,9}"];
    let text = prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat());
    proptest!(|(text in text)| all.iter().for_each(|both| both.assert_equal(std::slice::from_ref(&text))));
}
