use serde_json::json;

use super::*;
use crate::tokenizer::files::{ADDED_TOKENS, MERGES, SPECIAL_TOKENS, VOCABULARY, WORDS};

const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\nCat\ncafé\ncafe\n中\n##国\n中国\n##s\n<c>\n";
const BERT: &str = r#"{"tokenizer_class": "BertTokenizer"}"#;
const BACKEND: &str = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}"#;

/// `tokenizer.json` of the words, lower-casing or not, with one value replaced.
fn words_json(lower: bool, pointer: &str, value: Value) -> String {
    let vocab: serde_json::Map<_, _> = VOCAB.lines().zip(0..).map(|(word, id)| (word.to_owned(), json!(id))).collect();
    let special = |token: &str| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let one = |token: &str, id: u32| json!({ "id": token, "ids": [id], "tokens": [token] });
    let mut json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": lower },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "TemplateProcessing",
            "single": [special("[CLS]"), { "Sequence": { "id": "A", "type_id": 0 } }, special("[SEP]")], "pair": [],
            "special_tokens": { "[CLS]": one("[CLS]", 2), "[SEP]": one("[SEP]", 3) } },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab },
    });
    *json.pointer_mut(pointer).unwrap_or(&mut Value::Null) = value;
    json.to_string()
}

fn files(files: &[(&'static str, &str)]) -> Files {
    files.iter().fold(Files::new(), |files, (name, content)| files.with(name, (*content).into()))
}

/// The ids of a text, special tokens included.
fn ids(of: &[(&'static str, &str)], text: &str) -> Vec<u32> {
    build(&files(of)).unwrap().inner.encode(text, true).unwrap().get_ids().to_vec()
}

#[track_caller]
fn refused(of: &[(&'static str, &str)], message: &str) {
    let error = build(&files(of)).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn berts_class_lower_cases_as_its_settings_say_whatever_the_file_says() {
    for lower in [true, false] {
        let json = words_json(lower, "/decoder", Value::Null);
        let with = |config| ids(&[(TOKENIZER, &json), (CONFIG, config)], "Cat");
        assert_eq!(with(BERT), [2, 5, 3]);
        assert_eq!(with(r#"{"tokenizer_class": "BertTokenizer", "do_lower_case": false}"#), [2, 6, 3]);
        assert_eq!(with(BACKEND), [2, if lower { 5 } else { 6 }, 3]);
        let without_config = files(&[(TOKENIZER, &json)]).with_model(r#"{"model_type": "distilbert"}"#);
        assert_eq!(build(&without_config).unwrap().inner.encode("Cat", true).unwrap().get_ids(), [2, 5, 3]);
    }
}

#[test]
fn accents_and_chinese_characters() {
    let json = words_json(true, "/decoder", Value::Null);
    let with = |setting: &str, text| {
        let config = format!(r#"{{"tokenizer_class": "BertTokenizer"{setting}}}"#);
        let of_json = ids(&[(TOKENIZER, &json), (CONFIG, &config)], text);
        assert_eq!(ids(&[(WORDS, VOCAB), (CONFIG, &config)], text), of_json);
        of_json
    };
    assert_eq!(with("", "Café"), [2, 8, 3]);
    assert_eq!(with(r#", "strip_accents": false"#, "Café"), [2, 7, 3]);
    assert_eq!(with(r#", "strip_accents": true, "do_lower_case": false"#, "café"), [2, 8, 3]);
    assert_eq!(with("", "中国"), [2, 9, 1, 3]);
    assert_eq!(with(r#", "tokenize_chinese_chars": false"#, "中国"), [2, 11, 3]);
    for bad in [r#"{"do_lower_case": null}"#, r#"{"do_lower_case": "no"}"#, r#"{"do_lower_case": 0}"#] {
        refused(&[(WORDS, VOCAB), (CONFIG, bad)], "do_lower_case: expected true or false, found");
    }
    refused(&[(WORDS, VOCAB), (CONFIG, r#"{"tokenize_chinese_chars": null}"#)], "tokenize_chinese_chars");
    refused(&[(WORDS, VOCAB), (CONFIG, r#"{"strip_accents": 1}"#)], "strip_accents: expected true or false, found 1");
}

#[test]
fn a_file_without_template_gets_that_of_its_class() {
    let json = words_json(true, "/post_processor", Value::Null);
    assert_eq!(ids(&[(TOKENIZER, &json), (CONFIG, BERT)], "cat"), [2, 5, 3]);
    assert_eq!(ids(&[(TOKENIZER, &json), (CONFIG, BACKEND)], "cat"), [5]);
    let built = build(&files(&[(TOKENIZER, &json), (CONFIG, BACKEND)])).unwrap();
    assert!(built.template.is_empty());
}

#[test]
fn the_template_has_the_tokens_that_the_settings_name() {
    let json = words_json(true, "/decoder", Value::Null);
    let renamed = r#"{"tokenizer_class": "BertTokenizer", "cls_token": "<c>", "sep_token": "new"}"#;
    // A token that the vocabulary lacks is added after its end.
    assert_eq!(ids(&[(TOKENIZER, &json), (CONFIG, renamed)], "cat new"), [13, 5, 14, 14]);
    assert_eq!(ids(&[(WORDS, VOCAB), (CONFIG, renamed)], "cat"), [13, 5, 14]);
    let map = (SPECIAL_TOKENS, r#"{"cls_token": "[MASK]"}"#);
    assert_eq!(ids(&[(WORDS, VOCAB), (CONFIG, renamed), map], "cat"), [4, 5, 14]);
    let backend = BACKEND.replace("[CLS]", "<c>");
    assert_eq!(ids(&[(TOKENIZER, &json), (CONFIG, &backend)], "cat"), [2, 5, 3]);
    let unknown = r#"{"tokenizer_class": "BertTokenizer", "unk_token": "<c>"}"#;
    assert_eq!(ids(&[(TOKENIZER, &json), (CONFIG, unknown)], "dog"), [2, 13, 3]);
}

#[test]
fn added_tokens_of_all_files_are_found_in_texts() {
    let added = (ADDED_TOKENS, r#"{"dog": 99, "Fish": 98}"#);
    // In the order of the ids that they claim; a token that is not special is matched after
    // normalization.
    assert_eq!(ids(&[(WORDS, VOCAB), (CONFIG, BERT), added], "dog fish FISH"), [2, 15, 14, 14, 3]);
    let decoder = r#"{"tokenizer_class": "BertTokenizer",
        "added_tokens_decoder": {"20": {"content": "<d>", "lstrip": true, "special": true}}}"#;
    let json = words_json(
        true,
        "/added_tokens",
        json!([{ "id": 14, "content": "dog", "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false, "special": false }]),
    );
    // The list in the settings replaces the file's own and added_tokens.json.
    assert_eq!(ids(&[(TOKENIZER, &json), (CONFIG, decoder), added], "cat  <d> dog"), [2, 5, 14, 1, 3]);
    assert_eq!(ids(&[(TOKENIZER, &json), (CONFIG, BERT)], "dog"), [2, 14, 3]);
}

#[test]
fn a_role_makes_a_token_special_and_so_matched_before_normalization() {
    let with = |flags: &str| {
        let mask = format!(r#"{{"__type": "AddedToken", "content": "Cat"{flags}}}"#);
        let config = format!(r#"{{"tokenizer_class": "BertTokenizer", "mask_token": {mask}}}"#);
        ["cat", "Cat"].map(|text| ids(&[(WORDS, VOCAB), (CONFIG, &config)], text)[1])
    };
    assert_eq!(with(""), [5, 6]);
    assert_eq!(with(r#", "normalized": false"#), [5, 6]);
    assert_eq!(with(r#", "normalized": true"#), [6, 6]);
}

#[test]
fn special_tokens_in_a_text_may_be_split() {
    let split = r#"{"tokenizer_class": "BertTokenizer", "split_special_tokens": true}"#;
    assert_eq!(ids(&[(WORDS, VOCAB), (CONFIG, BERT)], "[MASK]"), [2, 4, 3]);
    assert_eq!(ids(&[(WORDS, VOCAB), (CONFIG, split)], "[MASK]"), [2, 1, 1, 1, 3]);
}

#[test]
fn the_side_that_is_cut_comes_from_the_settings_or_else_from_the_file() {
    let truncation = json!({ "max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Left" });
    let json = words_json(true, "/truncation", truncation);
    let side = |config| build(&files(&[(TOKENIZER, &json), (CONFIG, config)])).unwrap().truncation;
    assert!(matches!(side(BERT), TruncationDirection::Left));
    assert!(matches!(
        side(r#"{"tokenizer_class": "BertTokenizer", "truncation_side": "right"}"#),
        TruncationDirection::Right
    ));
    refused(&[(TOKENIZER, &json), (CONFIG, r#"{"truncation_side": null}"#)], "truncation_side: expected left or right");
    assert_eq!(ids(&[(TOKENIZER, &json), (CONFIG, BERT)], "cat cat"), [2, 5, 5, 3]);
    let stride = json!({ "max_length": 2, "strategy": "LongestFirst", "stride": 9, "direction": "Left" });
    refused(&[(TOKENIZER, &words_json(true, "/truncation", stride)), (CONFIG, BERT)], "tokenizer stride set to 9");
}

#[test]
fn padding_of_the_file_names_the_padding_token_and_must_be_on_the_right() {
    let padding = |side: &str| {
        let padding = json!({ "strategy": { "Fixed": 99 }, "direction": side, "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "<c>" });
        words_json(true, "/padding", padding)
    };
    let pad = |config| build(&files(&[(TOKENIZER, &padding("Right")), (CONFIG, config)])).unwrap().pad_id;
    assert_eq!(pad(r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#), Some(13));
    assert_eq!(pad(r#"{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": null}"#), None);
    assert_eq!(pad(BERT), Some(0));
    assert_eq!(ids(&[(TOKENIZER, &padding("Right")), (CONFIG, BERT)], "cat"), [2, 5, 3]);
    refused(&[(TOKENIZER, &padding("Left")), (CONFIG, BERT)], "padding.direction: expected right (left padding");
    refused(&[(WORDS, VOCAB), (CONFIG, r#"{"padding_side": "left"}"#)], "padding_side: expected right");
}

#[test]
fn token_types_other_than_0_are_noticed_where_the_model_gets_them() {
    let json = words_json(true, "/post_processor/single/1/Sequence/type_id", json!(1));
    let typed = |config: &str| build(&files(&[(TOKENIZER, &json), (CONFIG, config)])).unwrap().has_token_types;
    assert!(!typed(BERT));
    assert!(!typed(BACKEND));
    assert!(typed(&BACKEND.replace('{', r#"{"model_input_names": ["token_type_ids", "attention_mask"], "#)));
    let unmasked = r#"{"model_input_names": ["input_ids"]}"#;
    refused(
        &[(TOKENIZER, &json), (CONFIG, unmasked)],
        "model_input_names: expected a list of names with attention_mask",
    );
}

const TOKENS: &str = r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5, "b": 6, "Ġ": 7, "ab": 8}"#;

#[test]
fn robertas_class_puts_a_space_in_front_as_its_settings_say() {
    let build = |prefix: bool| {
        let vocab: Value = serde_json::from_str(TOKENS).unwrap();
        let level = json!({ "type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true });
        json!({ "version": "1.0", "added_tokens": [], "pre_tokenizer": level, "post_processor": null,
            "model": { "type": "BPE", "vocab": vocab, "merges": ["a b"] } })
        .to_string()
    };
    for prefix in [true, false] {
        let json = build(prefix);
        let with = |config| ids(&[(TOKENIZER, &json), (CONFIG, config)], "ab");
        assert_eq!(with(r#"{"tokenizer_class": "RobertaTokenizer"}"#), [0, 8, 2]);
        assert_eq!(with(r#"{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true}"#), [0, 7, 8, 2]);
        let backend = with(r#"{"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true}"#);
        assert_eq!(backend, if prefix { vec![7, 8] } else { vec![8] });
    }
    let alone = |config: &str| ids(&[(VOCABULARY, TOKENS), (MERGES, "a b\n"), (CONFIG, config)], "ab <mask>");
    assert_eq!(alone(r#"{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true}"#), [0, 7, 8, 7, 4, 2]);
    let mask = r#"{"tokenizer_class": "RobertaTokenizer",
        "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": true}}"#;
    assert_eq!(alone(mask), [0, 8, 4, 2]);
}

#[test]
fn xlm_robertas_class_keeps_the_pieces_and_the_character_map() {
    let pieces =
        json!([["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -2.0], ["a", -2.0], ["▁a", -1.0]]);
    // The file's unknown token and splitter do not count, and a normalizer that is no character map
    // is left out.
    let json = json!({ "version": "1.0", "added_tokens": [], "normalizer": { "type": "Replace", "content": "b",
        "pattern": { "String": "a" } }, "model": { "type": "Unigram", "unk_id": 1, "vocab": pieces } })
    .to_string();
    let with = |config| ids(&[(TOKENIZER, &json), (CONFIG, config)], "a  z");
    assert_eq!(with(r#"{"tokenizer_class": "XLMRobertaTokenizer"}"#), [0, 6, 4, 3, 2]);
    assert_eq!(with(r#"{"tokenizer_class": "XLMRobertaTokenizerFast", "add_prefix_space": null}"#), [0, 5, 3, 2]);
    let alone = [(CONFIG, r#"{"tokenizer_class": "XLMRobertaTokenizer"}"#)];
    refused(&alone, "tokenizer.json: expected a tokenizer.json (SentencePiece models alone are not supported: ");
}

/// `tokenizer.json` of the pieces, with what every class but ALBERT's leaves out of it: another
/// unknown token, normalizer and template.
fn pieces_json(pieces: &[&str], post_processor: Value) -> String {
    let pieces: Vec<_> = pieces.iter().map(|piece| json!([piece, if piece.len() > 4 { -1.0 } else { -2.0 }])).collect();
    let normalizer = json!({ "type": "Replace", "content": "b", "pattern": { "String": "a" } });
    json!({ "version": "1.0", "added_tokens": [], "normalizer": normalizer, "post_processor": post_processor,
        "model": { "type": "Unigram", "unk_id": 0, "vocab": pieces } })
    .to_string()
}

#[test]
fn camemberts_class_finds_its_unknown_token_and_adds_three() {
    let pieces =
        ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>NOTUSED", "<unk>", "<s>", "</s>", "▁", "a", "▁a", "<mask>"];
    let json = pieces_json(&pieces, Value::Null);
    let with = |setting: &str, text| {
        let config = format!(r#"{{"tokenizer_class": "CamembertTokenizer"{setting}}}"#);
        ids(&[(TOKENIZER, &json), (CONFIG, &config)], text)
    };
    assert_eq!(with("", "a z"), [5, 9, 7, 4, 6]);
    assert_eq!(with(r#", "add_prefix_space": false"#, "a z"), [5, 8, 4, 6]);
    assert_eq!(with(r#", "unk_token": "none of the pieces""#, "z"), [5, 7, 0, 6]);
    // The token for a masked one takes the spaces in front of it, also where the settings name it.
    assert_eq!(with("", "a  <mask>"), [5, 9, 10, 6]);
    assert_eq!(with(r#", "mask_token": "<mask>""#, "a  <mask>"), [5, 9, 10, 6]);
    let flagged = r#", "mask_token": {"__type": "AddedToken", "content": "<mask>", "normalized": false}"#;
    assert_eq!(with(flagged, "a <mask>"), with("", "a<mask>"));
    assert_eq!(with("", "<unk>NOTUSED"), [5, 3, 6]);
    assert_eq!(with(r#", "extra_special_tokens": []"#, "<s>NOTUSED"), [5, 5, 7, 4, 6]);
}

#[test]
fn alberts_class_lower_cases_and_keeps_the_template_of_the_file() {
    let pieces = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "▁", "e", "é", "E", "▁e", "\""];
    let json = pieces_json(&pieces, Value::Null);
    let with = |setting: &str, text| {
        let config = format!(r#"{{"tokenizer_class": "AlbertTokenizer"{setting}}}"#);
        ids(&[(TOKENIZER, &json), (CONFIG, &config)], text)
    };
    assert_eq!(with("", "É z"), [2, 9, 5, 1, 3]);
    assert_eq!(with(r#", "keep_accents": true"#, "É"), [2, 5, 7, 3]);
    assert_eq!(with(r#", "do_lower_case": null"#, "É"), [2, 5, 8, 3]);
    assert_eq!(with("", "``e''"), [2, 5, 10, 6, 10, 3]);
    let template = json!({ "type": "BertProcessing", "sep": ["[MASK]", 4], "cls": ["[CLS]", 2] });
    let config = r#"{"tokenizer_class": "AlbertTokenizerFast"}"#;
    assert_eq!(ids(&[(TOKENIZER, &pieces_json(&pieces, template)), (CONFIG, config)], "e"), [2, 9, 4]);
    let renamed = r#"{"tokenizer_class": "AlbertTokenizer", "cls_token": "<new>"}"#;
    refused(&[(TOKENIZER, &json), (CONFIG, renamed)], "tokenizer.json: cls_token: expected a piece of the model");
    let null = r#"{"tokenizer_class": "AlbertTokenizer", "keep_accents": "yes"}"#;
    refused(&[(TOKENIZER, &json), (CONFIG, null)], "keep_accents: expected true or false");
}

#[test]
fn mpnets_class_is_berts_with_robertas_tokens() {
    let vocab = "<s>\n<pad>\n</s>\n[UNK]\ncat\n##s\n<mask>\n";
    let with = |setting: &str, text| {
        let config = format!(r#"{{"tokenizer_class": "MPNetTokenizer"{setting}}}"#);
        ids(&[(WORDS, vocab), (CONFIG, &config)], text)
    };
    assert_eq!(with("", "Cats dog"), [0, 4, 5, 3, 2]);
    assert_eq!(with(r#", "do_lower_case": false"#, "Cats"), [0, 3, 2]);
    assert_eq!(with(r#", "cls_token": "</s>""#, "cat"), [2, 4, 2]);
    let config = r#"{"tokenizer_class": "MPNetTokenizerFast"}"#;
    let built = build(&files(&[(WORDS, vocab), (CONFIG, config)])).unwrap();
    assert_eq!((built.pad_id, built.template), (Some(1), vec![0, 2]));
    let mask = built.inner.get_added_tokens_decoder()[&6].clone();
    assert!(mask.lstrip && mask.special && !mask.normalized);
}

#[test]
fn herberts_class_splits_words_by_merges() {
    let tokens =
        r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5, "b</w>": 6, "ab</w>": 7, "?</w>": 8}"#;
    let of = [(VOCABULARY, tokens), (MERGES, "a b</w>\n"), (CONFIG, r#"{"tokenizer_class": "HerbertTokenizerFast"}"#)];
    assert_eq!(ids(&of, "ab?z"), [0, 7, 8, 3, 2]);
}

#[test]
fn another_model_than_the_classs_is_refused() {
    let json = words_json(true, "/decoder", Value::Null);
    let roberta = (CONFIG, r#"{"tokenizer_class": "RobertaTokenizer"}"#);
    refused(&[(TOKENIZER, &json), roberta], "tokenizer.json: model.type: expected BPE for the tokenizer's class");
    refused(&[(TOKENIZER, &json), roberta], "found WordPiece");
    refused(&[(WORDS, VOCAB), roberta], "vocab.json: not found: the tokenizer's class needs it");
    refused(&[(VOCABULARY, TOKENS), roberta], "merges.txt: not found: the tokenizer's class needs it");
    refused(
        &[(WORDS, VOCAB), (CONFIG, BACKEND)],
        "tokenizer.json: not found: the class PreTrainedTokenizerFast needs it",
    );
}

#[test]
fn merges_left_out_at_random_are_refused() {
    let json = |dropout: f64| {
        json!({ "version": "1.0", "added_tokens": [],
            "model": { "type": "BPE", "dropout": dropout, "vocab": { "a": 0 }, "merges": [] } })
        .to_string()
    };
    refused(&[(TOKENIZER, &json(0.5)), (CONFIG, BACKEND)], "model.dropout: expected none");
    build(&files(&[(TOKENIZER, &json(0.0)), (CONFIG, BACKEND)])).unwrap();
}
