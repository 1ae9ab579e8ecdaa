//! The parts of the tokenizers library that a tokenizer class combines: normalizer, splitter, model
//! and template.
//!
//! Source: transformers' `BertTokenizer`, `MPNetTokenizer`, `RobertaTokenizer`,
//! `XLMRobertaTokenizer`, `CamembertTokenizer`, `AlbertTokenizer`, `HerbertTokenizer` (version 5).
//! They keep only the vocabulary of a `tokenizer.json`, those of SentencePiece models its character
//! map, and `AlbertTokenizer` its template; `TokenizersBackend` alone uses the file unchanged.

use std::path::PathBuf;

use serde_json::Value;
use tokenizers::decoders::bpe::BPEDecoder;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{self, BertNormalizer, Lowercase, NFKD, NormalizerWrapper, Replace, StripAccents};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{ModelWrapper, PostProcessorWrapper, Tokenizer};

use crate::error::{Error, Result};
use crate::io::json::JsonObject;
use crate::tokenizer::class::Class;
use crate::tokenizer::files::{Files, TOKENIZER};
use crate::tokenizer::patterns;
use crate::tokenizer::special_tokens::SpecialTokens;
use crate::tokenizer::vocabulary;

/// What marks the beginning of a word in the pieces of a SentencePiece model.
const WORD_BEGIN: char = '▁';

/// The file that the vocabulary comes from, which errors name.
pub(crate) fn vocabulary_path(files: &Files, class: Class) -> PathBuf {
    let vocabulary = class.vocabulary().first().filter(|_| !files.has(TOKENIZER));
    files.path(vocabulary.unwrap_or(&TOKENIZER))
}

/// The error for files that the tokenizers library refuses.
pub(crate) fn unfit(files: &Files, class: Class, error: tokenizers::Error) -> Error {
    Error::format(&vocabulary_path(files, class), "a tokenizer", error)
}

/// The class's pipeline without tokens added; `file` is what `tokenizer.json` holds.
pub(crate) fn without_added_tokens(
    files: &Files,
    config: &JsonObject,
    class: Class,
    file: Option<&Tokenizer>,
    special: &SpecialTokens,
) -> Result<Tokenizer> {
    let unknown = special.role("unk_token").unwrap_or_default().to_owned();
    match class {
        Class::Backend => backend(files, file),
        Class::Bert | Class::Mpnet => bert(files, config, class, file, unknown),
        Class::Roberta => roberta(files, config, file),
        Class::XlmRoberta | Class::Camembert => xlm_roberta(files, config, class, file, &unknown),
        Class::Albert => albert(files, config, file, special),
        Class::Herbert => herbert(files, file, unknown),
    }
}

fn backend(files: &Files, file: Option<&Tokenizer>) -> Result<Tokenizer> {
    let advice = "the class PreTrainedTokenizerFast needs it".to_owned();
    let file = file.ok_or_else(|| Error::Missing { file: files.path(TOKENIZER), advice })?;
    if let ModelWrapper::BPE(model) = file.get_model()
        && let Some(dropout) = model.dropout
        && dropout > 0.0
    {
        let expected = "none (leaving merges out at random is not supported)";
        return Err(Error::field(&files.path(TOKENIZER), "model.dropout", expected, dropout));
    }
    patterns::check(files)?;
    Ok(file.clone())
}

fn bert(
    files: &Files,
    config: &JsonObject,
    class: Class,
    file: Option<&Tokenizer>,
    unknown: String,
) -> Result<Tokenizer> {
    let words = vocabulary::words(files, file)?;
    let model = WordPiece::builder().vocab(words).unk_token(unknown).build();
    let mut inner = Tokenizer::new(model.map_err(|error| unfit(files, class, error))?);
    let strip_accents = match config.get("strip_accents") {
        None => None,
        Some(_) => Some(config.argument("strip_accents", false)?),
    };
    let chinese = config.argument("tokenize_chinese_chars", true)?;
    let normalizer = BertNormalizer::new(true, chinese, strip_accents, config.argument("do_lower_case", true)?);
    put(files, class, inner.with_normalizer(Some(normalizer)))?;
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_decoder(Some(WordPieceDecoder::new("##".to_owned(), true)));
    Ok(inner)
}

fn roberta(files: &Files, config: &JsonObject, file: Option<&Tokenizer>) -> Result<Tokenizer> {
    let (vocabulary, merges) = vocabulary::tokens_and_merges(files, file)?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix(String::new())
        .build();
    let mut inner = Tokenizer::new(model.map_err(|error| unfit(files, Class::Roberta, error))?);
    let add_prefix_space = config.argument("add_prefix_space", false)?;
    inner.with_pre_tokenizer(Some(ByteLevel::new(add_prefix_space, true, true)));
    inner.with_decoder(Some(ByteLevel::new(true, true, true)));
    Ok(inner)
}

fn xlm_roberta(
    files: &Files,
    config: &JsonObject,
    class: Class,
    file: Option<&Tokenizer>,
    unknown: &str,
) -> Result<Tokenizer> {
    let pieces = vocabulary::pieces(files, file)?;
    let unknown = match class {
        Class::Camembert => pieces.iter().position(|(piece, _)| piece == unknown).unwrap_or(0),
        _ => 3, // whatever the file says
    };
    let mut inner = unigram(files, config, class, pieces, unknown)?;
    if let Some(normalizer) = file.and_then(|file| precompiled(file.get_normalizer()?)) {
        put(files, class, inner.with_normalizer(Some(normalizer)))?;
    }
    Ok(inner)
}

fn albert(files: &Files, config: &JsonObject, file: Option<&Tokenizer>, special: &SpecialTokens) -> Result<Tokenizer> {
    const UNKNOWN: usize = 1; // whatever the file says
    let mut inner = unigram(files, config, Class::Albert, vocabulary::pieces(files, file)?, UNKNOWN)?;
    let replace = |from: &str| Replace::new(from, "\"").map_err(|error| unfit(files, Class::Albert, error));
    let mut steps: Vec<NormalizerWrapper> = vec![replace("``")?.into(), replace("''")?.into()];
    if !condition(config, "keep_accents", false)? {
        steps.extend([NFKD.into(), StripAccents.into()]);
    }
    if condition(config, "do_lower_case", true)? {
        steps.push(Lowercase.into());
    }
    steps.extend(file.and_then(|file| precompiled(file.get_normalizer()?)));
    put(files, Class::Albert, inner.with_normalizer(Some(normalizers::Sequence::new(steps))))?;
    // The template has these spellings, and the ids of the tokens in these roles.
    let piece = |role: &str| {
        let token = special.role(role).unwrap_or_default();
        inner.token_to_id(token).ok_or_else(|| {
            let expected = "a piece of the model (a tokenizer of this class without it is not supported)";
            Error::field(&files.path(TOKENIZER), role, expected, token)
        })
    };
    let tokens = vec![("[CLS]".to_owned(), piece("cls_token")?), ("[SEP]".to_owned(), piece("sep_token")?)];
    let single = ["[CLS]:0", "$A:0", "[SEP]:0"].into_iter();
    let template = around(files, Class::Albert, single.clone(), single.chain(["$B:1", "[SEP]:1"]), tokens)?;
    inner.with_post_processor(template);
    Ok(inner)
}

/// The words of a text as the pieces of a SentencePiece model, without a normalizer.
fn unigram(
    files: &Files,
    config: &JsonObject,
    class: Class,
    pieces: Vec<(String, f64)>,
    unknown: usize,
) -> Result<Tokenizer> {
    let model = Unigram::from(pieces, Some(unknown), false);
    let mut inner = Tokenizer::new(model.map_err(|error| unfit(files, class, error))?);
    let prefixed = condition(config, "add_prefix_space", true)?;
    let scheme = if prefixed { PrependScheme::Always } else { PrependScheme::Never };
    let words = Metaspace::new(WORD_BEGIN, scheme, true);
    inner.with_pre_tokenizer(Some(Sequence::new(vec![WhitespaceSplit.into(), words.clone().into()])));
    inner.with_decoder(Some(words));
    Ok(inner)
}

/// A setting that Python takes as a condition, where `null` is false.
fn condition(config: &JsonObject, field: &str, default: bool) -> Result<bool> {
    match config.fields().get(field) {
        Some(Value::Null) => Ok(false),
        _ => config.argument(field, default),
    }
}

/// The character map of a SentencePiece model, alone or the first of a sequence.
fn precompiled(normalizer: &NormalizerWrapper) -> Option<NormalizerWrapper> {
    let is_map = |normalizer: &&NormalizerWrapper| matches!(normalizer, NormalizerWrapper::Precompiled(_));
    match normalizer {
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().find(is_map).cloned(),
        other => Some(other).filter(is_map).cloned(),
    }
}

fn herbert(files: &Files, file: Option<&Tokenizer>, unknown: String) -> Result<Tokenizer> {
    const WORD_END: &str = "</w>";
    let (vocabulary, merges) = vocabulary::tokens_and_merges(files, file)?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .unk_token(unknown)
        .end_of_word_suffix(WORD_END.to_owned())
        .build();
    let mut inner = Tokenizer::new(model.map_err(|error| unfit(files, Class::Herbert, error))?);
    put(files, Class::Herbert, inner.with_normalizer(Some(BertNormalizer::new(true, true, Some(false), false))))?;
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_decoder(Some(BPEDecoder::new(WORD_END.to_owned())));
    Ok(inner)
}

fn put<T>(files: &Files, class: Class, result: tokenizers::Result<T>) -> Result<()> {
    result.map(drop).map_err(|error| unfit(files, class, error))
}

/// What the class puts around a text; `None` to keep the template that `inner` has.
pub(crate) fn template(
    files: &Files,
    config: &JsonObject,
    class: Class,
    file: Option<&Tokenizer>,
    inner: &Tokenizer,
    special: &SpecialTokens,
) -> Result<Option<PostProcessorWrapper>> {
    // Every role that a class requires has a token by now, and it is in the vocabulary.
    let token = |role: &str| special.role(role).unwrap_or_default().to_owned();
    let with_id = |role: &str| (token(role), id(inner, special, &token(role)).unwrap_or_default());
    match class {
        Class::Backend => Ok(None),
        Class::Albert => Ok(file.and_then(|file| file.get_post_processor().cloned())),
        Class::Bert => {
            let (cls, sep) = (token("cls_token"), token("sep_token"));
            let special_tokens = vec![with_id("cls_token"), with_id("sep_token")];
            let single = format!("{cls}:0 $A:0 {sep}:0");
            let pair = format!("{single} $B:1 {sep}:1");
            around(files, class, single.split(' '), pair.split(' '), special_tokens)
        }
        Class::XlmRoberta => {
            let (bos, eos) = (token("bos_token"), token("eos_token"));
            let special_tokens = vec![with_id("bos_token"), with_id("eos_token")];
            let single = [bos.as_str(), "$A", eos.as_str()];
            let pair = [&single[..], &[&eos, "$B", &eos]].concat();
            around(files, class, single.into_iter(), pair.into_iter(), special_tokens)
        }
        Class::Camembert => {
            let (bos, eos) = (token("bos_token"), token("eos_token"));
            let special_tokens = vec![with_id("bos_token"), with_id("eos_token")];
            let single = format!("{bos} $A {eos}");
            let pair = format!("{single} {eos} $B {eos}");
            around(files, class, single.split(' '), pair.split(' '), special_tokens)
        }
        Class::Mpnet => {
            let template = RobertaProcessing::new(with_id("sep_token"), with_id("cls_token"));
            Ok(Some(template.trim_offsets(true).add_prefix_space(false).into()))
        }
        Class::Roberta => {
            let template = RobertaProcessing::new(with_id("sep_token"), with_id("cls_token"))
                .trim_offsets(config.argument("trim_offsets", true)?)
                .add_prefix_space(config.argument("add_prefix_space", false)?);
            Ok(Some(template.into()))
        }
        // The ids are fixed.
        Class::Herbert => Ok(Some(BertProcessing::new((token("sep_token"), 2), (token("cls_token"), 0)).into())),
    }
}

fn around<'a>(
    files: &Files,
    class: Class,
    single: impl Iterator<Item = &'a str>,
    pair: impl Iterator<Item = &'a str>,
    special_tokens: Vec<(String, u32)>,
) -> Result<Option<PostProcessorWrapper>> {
    let build = || {
        let mut builder = TemplateProcessing::builder();
        builder.try_single(single.collect::<Vec<_>>())?.try_pair(pair.collect::<Vec<_>>())?;
        Ok::<_, tokenizers::Error>(builder.special_tokens(special_tokens).build()?)
    };
    build().map(|template| Some(template.into())).map_err(|error| unfit(files, class, error))
}

/// The id of a token, or that of the unknown token.
pub(crate) fn id(inner: &Tokenizer, special: &SpecialTokens, content: &str) -> Option<u32> {
    inner.token_to_id(content).or_else(|| inner.token_to_id(special.role("unk_token")?))
}
