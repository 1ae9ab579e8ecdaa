use super::*;

const WORDS: [&str; 11] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s", "this", "means", "\""];
const TEMPLATE: &str = "This: \"[X]\" means [MASK]";

fn with_template(mut tokenizer: Tokenizer, template: &str) -> Tokenizer {
    tokenizer.set_template(template).unwrap();
    tokenizer
}

fn bert() -> Tokenizer {
    Tokenizer::word_piece(&WORDS, true).unwrap()
}

#[test]
fn a_text_is_encoded_in_place_of_x_and_truncated_there() {
    let tokenizer = with_template(bert(), TEMPLATE);
    let tokens = tokenizer.encode_batch(&["Cats", "", "a a a a a"], 10).unwrap();
    let expected =
        [vec![2, 8, 1, 10, 6, 7, 10, 9, 4], vec![2, 8, 1, 10, 10, 9, 4], vec![2, 8, 1, 10, 5, 5, 5, 10, 9, 4]];
    assert_eq!((tokens.ids, tokens.cut), (expected.to_vec(), 1));
    assert_eq!(tokenizer.tokens_around("", 10).unwrap(), (4, 3));
    assert_eq!(tokenizer.tokens_around("a a ", 10).unwrap(), (6, 3));
    let error = tokenizer.encode_batch(&["a"], 7).unwrap_err().to_string();
    assert!(error.contains("max_seq_length: expected more than the 7 special tokens, found 7"), "{error}");
}

#[test]
fn without_a_mask_the_last_token_is_the_tokenizers_own() {
    let tokenizer = with_template(bert(), "a [X] a");
    assert_eq!(tokenizer.encode_batch(&["cat"], 9).unwrap().ids, [[2, 5, 6, 5, 3]]);
}

/// The files say the same as the tokenizer that they were written from, whatever class the original
/// files named, and however they spell the mask.
#[test]
fn what_is_written_has_the_template() {
    let base = tempfile::tempdir().unwrap();
    let files = [
        ("vocab.txt", WORDS.join("\n").replace("[MASK]", "<m>")),
        ("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer", "mask_token": "<m>"}"#.to_owned()),
    ];
    for (name, content) in files {
        std::fs::write(base.path().join(name), content).unwrap();
    }
    let bpe = Tokenizer::byte_level_bpe(&["this means a cat", "cats mean this"], 300).unwrap();
    for tokenizer in [bert(), Tokenizer::read(base.path()).unwrap(), bpe] {
        let tokenizer = with_template(tokenizer, TEMPLATE);
        let out = tempfile::tempdir().unwrap();
        tokenizer.write(out.path(), true).unwrap();
        let again = Tokenizer::read(out.path()).unwrap();
        let texts = ["cats", "this means a cat", ""];
        let ids = tokenizer.encode_batch(&texts, 20).unwrap().ids;
        assert_eq!(again.encode_batch(&texts, 20).unwrap().ids, ids);
        assert!(ids.iter().all(|ids| ids.last() == tokenizer.mask_id().as_ref()), "{ids:?}");
    }
}

#[test]
fn a_template_that_does_not_fit_is_refused() {
    let refused = |mut tokenizer: Tokenizer, template| tokenizer.set_template(template).unwrap_err().to_string();
    let mut small = bert();
    small.fit(9).unwrap();
    let error = refused(small, TEMPLATE);
    assert!(error.contains("expected tokens with an id less than the model's vocab_size 9, found 10"), "{error}");
    let error = refused(with_template(bert(), "a [X]"), TEMPLATE);
    assert!(error.contains("template: expected a tokenizer that has none yet, found one"), "{error}");
    let error = refused(bert(), "no place");
    assert!(error.contains("template: expected one with [X], found no place"), "{error}");
}
