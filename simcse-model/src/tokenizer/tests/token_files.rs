use super::*;

fn claims(files: &[(&'static str, &str)]) -> Result<Claims> {
    let files = files.iter().fold(Files::new(), |files, (name, json)| files.with(name, (*json).into()));
    Claims::read(&files, &files.object(CONFIG)?)
}

#[track_caller]
fn refused(files: &[(&'static str, &str)], message: &str) {
    let error = claims(files).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

fn bare(content: &str) -> Option<Token> {
    Some(Token::Bare(content.to_owned()))
}

fn contents(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(Token::content).collect()
}

#[test]
fn special_tokens_map_goes_before_the_config_unless_that_lists_the_added_tokens() {
    let map = (SPECIAL_TOKENS, r#"{"cls_token": "<map>", "mask_token": {"content": "<m>", "lstrip": true}}"#);
    let both = claims(&[(CONFIG, r#"{"cls_token": "<config>", "sep_token": "<s>", "pad_token": null}"#), map]).unwrap();
    assert_eq!(both.roles["cls_token"], bare("<map>"));
    assert_eq!(both.roles["sep_token"], bare("<s>"));
    assert_eq!(both.roles["pad_token"], None);
    assert_eq!(both.roles["mask_token"], Some(Token::Flagged(AddedToken::from("<m>", true).lstrip(true).into())));
    let listed = claims(&[(CONFIG, r#"{"cls_token": "<config>", "added_tokens_decoder": {}}"#), map]).unwrap();
    assert_eq!((listed.roles["cls_token"].clone(), listed.roles.len()), (bare("<config>"), 1));
}

#[test]
fn the_flags_of_an_added_token_count_for_the_role_of_its_spelling() {
    let config = r#"{"mask_token": "<m>", "added_tokens_decoder": {"7": {"content": "<m>", "lstrip": true}}}"#;
    let flagged = AddedToken::from("<m>", false).lstrip(true);
    assert_eq!(claims(&[(CONFIG, config)]).unwrap().roles["mask_token"], Some(Token::Flagged(flagged.into())));
}

#[test]
fn added_tokens_are_ordered_by_the_ids_that_they_claim() {
    let config = r#"{"pad_token": "<pad>", "extra_special_tokens": ["<x>"]}"#;
    let added = r#"{"b": 12, "<pad>": 11, "<x>": 13, "a": 10}"#;
    let tokenizer = r#"{"added_tokens": [{"id": 12, "content": "c", "special": true}]}"#;
    let claims = claims(&[(CONFIG, config), (ADDED_TOKENS, added), (TOKENIZER, tokenizer)]).unwrap();
    let found: Vec<_> =
        claims.added.values().map(|token| (token.content.as_str(), token.special, token.normalized)).collect();
    // tokenizer.json has the last word about an id.
    let expected = [("a", false, true), ("<pad>", true, false), ("c", true, false), ("<x>", true, false)];
    assert_eq!(found, expected);
}

#[test]
fn extra_special_tokens_have_two_names_and_may_have_roles() {
    let extra = |config| claims(&[(CONFIG, config)]).unwrap();
    // Which of them the class's own stand in for.
    for of_class in ["{}", r#"{"extra_special_tokens": {"image": "i"}}"#] {
        assert!(extra(of_class).extra.is_none());
    }
    for none in [r#"{"extra_special_tokens": null}"#, r#"{"additional_special_tokens": null}"#] {
        assert!(extra(none).extra.unwrap().is_empty());
    }
    assert_eq!(contents(&extra(r#"{"additional_special_tokens": ["a"]}"#).extra.unwrap()), ["a"]);
    assert_eq!(
        contents(&extra(r#"{"additional_special_tokens": ["a"], "extra_special_tokens": []}"#).extra.unwrap()),
        ["a"]
    );
    assert_eq!(
        contents(&extra(r#"{"additional_special_tokens": ["a"], "extra_special_tokens": ["b"]}"#).extra.unwrap()),
        ["b"]
    );
    let own =
        extra(r#"{"own_token": "o", "extra_special_tokens": {"image": "i", "own_token": "p"}, "not_token": true}"#);
    assert_eq!(
        own.own_roles,
        [("own_token", "p"), ("image", "i")].map(|(name, token)| (name.to_owned(), bare(token).unwrap()))
    );
    let map =
        r#"{"additional_special_tokens": ["c"], "extra_special_tokens": [{"content": "d", "rstrip": true}, "a"]}"#;
    let both = claims(&[(CONFIG, r#"{"extra_special_tokens": ["a"]}"#), (SPECIAL_TOKENS, map)]).unwrap();
    assert_eq!(contents(&both.extra.unwrap()), ["a", "d"]);
}

#[test]
fn what_is_no_token_is_named() {
    refused(&[(CONFIG, r#"{"cls_token": 5}"#)], "tokenizer_config.json: cls_token: expected a string, or");
    refused(&[(CONFIG, r#"{"cls_token": {"content": "x"}}"#)], r#"found {"content":"x"}"#);
    refused(&[(CONFIG, r#"{"extra_special_tokens": "x"}"#)], "extra_special_tokens: expected a list of tokens");
    refused(&[(CONFIG, r#"{"added_tokens_decoder": []}"#)], "added_tokens_decoder: expected an object of ids");
    refused(&[(CONFIG, r#"{"added_tokens_decoder": {"x": {"content": "a"}}}"#)], "added_tokens_decoder");
    refused(&[(CONFIG, r#"{"added_tokens_decoder": {"1": {"content": "a", "lstrip": 1}}}"#)], "added_tokens_decoder");
    refused(
        &[(SPECIAL_TOKENS, r#"{"do_lower_case": false}"#)],
        "special_tokens_map.json: do_lower_case: expected a token",
    );
    refused(&[(SPECIAL_TOKENS, r#"{"additional_special_tokens": [{"content": "x"}]}"#)], "additional_special_tokens");
    refused(&[(ADDED_TOKENS, r#"{"a": "1"}"#)], "added_tokens.json: a: expected an id");
    refused(&[(ADDED_TOKENS, r#"{"a": 1, "b": 1}"#)], "added_tokens.json: b: expected an id of its own");
    refused(&[(TOKENIZER, "{}")], "missing field `added_tokens`");
    // A token that is overridden may be anything.
    claims(&[(CONFIG, r#"{"cls_token": 5}"#), (SPECIAL_TOKENS, r#"{"cls_token": "x"}"#)]).unwrap();
}
