use super::*;
use crate::tokenizer::files::{ADDED_TOKENS, WORDS as WORDS_FILE};

const WORDS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s"];

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, message: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

#[test]
fn word_pieces_with_special_tokens_and_truncation() {
    let tokenizer = Tokenizer::word_piece(&WORDS, true).unwrap();
    let texts = ["A  cats", "", "[MASK] dog", "a a a a a a a a"];
    let ids = tokenizer.encode_batch(&texts, 5).unwrap().ids;
    assert_eq!(ids, [vec![2, 5, 6, 7, 3], vec![2, 3], vec![2, 4, 1, 3], vec![2, 5, 5, 5, 3]]);
    assert_eq!(tokenizer.encode_batch(&["cats"], 3).unwrap().ids, [[2, 6, 3]]);
    refused(tokenizer.encode_batch(&["a"], 2), "max_seq_length: expected more than the 2 special tokens, found 2");
    assert_eq!(tokenizer.max_id(), 7);
    refused(Tokenizer::word_piece(&WORDS[1..], true), "vocab.txt: [PAD]: expected a word of the vocabulary");
}

#[test]
fn a_long_text_loses_the_end_that_the_settings_name() {
    let base = dir(&[("vocab.txt", &WORDS.join("\n")), ("tokenizer_config.json", r#"{"truncation_side": "left"}"#)]);
    let tokens = Tokenizer::read(base.path()).unwrap().encode_batch(&["a a cats", "a"], 4).unwrap();
    assert_eq!((tokens.ids, tokens.cut), (vec![vec![2, 6, 7, 3], vec![2, 5, 3]], 1));
}

#[test]
fn a_prompt_counts_toward_the_length_and_is_counted_without_its_end() {
    let tokenizer = Tokenizer::word_piece(&WORDS, true).unwrap();
    let encode = |prompt, most| tokenizer.encode_prompted(prompt, &["cats", ""], most).unwrap();
    assert_eq!(encode("a a ", 9).ids, [vec![2, 5, 5, 6, 7, 3], vec![2, 5, 5, 3]]);
    let cut = encode("a a ", 5);
    assert_eq!((cut.ids, cut.cut), (vec![vec![2, 5, 5, 6, 3], vec![2, 5, 5, 3]], 1));
    // What is put together may be other tokens than its parts.
    assert_eq!(encode("cat", 9).ids, [vec![2, 1, 3], vec![2, 6, 3]]);
    let length = |prompt, most| tokenizer.prompt_length(prompt, most).unwrap();
    assert_eq!((length("", 9), length("a a ", 9), length("a a a a", 5), length(" ", 9)), (0, 3, 4, 1));
}

#[test]
fn a_vocab_txt_follows_the_tokenizer_config() {
    let vocab = WORDS.join("\r\n");
    let lower = dir(&[("vocab.txt", &vocab)]);
    let cased =
        dir(&[("vocab.txt", &vocab), ("tokenizer_config.json", r#"{"do_lower_case": false, "model_max_length": 12}"#)]);
    let lower = Tokenizer::read(lower.path()).unwrap();
    assert_eq!(lower.encode_batch(&["Cats"], 9).unwrap().ids, [[2, 6, 7, 3]]);
    assert_eq!(lower.model_max_length(), None);
    let mut cased = Tokenizer::read(cased.path()).unwrap();
    assert_eq!(cased.encode_batch(&["Cats"], 9).unwrap().ids, [[2, 1, 3]]);
    assert_eq!(cased.model_max_length(), Some(12));
    cased.lower_case_first().unwrap();
    cased.lower_case_first().unwrap();
    assert_eq!(cased.encode_batch(&["Cats"], 9).unwrap().ids, [[2, 6, 7, 3]]);
}

#[test]
fn what_is_written_encodes_alike_and_keeps_its_bytes() {
    let base = dir(&[("vocab.txt", &WORDS.join("\n")), ("added_tokens.json", "{ }")]);
    let out = dir(&[]);
    let tokenizer = Tokenizer::read(base.path()).unwrap();
    tokenizer.write(out.path(), false).unwrap();
    let read = |name| std::fs::read_to_string(out.path().join(name)).unwrap();
    assert_eq!(read("vocab.txt"), WORDS.join("\n"));
    assert_eq!(read("added_tokens.json"), "{ }");
    let config: Value = serde_json::from_str(&read("tokenizer_config.json")).unwrap();
    assert_eq!(config["tokenizer_class"], "PreTrainedTokenizerFast");
    assert_eq!(config["model_input_names"], serde_json::json!(["input_ids", "attention_mask"]));
    assert_eq!(config["pad_token"], "[PAD]");

    std::fs::remove_file(out.path().join("vocab.txt")).unwrap();
    let again = Tokenizer::read(out.path()).unwrap();
    let texts = ["Cats a dog"];
    assert_eq!(again.encode_batch(&texts, 9).unwrap().ids, tokenizer.encode_batch(&texts, 9).unwrap().ids);
    assert_eq!(Some(read("tokenizer.json").as_bytes()), again.files.get(TOKENIZER));
}

#[test]
fn a_made_file_stands_beside_the_settings_that_were_there() {
    let settings = r#"{"tokenizer_class": "BertTokenizer", "do_lower_case": false, "truncation_side": "left"}"#;
    let base = dir(&[
        ("vocab.txt", &WORDS.join("\n")),
        ("tokenizer_config.json", settings),
        ("special_tokens_map.json", r#"{"cls_token": "<new>"}"#),
        ("added_tokens.json", r#"{"Dog": 20, "Fish": 19}"#),
    ]);
    let tokenizer = Tokenizer::read(base.path()).unwrap();
    let out = dir(&[]);
    tokenizer.write(out.path(), true).unwrap();
    assert_eq!(std::fs::read_to_string(out.path().join("tokenizer_config.json")).unwrap(), settings);
    let again = Tokenizer::read(out.path()).unwrap();
    let texts = ["Cats a Dog", "Fish cat Fish Fish cat Fish <new>"];
    let ids = tokenizer.encode_batch(&texts, 6).unwrap().ids;
    assert_eq!(again.encode_batch(&texts, 6).unwrap().ids, ids);
    assert_eq!(ids[0], [10, 1, 5, 9, 3]);
}

#[test]
fn settings_that_would_undo_a_made_file_are_left_out() {
    // Read again together with a tokenizer.json, the map would name a token that no longer counts
    // as added.
    let files = Files::new()
        .with(WORDS_FILE, WORDS.join("\n").into())
        .with(CONFIG, br#"{"tokenizer_class": "BertTokenizer", "max_len": 7, "split_special_tokens": true}"#.to_vec())
        .with(ADDED_TOKENS, br#"{"dog": 9}"#.to_vec());
    let built = build(&files).unwrap();
    let (complete, made) = made::with_tokenizer_json(files, &built).unwrap();
    assert!(made.is_none() && complete.has(CONFIG) && complete.has(ADDED_TOKENS));
    let config = made::config(&built);
    assert_eq!(config["model_max_length"], 7);
    assert_eq!(config["split_special_tokens"], true);
    let alone = complete.without(&[CONFIG, ADDED_TOKENS, WORDS_FILE]);
    let again = build(&alone.with(CONFIG, serde_json::to_vec(&config).unwrap())).unwrap();
    let ids = |built: &Built| built.inner.encode("dog [MASK] cats", true).unwrap().get_ids().to_vec();
    assert_eq!(ids(&again), ids(&built));
    assert_eq!(again.model_max_length, Some(7));
}

#[test]
fn a_token_without_embedding_blocks_only_the_texts_that_have_it() {
    let base = dir(&[("vocab.txt", &(WORDS.join("\n") + "\nzebra\n\n"))]);
    let mut tokenizer = Tokenizer::read(base.path()).unwrap();
    assert_eq!(tokenizer.max_id(), 9);
    tokenizer.fit(8).unwrap();
    assert_eq!(tokenizer.encode_batch(&["cats", ""], 9).unwrap().ids, [vec![2, 6, 7, 3], vec![2, 3]]);
    let message = r#"cannot encode "a zebra": token "zebra" has id 8, expected less than the model's vocab_size 8"#;
    refused(tokenizer.encode_batch(&["a zebra"], 9), message);
    refused(tokenizer.fit(3), "special tokens: expected tokens with an id less than the model's vocab_size 3, found 3");
}

#[test]
fn a_model_needs_a_padding_token() {
    let words = Tokenizer::word_piece(&WORDS, true).unwrap();
    let json = String::from_utf8(words.files.get(TOKENIZER).unwrap().to_vec()).unwrap();
    let read =
        |config: &str| Tokenizer::read(dir(&[("tokenizer.json", &json), ("tokenizer_config.json", config)]).path());
    let mut without = read(r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#).unwrap();
    refused(without.fit(8), "tokenizer_config.json: pad_token: expected a token, found none");
    let mut beyond = read(r#"{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}"#).unwrap();
    refused(beyond.fit(8), "pad_token: expected a token with an id less than the model's vocab_size 8, found 8");
}

#[test]
fn a_text_without_tokens_has_no_embedding() {
    let words = Tokenizer::word_piece(&WORDS, true).unwrap();
    let mut json: Value = serde_json::from_slice(words.files.get(TOKENIZER).unwrap()).unwrap();
    json["post_processor"] = Value::Null;
    let tokenizer = Tokenizer::read(dir(&[("tokenizer.json", &json.to_string())]).path()).unwrap();
    assert_eq!(tokenizer.encode_batch(&["cats a"], 2).unwrap().ids, [[6, 7]]);
    let message = r#"cannot encode " ": it has no token, and so no embedding"#;
    refused(tokenizer.encode_batch(&[" "], 9), message);
    // Of many such texts, it is always the first that is named.
    let texts: Vec<String> = (0..1000).map(|i| if i < 300 { "cats".to_owned() } else { " ".repeat(i - 299) }).collect();
    refused(tokenizer.encode_batch(&texts, 9), message);
}

#[test]
fn byte_level_bpe_is_trained_and_read_back() {
    let sentences = ["the cat sat on the mat", "The cat has cats", "on the mat"];
    let train = |sentences| Tokenizer::byte_level_bpe(sentences, 270).unwrap();
    let tokenizer = train(&sentences);
    assert_eq!(tokenizer.max_id(), 269);
    let json = |tokenizer: &Tokenizer| tokenizer.files.get(TOKENIZER).unwrap().to_vec();
    assert_eq!(json(&tokenizer), json(&train(&sentences)), "a function of the sentences");
    let texts = ["The Cat", "the cat", "", "naïve [MASK]"];
    let ids = tokenizer.encode_batch(&texts, 32).unwrap().ids;
    assert_eq!((&ids[0], &ids[2]), (&ids[1], &vec![2, 3]));
    assert_eq!((ids[3][0], ids[3].ends_with(&[4, 3])), (2, true));
    let out = dir(&[]);
    tokenizer.write(out.path(), true).unwrap();
    let mut again = Tokenizer::read(out.path()).unwrap();
    again.fit(270).unwrap();
    assert_eq!(again.encode_batch(&texts, 32).unwrap().ids, ids);
}

#[test]
fn bad_files_are_named() {
    refused(Tokenizer::read(dir(&[]).path()), "tokenizer.json: not found: a model directory holds");
    refused(Tokenizer::read(dir(&[("tokenizer.json", "{}")]).path()), "tokenizer.json: expected a tokenizer");
    let bytes = dir(&[]);
    std::fs::write(bytes.path().join("vocab.txt"), [0xff]).unwrap();
    refused(Tokenizer::read(bytes.path()), "vocab.txt: expected UTF-8 text");
    let words = ("vocab.txt", &*WORDS.join("\n"));
    let length = ("tokenizer_config.json", r#"{"model_max_length": 0}"#);
    refused(Tokenizer::read(dir(&[words, length]).path()), "tokenizer_config.json: model_max_length");
    for other in ["tokenizer.model", "chat_template.jinja", "preprocessor_config.json"] {
        refused(Tokenizer::read(dir(&[words, (other, "")]).path()), &format!("{other}: expected"));
    }
    let json = Tokenizer::word_piece(&WORDS, true).unwrap();
    let json = String::from_utf8(json.files.get(TOKENIZER).unwrap().to_vec()).unwrap();
    Tokenizer::read(dir(&[("tokenizer.json", &json), ("tokenizer.model", "")]).path()).unwrap();
}

#[test]
fn a_sentencepiece_model_alone_is_refused_with_the_command_that_converts_it() {
    for name in ["tokenizer.model", "sentencepiece.bpe.model", "spiece.model"] {
        let alone = dir(&[(name, ""), ("config.json", r#"{"model_type": "albert"}"#)]);
        let error = Tokenizer::read(alone.path()).unwrap_err().to_string();
        let expected = "expected a tokenizer.json (SentencePiece models alone are not supported: where Python has \
                        transformers, sentencepiece and protobuf, the command python -c \"from transformers import \
                        AutoTokenizer; AutoTokenizer.from_pretrained('DIR').save_pretrained('DIR')\" writes the file \
                        into the directory DIR), found: one";
        assert_eq!(error, format!("{}: {expected}", alone.path().join(name).display()));
    }
    let words = ("vocab.txt", &*WORDS.join("\n"));
    Tokenizer::read(dir(&[words, ("spiece.model", "")]).path()).unwrap();
    let albert = ("tokenizer_config.json", r#"{"tokenizer_class": "AlbertTokenizer"}"#);
    refused(
        Tokenizer::read(dir(&[words, albert, ("spiece.model", "")]).path()),
        "AutoTokenizer.from_pretrained('DIR')",
    );
}

#[test]
fn a_sentencepiece_model_beside_a_tokenizer_json_is_not_carried_along() {
    let json = Tokenizer::word_piece(&WORDS, true).unwrap();
    let json = String::from_utf8(json.files.get(TOKENIZER).unwrap().to_vec()).unwrap();
    let both = dir(&[("tokenizer.json", &json), ("sentencepiece.bpe.model", ""), ("spiece.model", "")]);
    let out = dir(&[]);
    Tokenizer::read(both.path()).unwrap().write(out.path(), false).unwrap();
    let written: Vec<_> = std::fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written, ["tokenizer.json"]);
}

#[test]
fn other_kinds_of_vocabulary_are_refused_with_what_to_do() {
    for (name, kind) in [("tiktoken.model", "tiktoken"), ("tekken.json", "tekken")] {
        let expected = format!(
            "{name}: expected a tokenizer.json ({kind} models are not supported: choose a model that has a \
             tokenizer.json), found: one"
        );
        refused(Tokenizer::read(dir(&[(name, "")]).path()), &expected);
    }
    let remote = r#"{"auto_map": {"AutoTokenizer": ["a.B", null]}}"#;
    let remote = dir(&[("vocab.txt", &WORDS.join("\n")), ("tokenizer_config.json", remote)]);
    let expected = "tokenizer_config.json: auto_map: expected none (code of the model's own is not supported: choose \
                    another model, or take the field out if tokenizer.json does all that the code does), found";
    refused(Tokenizer::read(remote.path()), expected);
}
