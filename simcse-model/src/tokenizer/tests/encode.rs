use super::*;

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
    tokenizer.check_fits(8).unwrap();
    refused(tokenizer.check_fits(7), "expected less than the model's vocab_size 7, found 7");
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
    tokenizer.write(out.path(), Architecture::DistilBert).unwrap();
    let read = |name| std::fs::read_to_string(out.path().join(name)).unwrap();
    assert_eq!(read("vocab.txt"), WORDS.join("\n"));
    assert_eq!(read("added_tokens.json"), "{ }");
    let config: Value = serde_json::from_str(&read("tokenizer_config.json")).unwrap();
    assert_eq!(config["tokenizer_class"], "PreTrainedTokenizerFast");
    assert_eq!(config["model_input_names"], json!(["input_ids", "attention_mask"]));
    assert_eq!(config["pad_token"], "[PAD]");

    std::fs::remove_file(out.path().join("vocab.txt")).unwrap();
    let again = Tokenizer::read(out.path()).unwrap();
    let texts = ["Cats a dog"];
    assert_eq!(again.encode_batch(&texts, 9).unwrap().ids, tokenizer.encode_batch(&texts, 9).unwrap().ids);
    assert_eq!(read("tokenizer.json").as_bytes(), again.files[0].1);
}

#[test]
fn padding_and_truncation_of_the_file_are_switched_off() {
    let words = Tokenizer::word_piece(&WORDS, true).unwrap();
    let mut json: Value = serde_json::from_slice(&words.files[0].1).unwrap();
    json["truncation"] = json!({"max_length": 1, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = json!({"strategy": {"Fixed": 1_000_000_000_000_u64}, "direction": "Right",
        "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
    let dir = dir(&[("tokenizer.json", &json.to_string())]);
    let tokenizer = Tokenizer::read(dir.path()).unwrap();
    assert_eq!(tokenizer.encode_batch(&["a cat"], 9).unwrap().ids, [[2, 5, 6, 3]]);
}

#[test]
fn byte_level_bpe_from_vocab_and_merges() {
    let vocab = r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6, "Ġ": 7, "<mask>": 8}"#;
    let merges = "#version: 0.2\na b\n";
    let base = dir(&[("vocab.json", vocab), ("merges.txt", merges)]);
    let tokenizer = Tokenizer::read(base.path()).unwrap();
    let ids = tokenizer.encode_batch(&["ab ba", "a <mask>b<pad>"], 9).unwrap().ids;
    assert_eq!(ids, [vec![0, 6, 7, 5, 4, 2], vec![0, 4, 8, 5, 1, 2]]);
    let base = dir(&[
        ("vocab.json", vocab),
        ("merges.txt", merges),
        ("tokenizer_config.json", r#"{"add_prefix_space": true}"#),
    ]);
    let tokenizer = Tokenizer::read(base.path()).unwrap();
    assert_eq!(tokenizer.encode_batch(&["ab"], 9).unwrap().ids, [[0, 7, 6, 2]]);
    let broken = dir(&[("vocab.json", vocab), ("merges.txt", "a b c")]);
    refused(Tokenizer::read(broken.path()), "merges.txt: line 1: expected two tokens");
    let broken = dir(&[("vocab.json", vocab), ("merges.txt", "a c")]);
    refused(Tokenizer::read(broken.path()), "vocab.json: expected a tokenizer");
}

#[test]
fn byte_level_bpe_is_trained_and_read_back() {
    let sentences = ["the cat sat on the mat", "The cat has cats", "on the mat"];
    let train = |sentences| Tokenizer::byte_level_bpe(sentences, 270).unwrap();
    let tokenizer = train(&sentences);
    assert_eq!(tokenizer.max_id(), 269);
    assert_eq!(tokenizer.files, train(&sentences).files, "a function of the sentences");
    let texts = ["The Cat", "the cat", "", "naïve [MASK]"];
    let ids = tokenizer.encode_batch(&texts, 32).unwrap().ids;
    assert_eq!((&ids[0], &ids[2]), (&ids[1], &vec![2, 3]));
    assert_eq!((ids[3][0], ids[3].ends_with(&[4, 3])), (2, true));
    let out = dir(&[]);
    tokenizer.write(out.path(), Architecture::Bert).unwrap();
    assert_eq!(Tokenizer::read(out.path()).unwrap().encode_batch(&texts, 32).unwrap().ids, ids);
}

#[test]
fn bad_files_are_named() {
    refused(Tokenizer::read(dir(&[]).path()), "tokenizer.json: not found: a model directory holds");
    refused(Tokenizer::read(dir(&[("tokenizer.json", "{}")]).path()), "tokenizer.json: expected a tokenizer");
    refused(Tokenizer::read(dir(&[("vocab.txt", "a")]).path()), "vocab.txt: [PAD]: expected a word");
    let bytes = dir(&[]);
    std::fs::write(bytes.path().join("vocab.txt"), [0xff]).unwrap();
    refused(Tokenizer::read(bytes.path()), "vocab.txt: expected UTF-8 text");
    let length = r#"{"model_max_length": 0}"#;
    refused(
        Tokenizer::read(dir(&[("vocab.txt", &WORDS.join("\n")), ("tokenizer_config.json", length)]).path()),
        "tokenizer_config.json: model_max_length",
    );
    let words = Tokenizer::word_piece(&WORDS, true).unwrap();
    let mut json: Value = serde_json::from_slice(&words.files[0].1).unwrap();
    json["post_processor"] = Value::Null;
    refused(Tokenizer::read(dir(&[("tokenizer.json", &json.to_string())]).path()), "post_processor");
}
