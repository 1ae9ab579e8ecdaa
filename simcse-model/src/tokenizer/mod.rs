//! The tokenizer of a model directory: `tokenizer.json`, or what `vocab.txt` (BERT) or `vocab.json` and `merges.txt`
//! (RoBERTa) stand for.
//!
//! Source: transformers' `PreTrainedTokenizerFast`, `BertTokenizer`, `RobertaTokenizer`, and sentence-transformers'
//! `Transformer`, which encodes with `truncation="longest_first"`.

mod caught;
mod vocabulary;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Map, Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Encoding, PostProcessor, TruncationDirection};

use crate::directory::config::Architecture;
use crate::error::{Error, Result};
use crate::io::files::{read_configuration, read_vocabulary, write_bytes};
use crate::io::json::JsonObject;
use crate::tokenizer::caught::caught;
use crate::tokenizer::vocabulary::{BERT_SPECIAL, ROBERTA_SPECIAL};

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";

/// Everything that belongs to a tokenizer.
const FILES: [&str; 7] =
    [TOKENIZER, CONFIG, "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt", "added_tokens.json"];

/// Token ids of texts, special tokens included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// One list a text.
    pub ids: Vec<Vec<u32>>,
    /// How many texts were too long and lost their end.
    pub cut: usize,
}

/// Turns texts into token ids. It holds the bytes of the files that it was made from, to write them back.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    files: Vec<(&'static str, Vec<u8>)>,
    model_max_length: Option<usize>,
    special_tokens: usize,
    max_id: u32,
}

impl Tokenizer {
    /// Reads the tokenizer in `dir`; `tokenizer.json` goes before `vocab.txt`, that before `vocab.json` + `merges.txt`.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none of them, [`Error::Format`], [`Error::Field`], [`Error::Io`].
    pub fn read(dir: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for name in FILES {
            let read = if name == CONFIG { read_configuration } else { read_vocabulary };
            if let Some(bytes) = read(&dir.join(name))? {
                files.push((name, bytes));
            }
        }
        Self::from_files(dir, files)
    }

    /// A BERT tokenizer over `vocabulary`, whose words stand in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Field`] if one of `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]` is missing.
    pub fn word_piece<W: AsRef<str>>(vocabulary: &[W], do_lower_case: bool) -> Result<Self> {
        let settings = json!({ "do_lower_case": do_lower_case });
        let settings = JsonObject::parse(Path::new(CONFIG), settings.to_string().as_bytes())?;
        let words = vocabulary.iter().map(AsRef::as_ref);
        let json = vocabulary::word_piece(Path::new("vocab.txt"), words, &settings)?;
        Self::from_files(Path::new(""), vec![(TOKENIZER, json.to_string().into_bytes())])
    }

    /// A byte-level BPE tokenizer of at most `vocab_size` tokens, trained on `sentences`: lower-cased, with BERT's special
    /// tokens in its template. The same sentences give the same tokenizer.
    ///
    /// # Errors
    /// [`Error::Format`] if the tokenizers library refuses.
    pub fn byte_level_bpe<S: AsRef<str> + Sync>(sentences: &[S], vocab_size: usize) -> Result<Self> {
        let train = || {
            let byte_level = ByteLevel::new(true, true, true);
            let special = BERT_SPECIAL.map(|(_, token)| AddedToken::from(token, true));
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
        let json = json.map_err(|error| Error::format(Path::new(TOKENIZER), "a byte-level BPE", error))?;
        Self::from_files(Path::new(""), vec![(TOKENIZER, json.into_bytes())])
    }

    fn from_files(dir: &Path, mut files: Vec<(&'static str, Vec<u8>)>) -> Result<Self> {
        let find = |wanted: &str| files.iter().find(|(name, _)| *name == wanted).map(|(_, bytes)| &bytes[..]);
        let config = dir.join(CONFIG);
        let config = JsonObject::parse(&config, find(CONFIG).unwrap_or(b"{}"))?;
        let model_max_length = model_max_length(&config)?;

        let (source, built) = match (find(TOKENIZER), find("vocab.txt"), find("vocab.json"), find("merges.txt")) {
            (Some(_), ..) => (TOKENIZER, None),
            (_, Some(vocab), ..) => {
                let path = dir.join("vocab.txt");
                ("vocab.txt", Some(vocabulary::word_piece(&path, vocabulary::utf8(&path, vocab)?.lines(), &config)?))
            }
            (.., Some(vocab), Some(merges)) => {
                ("vocab.json", Some(vocabulary::byte_level(dir, vocab, merges, &config)?))
            }
            _ => {
                let advice = "a model directory holds a tokenizer.json, or vocab.txt, or vocab.json and merges.txt";
                return Err(Error::Missing { file: dir.join(TOKENIZER), advice: advice.to_owned() });
            }
        };
        let path = dir.join(source);
        if let Some(json) = built {
            files.push((TOKENIZER, json.to_string().into_bytes()));
        }
        let json = files.iter().find(|(name, _)| *name == TOKENIZER).map_or(&[][..], |(_, bytes)| bytes);
        let refused = |reason: String| Error::format(&path, "a tokenizer", reason);
        let built = caught(|| build(json)).map_err(refused)?.map_err(|error| refused(error.to_string()))?;
        let Built { inner, special_tokens, max_id } = built;
        if special_tokens == 0 {
            // An empty text would have no token, and so no embedding.
            return Err(Error::field(&path, "post_processor", "one that adds special tokens", "none"));
        }
        Ok(Self { inner, path, files, model_max_length, special_tokens, max_id })
    }

    /// The token ids of each text, special tokens included, at most `max_length` of them: what is too long loses its end.
    /// The texts are taken as they are, not trimmed.
    ///
    /// # Errors
    /// [`Error::Field`] if `max_length` leaves no room beside the special tokens, [`Error::Encode`].
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S], max_length: usize) -> Result<Tokens> {
        let room = max_length.checked_sub(self.special_tokens).filter(|&room| room > 0).ok_or_else(|| {
            let expected = format_args!("more than the {} special tokens", self.special_tokens);
            Error::field(&self.path, "max_seq_length", expected, max_length)
        })?;
        let encoded: Vec<_> = texts.par_iter().map(|text| self.encode(text.as_ref(), room)).collect::<Result<_>>()?;
        let cut = encoded.iter().filter(|(_, cut)| *cut).count();
        Ok(Tokens { ids: encoded.into_iter().map(|(ids, _)| ids).collect(), cut })
    }

    /// The ids of a text and whether it was cut.
    fn encode(&self, text: &str, room: usize) -> Result<(Vec<u32>, bool)> {
        let encode = || {
            let mut encoding = self.inner.encode_fast(text, false)?;
            let cut = encoding.len() > room;
            encoding.truncate(room, 0, TruncationDirection::Right);
            encoding.take_overflowing();
            let ids = self.inner.post_process(encoding, None, true)?.get_ids().to_vec();
            Ok::<_, tokenizers::Error>((ids, cut))
        };
        let failed = |reason: String| Error::Encode { file: self.path.clone(), text: text.to_owned(), reason };
        let (ids, cut) = caught(encode).map_err(failed)?.map_err(|error| failed(error.to_string()))?;
        // What a template of the file's own makes of the text must still fit the model.
        if ids.is_empty() || ids.len() > room + self.special_tokens {
            return Err(failed(format!("{} tokens, {} of them special", ids.len(), self.special_tokens)));
        }
        if let Some(id) = ids.iter().find(|&&id| id > self.max_id) {
            return Err(failed(format!("token id {id}, where the largest is {}", self.max_id)));
        }
        Ok((ids, cut))
    }

    /// Lower-cases texts before anything else happens to them, unless the tokenizer's normalizer does so: what
    /// sentence-transformers does for `do_lower_case: true`. The written files do not change.
    ///
    /// # Errors
    /// [`Error::Format`] if the normalizer cannot be replaced.
    pub fn lower_case_first(&mut self) -> Result<()> {
        let steps = match self.inner.get_normalizer() {
            None => Vec::new(),
            Some(NormalizerWrapper::Sequence(sequence)) => sequence.as_ref().to_vec(),
            Some(other) => vec![other.clone()],
        };
        if steps.iter().any(|step| matches!(step, NormalizerWrapper::Lowercase(_))) {
            return Ok(());
        }
        let steps = std::iter::once(NormalizerWrapper::Lowercase(Lowercase)).chain(steps).collect();
        let refused = |reason: String| Error::format(&self.path, "a tokenizer", reason);
        let replaced = caught(|| self.inner.with_normalizer(Some(Sequence::new(steps))).map(drop));
        replaced.map_err(refused)?.map_err(|error| refused(error.to_string()))
    }

    /// The largest token id.
    pub fn max_id(&self) -> u32 {
        self.max_id
    }

    /// `model_max_length` of `tokenizer_config.json`, if it sets a limit.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// Checks that a model with `vocab_size` word embeddings has one for every token.
    ///
    /// # Errors
    /// [`Error::Field`] naming both.
    pub fn check_fits(&self, vocab_size: usize) -> Result<()> {
        if (self.max_id as usize) < vocab_size {
            return Ok(());
        }
        let expected = format_args!("less than the model's vocab_size {vocab_size}");
        Err(Error::field(&self.path, "largest token id", expected, self.max_id))
    }

    /// Writes the files that the tokenizer was made from, a `tokenizer.json` in any case, and a `tokenizer_config.json`
    /// that makes transformers use it where there was none: without one it takes the class from the model's configuration,
    /// and that class keeps only the vocabulary of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, dir: &Path, architecture: Architecture) -> Result<()> {
        for (name, bytes) in &self.files {
            write_bytes(&dir.join(name), bytes)?;
        }
        if self.files.iter().all(|(name, _)| *name != CONFIG) {
            let config = self.config_json(architecture);
            write_bytes(&dir.join(CONFIG), format!("{config:#}\n").as_bytes())?;
        }
        Ok(())
    }

    /// The bytes of the files that were read.
    pub(crate) fn size_on_disk(&self) -> usize {
        self.files.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn config_json(&self, architecture: Architecture) -> Value {
        // Older sentence-transformers pass on every one of these, and only BERT takes token types.
        let inputs: &[&str] = match architecture {
            Architecture::Bert => &["input_ids", "token_type_ids", "attention_mask"],
            Architecture::Roberta | Architecture::DistilBert => &["input_ids", "attention_mask"],
        };
        let mut config = Map::new();
        config.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
        config.insert("model_input_names".to_owned(), json!(inputs));
        config.insert("clean_up_tokenization_spaces".to_owned(), json!(false));
        for (role, token) in BERT_SPECIAL.into_iter().chain(ROBERTA_SPECIAL) {
            if self.inner.token_to_id(token).is_some() && !config.contains_key(role) {
                config.insert(role.to_owned(), json!(token));
            }
        }
        Value::Object(config)
    }
}

/// What the library makes of a `tokenizer.json`.
struct Built {
    inner: tokenizers::Tokenizer,
    special_tokens: usize,
    max_id: u32,
}

fn build(json: &[u8]) -> tokenizers::Result<Built> {
    let mut inner = tokenizers::Tokenizer::from_bytes(json)?;
    inner.with_padding(None);
    inner.with_truncation(None)?;
    let special_tokens = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
    let words = inner.get_vocab(true).into_values().max().unwrap_or(0);
    // The ids of special tokens are those that the post-processor names, whatever the vocabulary says.
    let special = inner.post_process(Encoding::default(), None, true)?.get_ids().iter().copied().max().unwrap_or(0);
    Ok(Built { inner, special_tokens, max_id: words.max(special) })
}

/// `model_max_length`; transformers writes 1e30 for none.
fn model_max_length(config: &JsonObject) -> Result<Option<usize>> {
    let field = "model_max_length";
    match config.get(field).and_then(Value::as_f64) {
        Some(unlimited) if unlimited > 1e15 => Ok(None),
        _ => config.size(field, 1..=usize::MAX),
    }
}

#[cfg(test)]
#[path = "tests/tokenizer.rs"]
mod tests;
