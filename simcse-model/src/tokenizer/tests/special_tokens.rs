use super::*;
use crate::tokenizer::files::ADDED_TOKENS;

fn special(config: &str, added: &str, class: Class) -> Result<SpecialTokens> {
    let files = Files::new().with(CONFIG, config.into()).with(ADDED_TOKENS, added.into());
    SpecialTokens::read(&files, &files.object(CONFIG)?, class)
}

/// Spelling, special, left-stripped.
fn added(tokens: &SpecialTokens, present: &[&str]) -> Vec<(String, bool, bool)> {
    let present: Vec<_> = present.iter().map(|&content| content.to_owned()).collect();
    tokens.to_add(&present).into_iter().map(|token| (token.content, token.special, token.lstrip)).collect()
}

#[test]
fn the_class_brings_its_tokens_in_the_order_of_their_roles() {
    let tokens = special("{}", "{}", Class::Bert).unwrap();
    let order: Vec<_> = added(&tokens, &["[UNK]"]).into_iter().map(|(content, ..)| content).collect();
    assert_eq!(order, ["[SEP]", "[PAD]", "[CLS]", "[MASK]"]);
    let tokens = special("{}", "{}", Class::Roberta).unwrap();
    let order: Vec<_> = added(&tokens, &[]).into_iter().map(|(content, ..)| content).collect();
    assert_eq!(order, ["<s>", "</s>", "<unk>", "<pad>", "<mask>"]);
    assert_eq!(added(&special("{}", "{}", Class::Backend).unwrap(), &[]), []);
}

#[test]
fn added_tokens_come_first_and_are_special_if_they_have_a_role() {
    let config = r#"{"own_token": "<own>", "extra_special_tokens": ["<x>", "<x>"]}"#;
    let tokens = special(config, r#"{"b": 9, "[MASK]": 8, "<own>": 7}"#, Class::Bert).unwrap();
    let present = ["[UNK]", "[SEP]", "[PAD]", "[CLS]"];
    let expected = [("<own>", true), ("[MASK]", true), ("b", false), ("<x>", true)];
    assert_eq!(added(&tokens, &present), expected.map(|(content, special)| (content.to_owned(), special, false)));
}

#[test]
fn a_class_needs_some_of_its_tokens() {
    let refused = |config, class| special(config, "{}", class).unwrap_err().to_string();
    assert!(refused(r#"{"cls_token": null}"#, Class::Bert).contains("cls_token: expected a token"));
    assert!(refused(r#"{"unk_token": ""}"#, Class::Bert).contains("unk_token: expected a token"));
    assert!(refused(r#"{"eos_token": null}"#, Class::XlmRoberta).contains("eos_token: expected a token"));
    special(r#"{"eos_token": null, "mask_token": null}"#, "{}", Class::Roberta).unwrap();
    special(r#"{"cls_token": null}"#, "{}", Class::Backend).unwrap();
}
