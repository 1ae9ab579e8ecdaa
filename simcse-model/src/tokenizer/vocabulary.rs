//! `tokenizer.json` made from a vocabulary: what transformers' tokenizer classes build from `vocab.txt` (BERT, DistilBERT)
//! and from `vocab.json` and `merges.txt` (RoBERTa).
//!
//! Source: transformers' `BertTokenizer` and `RobertaTokenizer`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::io::json::JsonObject;

/// BERT's special tokens: role, spelling.
pub(crate) const BERT_SPECIAL: [(&str, &str); 5] = [
    ("pad_token", "[PAD]"),
    ("unk_token", "[UNK]"),
    ("cls_token", "[CLS]"),
    ("sep_token", "[SEP]"),
    ("mask_token", "[MASK]"),
];

/// RoBERTa's special tokens: role, spelling.
pub(crate) const ROBERTA_SPECIAL: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("pad_token", "<pad>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("mask_token", "<mask>"),
    ("cls_token", "<s>"),
    ("sep_token", "</s>"),
];

pub(crate) fn utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    str::from_utf8(bytes).map_err(|error| Error::format(path, "UTF-8 text", error))
}

/// The id of a special token, which must be there.
fn special_id(path: &Path, vocab: &HashMap<&str, u32>, token: &str) -> Result<u32> {
    let id = vocab.get(token).copied();
    id.ok_or_else(|| Error::field(path, token, "a word of the vocabulary", "none"))
}

/// `tokenizer.json` of `BertTokenizer` over a `vocab.txt`.
pub(crate) fn word_piece<'a>(path: &Path, words: impl Iterator<Item = &'a str>, config: &JsonObject) -> Result<Value> {
    let vocab: HashMap<&str, u32> = words.zip(0..).collect();
    let id = |token| special_id(path, &vocab, token);
    let mut added = Vec::new();
    for (_, token) in BERT_SPECIAL {
        added.push(added_token(id(token)?, token, false));
    }
    added.sort_by_key(|token| token["id"].as_u64());
    let special = |token| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let one = |token, id| json!({ "id": token, "ids": [id], "tokens": [token] });
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": config.flag("tokenize_chinese_chars")?.unwrap_or(true),
            "strip_accents": config.flag("strip_accents")?,
            "lowercase": config.flag("do_lower_case")?.unwrap_or(true),
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]"), { "Sequence": { "id": "A", "type_id": 0 } }, special("[SEP]")],
            "pair": [
                special("[CLS]"), { "Sequence": { "id": "A", "type_id": 0 } }, special("[SEP]"),
                { "Sequence": { "id": "B", "type_id": 1 } }, { "SpecialToken": { "id": "[SEP]", "type_id": 1 } }
            ],
            "special_tokens": { "[CLS]": one("[CLS]", id("[CLS]")?), "[SEP]": one("[SEP]", id("[SEP]")?) },
        },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": in_order(&vocab),
        },
    }))
}

/// `tokenizer.json` of `RobertaTokenizer` over a `vocab.json` and a `merges.txt`.
pub(crate) fn byte_level(dir: &Path, vocab: &[u8], merges: &[u8], config: &JsonObject) -> Result<Value> {
    let (vocab_path, merges_path) = (dir.join("vocab.json"), dir.join("merges.txt"));
    let vocab: HashMap<String, u32> = serde_json::from_slice(vocab)
        .map_err(|error| Error::format(&vocab_path, "an object of tokens and their ids", error))?;
    let vocab: HashMap<&str, u32> = vocab.iter().map(|(token, &id)| (token.as_str(), id)).collect();
    let mut pairs = Vec::new();
    for (number, line) in utf8(&merges_path, merges)?.lines().enumerate() {
        if line.is_empty() || line.starts_with("#version") {
            continue;
        }
        if line.split(' ').count() != 2 {
            let field = format!("line {}", number + 1);
            return Err(Error::field(&merges_path, &field, "two tokens with a space between", line));
        }
        pairs.push(line);
    }
    let id = |token| special_id(&vocab_path, &vocab, token);
    let mut added = Vec::new();
    for (_, token) in ROBERTA_SPECIAL.into_iter().take(5) {
        added.push(added_token(id(token)?, token, token == "<mask>"));
    }
    added.sort_by_key(|token| token["id"].as_u64());
    let add_prefix_space = config.flag("add_prefix_space")?.unwrap_or(false);
    let byte_level = |add_prefix_space: bool| {
        json!({
            "type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": true
        })
    };
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": byte_level(add_prefix_space),
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": ["</s>", id("</s>")?],
            "cls": ["<s>", id("<s>")?],
            "trim_offsets": true,
            "add_prefix_space": add_prefix_space,
        },
        "decoder": byte_level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": in_order(&vocab),
            "merges": pairs,
        },
    }))
}

fn added_token(id: u32, content: &str, lstrip: bool) -> Value {
    json!({
        "id": id, "content": content, "single_word": false, "lstrip": lstrip, "rstrip": false,
        "normalized": false, "special": true
    })
}

/// The vocabulary by id, so that the file does not depend on a hash.
fn in_order(vocab: &HashMap<&str, u32>) -> Map<String, Value> {
    let mut words: Vec<_> = vocab.iter().collect();
    words.sort_by_key(|&(word, id)| (id, word));
    words.into_iter().map(|(&word, &id)| (word.to_owned(), json!(id))).collect()
}
