//! Generates what a tokenizer's files lack: a `tokenizer.json` and, if nothing else says how to use
//! it, a `tokenizer_config.json`.
//!
//! The generated configuration names `PreTrainedTokenizerFast`. Otherwise transformers would take
//! the class from the model's configuration, and that class keeps only the vocabulary of a
//! `tokenizer.json`.

use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::{BertNormalizer, Lowercase};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, TruncationDirection};

use crate::error::{Error, Result};
use crate::io::files::write_bytes;
use crate::tokenizer::build::{Built, build};
use crate::tokenizer::class::BERT;
use crate::tokenizer::files::{ADDED_TOKENS, CONFIG, Files, SPECIAL_TOKENS, TOKENIZER, WORDS};

/// The files of a directory that has only a vocabulary, with the equivalent `tokenizer.json` and,
/// if they have none, the matching `tokenizer_config.json`.
///
/// The directory's settings are kept if they build the same tokenizer from the generated file;
/// otherwise they are left out, because the generated file already includes their effect.
pub(crate) fn with_tokenizer_json(files: Files, built: &Built) -> Result<(Files, Option<Map<String, Value>>)> {
    let made = config(built);
    let has_config = files.has(CONFIG);
    let files = files.with(TOKENIZER, tokenizer_json(built)?);
    let complete = if has_config { files.clone() } else { files.clone().with(CONFIG, with_inputs(&made, false)) };
    let same = match build(&complete) {
        Ok(again) => tokenizer_json(&again)? == tokenizer_json(built)? && settings(&again) == settings(built),
        Err(_) => false,
    };
    match same {
        true if has_config => Ok((files, None)),
        true => Ok((files, Some(made))),
        false => Ok((files.without(&[CONFIG, SPECIAL_TOKENS, ADDED_TOKENS]), Some(made))),
    }
}

/// What a `tokenizer.json` does not hold.
fn settings(built: &Built) -> impl PartialEq + use<> {
    let left = matches!(built.truncation, TruncationDirection::Left);
    let ids = (built.template.clone(), built.special_ids.clone(), built.pad_id);
    (left, built.splits_special_tokens, built.model_max_length, ids)
}

/// The `tokenizer.json` of a tokenizer.
pub(crate) fn tokenizer_json(built: &Built) -> Result<Vec<u8>> {
    let json = built.inner.to_string(false).map_err(|error| Error::format(&built.path, "a tokenizer", error))?;
    Ok(json.into_bytes())
}

/// The `tokenizer_config.json` that makes transformers use a `tokenizer.json` unchanged.
pub(crate) fn config(built: &Built) -> Map<String, Value> {
    let mut config = Map::new();
    let mut put = |name: &str, value: Value| config.insert(name.to_owned(), value);
    put("tokenizer_class", json!("PreTrainedTokenizerFast"));
    put("clean_up_tokenization_spaces", json!(false));
    for (role, content) in built.special.spellings() {
        put(role, json!(content));
    }
    let extra: Vec<_> = built.special.extra().collect();
    if !extra.is_empty() {
        put("extra_special_tokens", json!(extra));
    }
    if let Some(length) = built.model_max_length {
        put("model_max_length", json!(length));
    }
    if matches!(built.truncation, TruncationDirection::Left) {
        put("truncation_side", json!("left"));
    }
    if built.splits_special_tokens {
        put("split_special_tokens", json!(true));
    }
    config
}

/// Writes a generated `tokenizer_config.json`.
pub(crate) fn write_config(dir: &Path, config: &Map<String, Value>, takes_token_types: bool) -> Result<()> {
    write_bytes(&dir.join(CONFIG), &with_inputs(config, takes_token_types))
}

/// Older sentence-transformers pass all inputs on to the model, and only BERT takes token types.
pub(crate) fn with_inputs(config: &Map<String, Value>, takes_token_types: bool) -> Vec<u8> {
    let inputs: &[&str] = match takes_token_types {
        true => &["input_ids", "token_type_ids", "attention_mask"],
        false => &["input_ids", "attention_mask"],
    };
    let mut config = config.clone();
    config.insert("model_input_names".to_owned(), json!(inputs));
    format!("{:#}\n", Value::Object(config)).into_bytes()
}

/// The files of a BERT tokenizer over `vocabulary`, whose words are in the order of their ids.
pub(crate) fn words<W: AsRef<str>>(vocabulary: &[W], do_lower_case: bool) -> Result<Files> {
    for (_, token) in BERT {
        if vocabulary.iter().all(|word| word.as_ref() != token) {
            return Err(Error::field(Path::new(WORDS), token, "a word of the vocabulary", "none"));
        }
    }
    let words: String = vocabulary.iter().flat_map(|word| [word.as_ref(), "\n"]).collect();
    let config = json!({ "do_lower_case": do_lower_case });
    Ok(Files::new().with(WORDS, words.into_bytes()).with(CONFIG, config.to_string().into_bytes()))
}

/// The `tokenizer_config.json` of a tokenizer with BERT's special tokens.
pub(crate) fn bert_config() -> Vec<u8> {
    let roles = BERT.into_iter().map(|(role, token)| (role.to_owned(), json!(token)));
    Value::Object(roles.collect()).to_string().into_bytes()
}

/// BERT's special tokens, in the order of their ids in a new vocabulary.
const BERT_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// The `tokenizer.json` of a byte-level BPE of at most `vocab_size` tokens: lower-cased, with
/// BERT's special tokens.
pub(crate) fn byte_level_bpe<S: AsRef<str> + Sync>(sentences: &[S], vocab_size: usize) -> Result<Vec<u8>> {
    let train = || {
        let byte_level = ByteLevel::new(true, true, true);
        let special = BERT_TOKENS.map(|token| AddedToken::from(token, true));
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size)
            .special_tokens(special.to_vec())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .show_progress(false)
            .build();
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        inner.with_normalizer(Some(Lowercase))?;
        inner.with_pre_tokenizer(Some(byte_level)).with_decoder(Some(byte_level));
        inner.train(&mut TrainerWrapper::from(trainer), sentences.iter().map(AsRef::as_ref))?;
        let template = ["[CLS]", "[SEP]"].map(|token| (token, inner.token_to_id(token).unwrap_or_default()));
        let template = TemplateProcessing::builder()
            .try_single("[CLS] $A [SEP]")?
            .try_pair("[CLS] $A [SEP] $B:1 [SEP]:1")?
            .special_tokens(template.to_vec())
            .build()?;
        inner.with_post_processor(Some(template));
        inner.to_string(false)
    };
    let json: tokenizers::Result<String> = train();
    json.map(String::into_bytes).map_err(|error| Error::format(Path::new(TOKENIZER), "a byte-level BPE", error))
}

/// The words of a WordPiece vocabulary of at most `vocab_size`, in the order of their ids, for a
/// tokenizer as [`words`] makes it.
pub(crate) fn word_piece_vocabulary<S: AsRef<str> + Sync>(
    sentences: &[S],
    vocab_size: usize,
    do_lower_case: bool,
) -> Result<Vec<String>> {
    let train = || {
        let trainer = WordPieceTrainer::builder()
            .vocab_size(vocab_size)
            .special_tokens(BERT_TOKENS.map(|token| AddedToken::from(token, true)).to_vec())
            .show_progress(false)
            .build();
        let mut inner = tokenizers::Tokenizer::new(WordPiece::default());
        inner.with_normalizer(Some(BertNormalizer::new(true, true, None, do_lower_case)))?;
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        inner.train(&mut TrainerWrapper::from(trainer), sentences.iter().map(AsRef::as_ref))?;
        let mut words: Vec<_> = inner.get_vocab(true).into_iter().collect();
        words.sort_by_key(|&(_, id)| id);
        Ok(words.into_iter().map(|(word, _)| word).collect())
    };
    let words: tokenizers::Result<_> = train();
    words.map_err(|error| Error::format(Path::new(WORDS), "a WordPiece vocabulary", error))
}
