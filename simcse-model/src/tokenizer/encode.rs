//! Texts to token ids.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value};
use simcse_tensor::Named;
use tokenizers::ModelWrapper;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};

use crate::error::{Error, Result};
use crate::tokenizer::build::{Built, build};
use crate::tokenizer::caught::caught;
use crate::tokenizer::files::{CONFIG, Files, TOKENIZER};
use crate::tokenizer::made;

/// A kind of tokenizer that can be trained on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerKind {
    /// Pairs of bytes that are frequent together, for any language and any character.
    Bpe,
    /// Parts of words, as in BERT.
    WordPiece,
}

impl Named for TokenizerKind {
    const ALL: &'static [Self] = &[Self::Bpe, Self::WordPiece];

    fn name(self) -> &'static str {
        match self {
            Self::Bpe => "bpe",
            Self::WordPiece => "wordpiece",
        }
    }
}

/// Token ids of texts, special tokens included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// One list per text.
    pub ids: Vec<Vec<u32>>,
    /// How many texts were too long and were truncated.
    pub cut: usize,
}

/// Turns texts into token ids. It keeps the bytes of the files that it was made from, to write them
/// back.
#[derive(Debug)]
pub struct Tokenizer {
    pub(super) built: Built,
    pub(super) files: Files,
    /// The `tokenizer_config.json` to write if the files have none.
    pub(super) made_config: Option<Map<String, Value>>,
    /// How many tokens the model has embeddings for.
    pub(super) embeddings: usize,
}

impl Tokenizer {
    /// Reads the tokenizer in `dir`, as transformers' `AutoTokenizer` would build it.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none of the files that its class needs; [`Error::Format`],
    /// [`Error::Field`] for what transformers refuses and for what is not supported here;
    /// [`Error::Io`].
    pub fn read(dir: &Path) -> Result<Self> {
        let files = Files::read(dir)?;
        let built = build(&files)?;
        if files.has(TOKENIZER) {
            return Ok(Self::new(built, files, None));
        }
        let (files, made_config) = made::with_tokenizer_json(files, &built)?;
        Ok(Self::new(built, files, made_config))
    }

    /// A BERT tokenizer over `vocabulary`, whose words are in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Field`] if one of `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]` is missing.
    pub fn word_piece<W: AsRef<str>>(vocabulary: &[W], do_lower_case: bool) -> Result<Self> {
        let built = build(&made::words(vocabulary, do_lower_case)?)?;
        let files = Files::new().with(TOKENIZER, made::tokenizer_json(&built)?);
        let made_config = Some(made::config(&built));
        Ok(Self::new(built, files, made_config))
    }

    /// A byte-level BPE tokenizer of at most `vocab_size` tokens, trained on `sentences`:
    /// lower-cased, with BERT's special tokens in its template. The same sentences give the same
    /// tokenizer.
    ///
    /// # Errors
    /// [`Error::Format`] if the tokenizers library refuses.
    pub fn byte_level_bpe<S: AsRef<str> + Sync>(sentences: &[S], vocab_size: usize) -> Result<Self> {
        let files = Files::new().with(TOKENIZER, made::byte_level_bpe(sentences, vocab_size)?);
        let built = build(&files.clone().with(CONFIG, made::bert_config()))?;
        let made_config = Some(made::config(&built));
        Ok(Self::new(built, files, made_config))
    }

    /// A tokenizer of this kind with at most `vocab_size` tokens, trained on `sentences` and
    /// lower-cased. The same sentences give the same tokenizer.
    ///
    /// # Errors
    /// [`Error::Format`] if the tokenizers library refuses.
    pub fn train<S: AsRef<str> + Sync>(kind: TokenizerKind, sentences: &[S], vocab_size: usize) -> Result<Self> {
        match kind {
            TokenizerKind::Bpe => Self::byte_level_bpe(sentences, vocab_size),
            TokenizerKind::WordPiece => {
                Self::word_piece(&made::word_piece_vocabulary(sentences, vocab_size, true)?, true)
            }
        }
    }

    fn new(built: Built, files: Files, made_config: Option<Map<String, Value>>) -> Self {
        Self { built, files, made_config, embeddings: usize::MAX }
    }

    /// The token ids of each text, special tokens included, truncated to `max_length` at the end,
    /// or at the beginning if the tokenizer's settings say so. Texts are not trimmed.
    ///
    /// # Errors
    /// [`Error::Field`] if `max_length` leaves no room for text after the special tokens;
    /// [`Error::Encode`].
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S], max_length: usize) -> Result<Tokens> {
        self.encode_prompted("", texts, max_length)
    }

    /// [`Tokenizer::encode_batch`] with `prompt` in front of every text; it counts toward the
    /// length.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_batch`].
    pub fn encode_prompted<S: AsRef<str> + Sync>(
        &self,
        prompt: &str,
        texts: &[S],
        max_length: usize,
    ) -> Result<Tokens> {
        let special = self.built.template.len();
        let room = max_length.checked_sub(special).filter(|&room| room > 0).ok_or_else(|| {
            let expected = format_args!("more than the {special} special tokens");
            Error::field(&self.built.path, "max_seq_length", expected, max_length)
        })?;
        let encode = |text: &S| match prompt {
            "" => self.encode(text.as_ref(), room),
            _ => self.encode(&format!("{prompt}{}", text.as_ref()), room),
        };
        let encoded: Result<Vec<_>> = texts.par_iter().map(encode).collect();
        // Of several errors, any thread's may have come first.
        let encoded = encoded.map_err(|any| texts.iter().find_map(|text| encode(text).err()).unwrap_or(any))?;
        let cut = encoded.iter().filter(|(_, cut)| *cut).count();
        Ok(Tokens { ids: encoded.into_iter().map(|(ids, _)| ids).collect(), cut })
    }

    /// How many of a text's first tokens belong to `prompt` in front of it, as
    /// sentence-transformers counts them: those of the prompt encoded alone, without a special
    /// token at its end.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_batch`].
    pub fn prompt_length(&self, prompt: &str, max_length: usize) -> Result<usize> {
        if prompt.is_empty() {
            return Ok(0);
        }
        let ids = self.encode_batch(&[prompt], max_length)?.ids.concat();
        let closed = ids.last().is_some_and(|last| self.built.special_ids.contains(last));
        Ok(ids.len() - usize::from(closed))
    }

    /// How many tokens are in front of a text's own ones, and how many behind them: special tokens,
    /// those of `prompt` and of a template.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_batch`].
    pub fn tokens_around(&self, prompt: &str, max_length: usize) -> Result<(usize, usize)> {
        let Built { template, tokens_in_front, .. } = &self.built;
        let behind = template.len() - tokens_in_front;
        let in_front = match prompt {
            "" => *tokens_in_front,
            _ => self.encode_batch(&[prompt], max_length)?.ids.concat().len() - behind,
        };
        Ok((in_front, behind))
    }

    /// The ids of a text, and whether it was truncated.
    fn encode(&self, text: &str, room: usize) -> Result<(Vec<u32>, bool)> {
        let encode = || {
            let mut encoding = self.built.inner.encode_fast(text, false)?;
            let cut = encoding.len() > room;
            encoding.truncate(room, 0, self.built.truncation);
            encoding.take_overflowing();
            let ids = self.built.inner.post_process(encoding, None, true)?.get_ids().to_vec();
            Ok::<_, tokenizers::Error>((ids, cut))
        };
        let failed = |reason: String| Error::Encode { file: self.built.path.clone(), text: text.to_owned(), reason };
        let (ids, cut) = caught(encode).map_err(failed)?.map_err(|error| failed(error.to_string()))?;
        if ids.is_empty() {
            return Err(failed("it has no token, and so no embedding".to_owned()));
        }
        // The result of the file's own template must still fit the model.
        if ids.len() > room + self.built.template.len() {
            return Err(failed(format!("{} tokens, {} of them special", ids.len(), self.built.template.len())));
        }
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.ids()) {
            return Err(failed(self.beyond(id)));
        }
        Ok((ids, cut))
    }

    /// Why a text cannot have this token.
    fn beyond(&self, id: u32) -> String {
        let token = self.built.inner.id_to_token(id).unwrap_or_default();
        format!("token {token:?} has id {id}, expected less than the model's vocab_size {}", self.ids())
    }

    /// Lower-cases texts before any other step, unless the tokenizer's normalizer already does, as
    /// sentence-transformers does for `do_lower_case: true`. The written files do not change.
    ///
    /// # Errors
    /// [`Error::Format`] if the normalizer cannot be replaced.
    pub fn lower_case_first(&mut self) -> Result<()> {
        let steps = match self.built.inner.get_normalizer() {
            None => Vec::new(),
            Some(NormalizerWrapper::Sequence(sequence)) => sequence.as_ref().to_vec(),
            Some(other) => vec![other.clone()],
        };
        if steps.iter().any(|step| matches!(step, NormalizerWrapper::Lowercase(_))) {
            return Ok(());
        }
        let steps = std::iter::once(NormalizerWrapper::Lowercase(Lowercase)).chain(steps).collect();
        let refused = |reason: String| Error::format(&self.built.path, "a tokenizer", reason);
        let replaced = caught(|| self.built.inner.with_normalizer(Some(Sequence::new(steps))).map(drop));
        replaced.map_err(refused)?.map_err(|error| refused(error.to_string()))
    }

    /// The largest token id.
    pub fn max_id(&self) -> u32 {
        self.built.max_id
    }

    /// The number of token ids that a text may have: those up to [`max_id`](Self::max_id) that the
    /// model has an embedding for.
    pub fn ids(&self) -> usize {
        self.embeddings.min(self.built.max_id as usize + 1)
    }

    /// The tokens of all [`ids`](Self::ids); empty for an id without a token.
    pub fn vocabulary(&self) -> Vec<String> {
        (0..self.ids() as u32).map(|id| self.built.inner.id_to_token(id).unwrap_or_default()).collect()
    }

    /// The file of the vocabulary, for messages.
    pub fn path(&self) -> &Path {
        &self.built.path
    }

    /// The id of the token that stands for a masked one, if the tokenizer has one that the model
    /// has an embedding for.
    pub fn mask_id(&self) -> Option<u32> {
        let mask = self.built.special.role("mask_token")?;
        self.built.inner.token_to_id(mask).filter(|&id| (id as usize) < self.embeddings)
    }

    /// The ids of the special tokens.
    pub fn special_ids(&self) -> &[u32] {
        &self.built.special_ids
    }

    /// For each of all [`ids`](Self::ids), whether the settings call it special.
    pub fn are_special(&self) -> Vec<bool> {
        (0..self.ids() as u32).map(|id| self.built.special_ids.contains(&id)).collect()
    }

    /// For each of all [`ids`](Self::ids), whether the token continues the word of
    /// the token in front of it.
    pub fn continue_words(&self) -> Vec<bool> {
        let tokens = self.vocabulary().into_iter();
        match self.built.inner.get_model() {
            ModelWrapper::WordPiece(model) => {
                tokens.map(|token| token.starts_with(&model.continuing_subword_prefix)).collect()
            }
            ModelWrapper::WordLevel(_) => tokens.map(|_| false).collect(),
            // A word starts with the character that stands for the space in front of it.
            ModelWrapper::BPE(_) | ModelWrapper::Unigram(_) => {
                let special = self.are_special();
                let starts = |token: &str| token.starts_with(['\u{120}', '\u{2581}']);
                tokens.zip(special).map(|(token, special)| !special && !starts(&token)).collect()
            }
        }
    }

    /// `model_max_length` of `tokenizer_config.json`, if it sets a limit.
    pub fn model_max_length(&self) -> Option<usize> {
        self.built.model_max_length
    }

    /// Whether the model would be told token types other than 0.
    pub(crate) fn has_token_types(&self) -> bool {
        self.built.has_token_types
    }

    /// From now on, encodes for a model with `embeddings` word embeddings. The vocabulary may have
    /// tokens without an embedding, as long as no text contains them.
    ///
    /// # Errors
    /// [`Error::Field`] if every text would contain such a token, or if the padding token that
    /// sentence-transformers adds is one.
    pub(crate) fn fit(&mut self, embeddings: usize) -> Result<()> {
        let expected = |what| format!("{what} with an id less than the model's vocab_size {embeddings}");
        if let Some(id) = self.built.template.iter().find(|&&id| id as usize >= embeddings) {
            return Err(Error::field(&self.built.path, "special tokens", expected("tokens"), id));
        }
        let pad =
            self.built.pad_id.ok_or_else(|| Error::field(&self.files.path(CONFIG), "pad_token", "a token", "none"))?;
        if pad as usize >= embeddings {
            return Err(Error::field(&self.files.path(CONFIG), "pad_token", expected("a token"), pad));
        }
        self.embeddings = embeddings;
        Ok(())
    }

    /// Writes the files that the tokenizer was made from and, if they have no `tokenizer.json`, an
    /// equivalent one. A tokenizer that was not read from a directory gets a
    /// `tokenizer_config.json` that makes transformers use it unchanged; `takes_token_types` says
    /// whether the model takes token types.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, dir: &Path, takes_token_types: bool) -> Result<()> {
        self.files.write(dir)?;
        match &self.made_config {
            Some(config) => made::write_config(dir, config, takes_token_types),
            None => Ok(()),
        }
    }

    /// The bytes of the files that were read.
    pub(crate) fn size_on_disk(&self) -> usize {
        self.files.size()
    }
}

#[cfg(test)]
#[path = "tests/encode.rs"]
mod tests;
