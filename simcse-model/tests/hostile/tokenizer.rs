//! Handmade bad `tokenizer.json`. Most of them make the tokenizers library panic, return ids for
//! which the model has no embeddings, or accept what it should not.

use std::fs;

use serde_json::{Value, json};

use crate::{alone, assert_refused, load, model, model_with_merges, model_with_words};

/// The tokenizer of [`model`] with another value at `pointer`.
fn edited(pointer: &str, value: Value) -> String {
    let dir = model();
    let json = fs::read(dir.path().join("tokenizer.json")).unwrap();
    let mut json: Value = serde_json::from_slice(&json).unwrap();
    *json.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    json.to_string()
}

/// For each case, a name, the content, and part of the message; `None` if the model can be read.
fn rows() -> Vec<(&'static str, String, Option<&'static str>)> {
    let sequence_of = |inner: Value, depth: usize, field: &str| {
        (0..depth).fold(inner, |inner, _| json!({ "type": "Sequence", field: [inner] }))
    };
    let cls = |ids: Value| json!({ "id": "[CLS]", "ids": ids, "tokens": ["[CLS]"] });
    let piece = |token: &str| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let added = |id: u64, content: &str| json!([{ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false }]);
    vec![
        ("empty", String::new(), Some("found: EOF while parsing")),
        ("a list", "[]".to_owned(), Some("found: invalid type: sequence")),
        ("an empty object", "{}".to_owned(), Some("found: Model missing")),
        ("deep nesting", "[".repeat(100_000), Some("found: invalid type: sequence")),
        ("another version", edited("/version", json!("9.0")), Some("found: Unknown tokenizer version '9.0'")),
        ("no model", edited("/model", Value::Null), Some("found: data did not match any variant")),
        ("a model of no kind", edited("/model/type", json!("Oracle")), Some("found: data did not match any variant")),
        ("no words", edited("/model/vocab", json!({})), Some("Missing [UNK] token from the vocabulary")),
        (
            "words as a list",
            edited("/model/vocab", json!(["a"])),
            Some("found: invalid type: sequence, expected a map"),
        ),
        ("a negative id", edited("/model/vocab/a", json!(-1)), Some("found: invalid value: integer `-1`")),
        (
            "an id of 2^32",
            edited("/model/vocab/a", json!(1u64 << 32)),
            Some("found: invalid value: integer `4294967296`"),
        ),
        (
            "an id of 2^32 - 1",
            edited("/model/vocab/a", json!(u32::MAX)),
            Some("token \"a\" has id 4294967295, expected less"),
        ),
        ("an id twice", edited("/model/vocab/a", json!(6)), None),
        ("no unknown token", edited("/model/unk_token", json!("[NOT]")), Some("cannot encode")),
        ("words of no letter", edited("/model/max_input_chars_per_word", json!(0)), None),
        ("words of 2^64 letters", edited("/model/max_input_chars_per_word", json!(u64::MAX)), None),
        (
            "a garbled map",
            edited("/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" })),
            Some("Cannot parse precompiled_charsmap"),
        ),
        (
            "a map that is none",
            edited("/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": 7 })),
            Some("invalid type: integer `7`"),
        ),
        (
            "normalizers nested 50 deep",
            edited("/normalizer", sequence_of(json!({ "type": "NFC" }), 50, "normalizers")),
            None,
        ),
        (
            "normalizers nested 120 deep",
            edited("/normalizer", sequence_of(json!({ "type": "NFC" }), 120, "normalizers")),
            Some("found: recursion limit exceeded"),
        ),
        (
            "splitters nested 50 deep",
            edited("/pre_tokenizer", sequence_of(json!({ "type": "Whitespace" }), 50, "pretokenizers")),
            None,
        ),
        (
            "a bad pattern",
            edited(
                "/pre_tokenizer",
                json!({ "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Removed", "invert": false }),
            ),
            Some("Opening parenthesis without closing parenthesis"),
        ),
        (
            "a slow pattern",
            edited(
                "/pre_tokenizer",
                json!({ "type": "Split", "pattern": { "Regex": r"(a|a|aa)+(?=b)\1" }, "behavior": "Removed", "invert": false }),
            ),
            Some("pattern.Regex: expected a pattern without"),
        ),
        (
            "an empty pattern",
            edited("/normalizer", json!({ "type": "Replace", "pattern": { "String": "" }, "content": "x" })),
            None,
        ),
        (
            "no post-processor",
            edited("/post_processor", Value::Null),
            Some("cannot encode \"\": it has no token, and so no embedding"),
        ),
        (
            "an empty template",
            edited("/post_processor/single", json!([])),
            Some("it has no token, and so no embedding"),
        ),
        ("a template without the text", edited("/post_processor/single", json!([piece("[CLS]")])), None),
        (
            "a template that repeats the text",
            edited("/post_processor/single", json!([piece("[CLS]"), text, text, text])),
            Some("cannot encode"),
        ),
        (
            "a template of an unknown token",
            edited("/post_processor/single", json!([piece("[NOT]"), text])),
            Some("found: no entry found for key"),
        ),
        (
            "a special token with an id beyond",
            edited("/post_processor/special_tokens/[CLS]", cls(json!([99]))),
            Some("special tokens: expected tokens with an id less than the model's vocab_size 8, found 99"),
        ),
        ("a special token without ids", edited("/post_processor/special_tokens/[CLS]", cls(json!([]))), None),
        (
            "a special token of many ids",
            edited("/post_processor/special_tokens/[CLS]", cls(json!(vec![2; 500]))),
            Some("max_seq_length: expected more than the 501 special tokens, found 10"),
        ),
        (
            "an added token beyond",
            edited("/added_tokens", added(1 << 31, "cats")),
            Some("token \"cats\" has id 8, expected less than the model's vocab_size 8"),
        ),
        ("an added token of no letter", edited("/added_tokens", added(8, "")), None),
        (
            "padding to 2^40",
            edited(
                "/padding",
                json!({ "strategy": { "Fixed": 1u64 << 40 }, "direction": "Right",
            "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" }),
            ),
            None,
        ),
        (
            "padding to a multiple of 0",
            edited(
                "/padding",
                json!({ "strategy": "BatchLongest", "direction": "Right",
            "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" }),
            ),
            None,
        ),
        (
            "truncation to 0 with a stride",
            edited(
                "/truncation",
                json!({ "max_length": 0, "strategy": "LongestFirst",
            "stride": 9, "direction": "Left" }),
            ),
            None,
        ),
        (
            "merges of unknown words",
            edited("/model", json!({ "type": "BPE", "vocab": { "a": 0 }, "merges": ["a b"] })),
            Some("found: Token `b` out of vocabulary"),
        ),
        (
            "merges of one word",
            edited("/model", json!({ "type": "BPE", "vocab": { "a": 0 }, "merges": ["a"] })),
            Some("found: Merges text file invalid at line 1"),
        ),
        (
            "dropout of merges",
            edited("/model", json!({ "type": "BPE", "dropout": 7.5, "vocab": { "a": 0 }, "merges": [] })),
            Some("found: Dropout should be between 0 and 1"),
        ),
        (
            "no pieces",
            edited("/model", json!({ "type": "Unigram", "vocab": [] })),
            Some("Encountered an unknown token but `unk_id` is missing"),
        ),
        (
            "an unknown piece beyond",
            edited("/model", json!({ "type": "Unigram", "unk_id": 9, "vocab": [["a", 0.0]] })),
            Some("found: Unable to load vocab UnkIdNotInVocabulary"),
        ),
        (
            "an unknown word beyond",
            edited("/model", json!({ "type": "WordLevel", "unk_token": "?", "vocab": { "a": 0 } })),
            Some("Missing [UNK] token from the vocabulary"),
        ),
    ]
}

#[test]
fn bad_tokenizers_are_refused_or_read() {
    let _alone = alone();
    let dir = model();
    let path = dir.path().join("tokenizer.json");
    let mut failed = Vec::new();
    for (case, json, message) in rows() {
        fs::write(&path, json).unwrap();
        match (load(case, dir.path()), message) {
            (Ok(_), None) => {}
            (Err(found), Some(message)) if found.contains(message) => {}
            (found, _) => failed.push(format!("{case}: {:?}", found.map(drop))),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn bad_vocabularies_are_named() {
    let _alone = alone();
    let not_utf8 = &b"[PAD]\n\xff"[..];
    let rows = [
        (model_with_words(), "vocab.txt", &b""[..], "cannot encode \"A cats\": WordPiece error: Missing [UNK] token"),
        (model_with_words(), "vocab.txt", not_utf8, "vocab.txt: expected UTF-8 text, found: invalid utf-8"),
        (model_with_words(), "vocab.txt", b"[PAD]\r[UNK]\r[CLS]", "Missing [UNK] token"),
        (model_with_words(), "vocab.txt", b"[PAD]\n[UNK]\n[MASK]\na\nb\nc\nd\n[CLS]\n[SEP]", "vocab_size 8, found 8"),
        (model_with_merges(), "vocab.json", b"[]", "vocab.json: expected an object of tokens and their ids"),
        (model_with_merges(), "vocab.json", br#"{"<s>":-1}"#, "vocab.json: expected an object of tokens and their ids"),
        (
            model_with_merges(),
            "vocab.json",
            br#"{"a":0}"#,
            "vocab.json: expected a tokenizer, found: Token `t` out of vocabulary",
        ),
        (model_with_merges(), "merges.txt", b"a t a", "merges.txt: line 1: expected two tokens"),
        (model_with_merges(), "merges.txt", b"a \x1b", "vocab.json: expected a tokenizer, found: "),
        (model_with_merges(), "merges.txt", not_utf8, "merges.txt: expected UTF-8 text"),
    ];
    assert_refused(rows.into_iter().map(|(dir, name, content, message)| {
        fs::write(dir.path().join(name), content).unwrap();
        (name.to_owned(), load(name, dir.path()).map(drop), message.to_owned())
    }));
}
