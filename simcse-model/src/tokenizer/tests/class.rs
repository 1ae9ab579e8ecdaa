use super::*;
use crate::tokenizer::files::CONFIG;

/// The class of a tokenizer with these two configurations.
fn class(tokenizer_config: &str, model: Option<&str>) -> Result<Class> {
    let files = Files::new().with(CONFIG, tokenizer_config.into()).with(TOKENIZER, b"{}".to_vec());
    let files = model.into_iter().fold(files, |files, model| files.with_model(model));
    Class::of(&files, &files.object(CONFIG)?)
}

#[test]
fn tokenizer_config_goes_before_config_and_that_before_the_model_type() {
    let bert = Some(r#"{"model_type": "bert", "tokenizer_class": "RobertaTokenizer"}"#);
    assert_eq!(class(r#"{"tokenizer_class": "HerbertTokenizerFast"}"#, bert).unwrap(), Class::Herbert);
    assert_eq!(class(r#"{"tokenizer_class": null}"#, bert).unwrap(), Class::Roberta);
    assert_eq!(class(r#"{"tokenizer_class": ""}"#, bert).unwrap(), Class::Roberta);
    for (model_type, expected) in [
        ("bert", Class::Bert),
        ("distilbert", Class::Bert),
        ("electra", Class::Bert),
        ("mpnet", Class::Mpnet),
        ("roberta", Class::Roberta),
        ("xlm-roberta", Class::XlmRoberta),
        ("camembert", Class::Camembert),
        ("albert", Class::Albert),
        ("modernbert", Class::Backend),
    ] {
        let model = format!(r#"{{"model_type": "{model_type}"}}"#);
        assert_eq!(class("{}", Some(&model)).unwrap(), expected);
    }
    assert_eq!(class("{}", None).unwrap(), Class::Backend);
}

#[test]
fn the_class_that_a_modernbert_names_is_ignored() {
    for name in ["BertTokenizer", "BertJapaneseTokenizer", "PreTrainedTokenizerFast"] {
        let config = format!(r#"{{"tokenizer_class": "{name}"}}"#);
        assert_eq!(class(&config, Some(r#"{"model_type": "modernbert"}"#)).unwrap(), Class::Backend, "{name}");
    }
    let model = r#"{"model_type": "roberta", "model_name": "camembertv2-base"}"#;
    assert_eq!(class(r#"{"tokenizer_class": "BertTokenizer"}"#, Some(model)).unwrap(), Class::Roberta);
}

#[test]
fn a_class_has_several_names() {
    for (name, expected) in [
        ("BertTokenizerFast", Class::Bert),
        ("DistilBertTokenizer", Class::Bert),
        ("ElectraTokenizerFast", Class::Bert),
        ("MPNetTokenizerFast", Class::Mpnet),
        ("LongformerTokenizer", Class::Roberta),
        ("XLMRobertaTokenizerFast", Class::XlmRoberta),
        ("CamembertTokenizerFast", Class::Camembert),
        ("AlbertTokenizerFast", Class::Albert),
        ("PreTrainedTokenizerFast", Class::Backend),
        ("PreTrainedTokenizer", Class::Backend),
        ("TokenizersBackend", Class::Backend),
    ] {
        assert_eq!(class(&format!(r#"{{"tokenizer_class": "{name}"}}"#), None).unwrap(), expected, "{name}");
    }
}

#[test]
fn other_classes_are_refused_by_name() {
    for name in ["BertweetTokenizer", "KoBertTokenizer", "bertTokenizer", "BertTokenizerFastFast"] {
        let json = format!(r#"{{"tokenizer_class": "{name}"}}"#);
        let error = class(&json, None).unwrap_err().to_string();
        assert!(error.contains("tokenizer_config.json: tokenizer_class: expected BertTokenizer, "), "{error}");
        let expected = format!(r#"(others are not supported: choose another model), found "{name}""#);
        assert!(error.ends_with(&expected), "{error}");
        let model = format!(r#"{{"model_type": "bert", "tokenizer_class": "{name}"}}"#);
        let error = class("{}", Some(&model)).unwrap_err().to_string();
        assert!(error.starts_with("config.json: tokenizer_class"), "{error}");
    }
    let error = class("{}", Some(r#"{"model_type": "deberta"}"#)).unwrap_err().to_string();
    let expected = "config.json: model_type: expected one of bert, distilbert, electra, mpnet, roberta, xlm-roberta, \
                    camembert, albert, modernbert, or a tokenizer_class in tokenizer_config.json, found \"deberta\"";
    assert_eq!(error, expected);
}

#[test]
fn a_class_that_runs_mecab_is_refused_with_what_to_do() {
    let error = class(r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#, None).unwrap_err().to_string();
    let expected = "tokenizer_config.json: tokenizer_class: expected a class whose words a tokenizer.json can find \
                    (MeCab and Sudachi are not supported: choose a model of Japanese that has a tokenizer.json, such \
                    as XLMRobertaTokenizer's), found \"BertJapaneseTokenizer\"";
    assert_eq!(error, expected);
}
