//! The vocabulary around which a tokenizer class builds its pipeline: from `tokenizer.json`,
//! ignoring the rest of that file, or from `vocab.txt` (BERT) or `vocab.json` and `merges.txt`
//! (RoBERTa).
//!
//! Source: transformers' `TokenizersBackend.convert_to_native_format`, and `WordPiece::read_file`
//! and `BPE::read_file` of the tokenizers library.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use tokenizers::models::bpe::{Merges, Vocab};
use tokenizers::{Model, ModelWrapper};

use crate::error::{Error, Result};
use crate::tokenizer::files::{CONVERTIBLE, Files, MERGES, TOKENIZER, VOCABULARY, WORDS};

const ADVICE: &str = "the tokenizer's class needs it or a tokenizer.json (an empty vocabulary is not supported)";

/// The words of a WordPiece model.
pub(crate) fn words(files: &Files, file: Option<&tokenizers::Tokenizer>) -> Result<Vocab> {
    match file.map(|file| file.get_model()) {
        Some(ModelWrapper::WordPiece(model)) => Ok(model.get_vocab().into_iter().collect()),
        Some(other) => Err(wrong_model(files, "WordPiece", other)),
        None => lines(&files.path(WORDS), files.require(WORDS, ADVICE)?),
    }
}

/// The words of a `vocab.txt`, one per line; a repeated word has the id of its last line.
fn lines(path: &Path, bytes: &[u8]) -> Result<Vocab> {
    let words = utf8(path, bytes)?.lines().map(|line| line.trim_end().to_owned());
    Ok(words.zip(0..).collect())
}

/// The tokens and merges of a BPE model.
pub(crate) fn tokens_and_merges(files: &Files, file: Option<&tokenizers::Tokenizer>) -> Result<(Vocab, Merges)> {
    match file.map(|file| file.get_model()) {
        Some(ModelWrapper::BPE(_)) => merges_of_tokenizer(files),
        Some(other) => Err(wrong_model(files, "BPE", other)),
        None => {
            let path = files.path(VOCABULARY);
            let tokens: HashMap<String, u32> = serde_json::from_slice(files.require(VOCABULARY, ADVICE)?)
                .map_err(|error| Error::format(&path, "an object of tokens and their ids", error))?;
            Ok((tokens.into_iter().collect(), pairs(&files.path(MERGES), files.require(MERGES, ADVICE)?)?))
        }
    }
}

/// The pairs of a `merges.txt`, one per line, separated by a space.
fn pairs(path: &Path, bytes: &[u8]) -> Result<Merges> {
    let lines = utf8(path, bytes)?.lines().zip(1..).filter(|(line, _)| !line.starts_with("#version"));
    let pairs = lines.map(|(line, number)| {
        let field = format!("line {number}");
        pair(line).ok_or_else(|| Error::field(path, &field, "two tokens with a space between", line))
    });
    pairs.collect()
}

fn pair(line: &str) -> Option<(String, String)> {
    let (first, second) = line.split_once(' ')?;
    (!second.contains(' ')).then(|| (first.to_owned(), second.to_owned()))
}

/// The library does not expose merges, so they are read again.
fn merges_of_tokenizer(files: &Files) -> Result<(Vocab, Merges)> {
    #[derive(Deserialize)]
    struct File {
        model: Bpe,
    }
    #[derive(Deserialize)]
    struct Bpe {
        vocab: HashMap<String, u32>,
        merges: Vec<Merge>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Merge {
        Line(String),
        Pair(String, String),
    }
    let path = files.path(TOKENIZER);
    let File { model } = serde_json::from_slice(files.get(TOKENIZER).unwrap_or_default())
        .map_err(|error| Error::format(&path, "a tokenizer", error))?;
    let merges = model.merges.into_iter().map(|merge| match merge {
        Merge::Pair(first, second) => Ok((first, second)),
        Merge::Line(line) => {
            pair(&line).ok_or_else(|| Error::field(&path, "merges", "two tokens with a space between", line))
        }
    });
    Ok((model.vocab.into_iter().collect(), merges.collect::<Result<_>>()?))
}

/// The pieces of a Unigram model and their scores.
pub(crate) fn pieces(files: &Files, file: Option<&tokenizers::Tokenizer>) -> Result<Vec<(String, f64)>> {
    match file.map(|file| file.get_model()) {
        Some(ModelWrapper::Unigram(model)) => Ok(model.iter().cloned().collect()),
        Some(other) => Err(wrong_model(files, "Unigram", other)),
        None => Err(Error::format(&files.path(TOKENIZER), CONVERTIBLE, "none")),
    }
}

/// transformers would build the class's model from any vocabulary, and split texts into nonsense.
fn wrong_model(files: &Files, wanted: &str, found: &ModelWrapper) -> Error {
    let found = match found {
        ModelWrapper::BPE(_) => "BPE",
        ModelWrapper::WordPiece(_) => "WordPiece",
        ModelWrapper::WordLevel(_) => "WordLevel",
        ModelWrapper::Unigram(_) => "Unigram",
    };
    let expected = format_args!(
        "{wanted} for the tokenizer's class (another is not supported: a tokenizer.json to be used as it is needs \
         \"tokenizer_class\": \"PreTrainedTokenizerFast\" in tokenizer_config.json)"
    );
    Error::field(&files.path(TOKENIZER), "model.type", expected, found)
}

fn utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    str::from_utf8(bytes).map_err(|error| Error::format(path, "UTF-8 text", error))
}

#[cfg(test)]
#[path = "tests/vocabulary.rs"]
mod tests;
