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
    for (model_type, expected) in [("bert", Class::Bert), ("distilbert", Class::Bert), ("roberta", Class::Roberta)] {
        let model = format!(r#"{{"model_type": "{model_type}"}}"#);
        assert_eq!(class("{}", Some(&model)).unwrap(), expected);
    }
    assert_eq!(class("{}", None).unwrap(), Class::Backend);
}

#[test]
fn a_class_has_several_names() {
    for (name, expected) in [
        ("BertTokenizerFast", Class::Bert),
        ("DistilBertTokenizer", Class::Bert),
        ("ElectraTokenizerFast", Class::Bert),
        ("LongformerTokenizer", Class::Roberta),
        ("XLMRobertaTokenizerFast", Class::XlmRoberta),
        ("PreTrainedTokenizerFast", Class::Backend),
        ("PreTrainedTokenizer", Class::Backend),
        ("TokenizersBackend", Class::Backend),
    ] {
        assert_eq!(class(&format!(r#"{{"tokenizer_class": "{name}"}}"#), None).unwrap(), expected, "{name}");
    }
}

#[test]
fn other_classes_are_refused_by_name() {
    for name in
        ["BertJapaneseTokenizer", "BertweetTokenizer", "KoBertTokenizer", "bertTokenizer", "BertTokenizerFastFast"]
    {
        let json = format!(r#"{{"tokenizer_class": "{name}"}}"#);
        let error = class(&json, None).unwrap_err().to_string();
        assert!(error.contains("tokenizer_config.json: tokenizer_class: expected BertTokenizer, "), "{error}");
        assert!(error.ends_with(&format!(r#"(others are not supported), found "{name}""#)), "{error}");
        let model = format!(r#"{{"model_type": "bert", "tokenizer_class": "{name}"}}"#);
        let error = class("{}", Some(&model)).unwrap_err().to_string();
        assert!(error.starts_with("config.json: tokenizer_class"), "{error}");
    }
    let error = class("{}", Some(r#"{"model_type": "mpnet"}"#)).unwrap_err().to_string();
    assert!(error.contains("model_type: expected bert, distilbert or roberta, or a tokenizer_class"), "{error}");
}
