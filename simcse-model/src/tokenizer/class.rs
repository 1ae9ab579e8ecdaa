//! Which of transformers' tokenizer classes a directory names.
//!
//! Source: transformers' `AutoTokenizer.from_pretrained` (version 5). The `tokenizer_class` of
//! `tokenizer_config.json` takes precedence over that of `config.json`, which takes precedence over
//! the class of the `model_type`; a `Fast` at the end of a name is ignored.

use crate::error::{Error, Result};
use crate::io::json::JsonObject;
use crate::tokenizer::files::{Files, MERGES, TOKENIZER, VOCABULARY, WORDS};

const NAME: &str = "tokenizer_class";

/// A tokenizer class, by how it uses the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `PreTrainedTokenizerFast`, `TokenizersBackend`: `tokenizer.json` as it is.
    Backend,
    /// `BertTokenizer`: its own pipeline around the vocabulary of `tokenizer.json` or `vocab.txt`.
    Bert,
    /// `RobertaTokenizer`: its own pipeline around vocabulary and merges.
    Roberta,
    /// `XLMRobertaTokenizer`: its own pipeline around the pieces of a Unigram model.
    XlmRoberta,
    /// `HerbertTokenizer`: BERT's words, split by merges.
    Herbert,
}

/// What an error about another class expects.
const SUPPORTED: &str = "BertTokenizer, DistilBertTokenizer, RobertaTokenizer, XLMRobertaTokenizer, HerbertTokenizer or \
                         PreTrainedTokenizerFast (others are not supported)";

/// The names of the classes in transformers, without `Fast`.
const NAMES: [(&str, Class); 17] = [
    ("BertTokenizer", Class::Bert),
    ("DistilBertTokenizer", Class::Bert),
    ("ElectraTokenizer", Class::Bert),
    ("MobileBertTokenizer", Class::Bert),
    ("SqueezeBertTokenizer", Class::Bert),
    ("LayoutLMTokenizer", Class::Bert),
    ("LxmertTokenizer", Class::Bert),
    ("RobertaTokenizer", Class::Roberta),
    ("BartTokenizer", Class::Roberta),
    ("LongformerTokenizer", Class::Roberta),
    ("LEDTokenizer", Class::Roberta),
    ("MvpTokenizer", Class::Roberta),
    ("XLMRobertaTokenizer", Class::XlmRoberta),
    ("HerbertTokenizer", Class::Herbert),
    ("PreTrainedTokenizer", Class::Backend),
    ("TokenizersBackend", Class::Backend),
    ("PythonBackend", Class::Backend),
];

impl Class {
    /// The class of the tokenizer in `files`, whose `tokenizer_config.json` is `config`.
    ///
    /// # Errors
    /// [`Error::Field`] for a class that splits texts by rules that are not implemented here.
    pub(crate) fn of(files: &Files, config: &JsonObject) -> Result<Self> {
        let model = files.model()?;
        for json in [Some(config), model.as_ref()].into_iter().flatten() {
            if let Some(name) = json.text(NAME)?.filter(|name| !name.is_empty()) {
                return Self::named(name).ok_or_else(|| json.invalid(NAME, SUPPORTED));
            }
        }
        match model {
            None => Self::of_files(files),
            Some(model) => match model.text("model_type")? {
                Some("bert" | "distilbert") => Ok(Self::Bert),
                Some("roberta") => Ok(Self::Roberta),
                _ => Err(model.invalid("model_type", "bert, distilbert or roberta, or a tokenizer_class")),
            },
        }
    }

    fn named(name: &str) -> Option<Self> {
        let name = name.strip_suffix("Fast").unwrap_or(name);
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, class)| *class)
    }

    /// For a directory that holds a tokenizer alone, which transformers would not load.
    fn of_files(files: &Files) -> Result<Self> {
        match [TOKENIZER, WORDS, VOCABULARY].map(|name| files.has(name)) {
            [true, ..] => Ok(Self::Backend),
            [_, true, _] => Ok(Self::Bert),
            [.., true] => Ok(Self::Roberta),
            _ => Err(Error::Missing { file: files.path(TOKENIZER), advice: ADVICE.to_owned() }),
        }
    }

    /// The files that hold the vocabulary where there is no `tokenizer.json`.
    pub(crate) fn vocabulary(self) -> &'static [&'static str] {
        match self {
            Self::Backend | Self::XlmRoberta => &[],
            Self::Bert => &[WORDS],
            Self::Roberta | Self::Herbert => &[VOCABULARY, MERGES],
        }
    }

    /// The special tokens that the class has unless its settings say otherwise: role, spelling.
    pub(crate) fn special_tokens(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Backend => &[],
            Self::Bert => &BERT,
            Self::Roberta | Self::XlmRoberta => &ROBERTA,
            Self::Herbert => &ROBERTA[2..],
        }
    }

    /// The roles that the class requires.
    pub(crate) fn required(self) -> &'static [&'static str] {
        match self {
            Self::Backend => &[],
            Self::Bert | Self::Herbert => &["unk_token", "cls_token", "sep_token"],
            Self::Roberta => &["cls_token", "sep_token"],
            Self::XlmRoberta => &["bos_token", "eos_token"],
        }
    }

    /// Whether transformers passes token types to the model unless `model_input_names` says
    /// otherwise.
    pub(crate) fn gives_token_types(self) -> bool {
        self == Self::Bert
    }
}

const ADVICE: &str = "a model directory holds a tokenizer.json, or vocab.txt, or vocab.json and merges.txt";

/// BERT's special tokens: role, spelling.
pub(crate) const BERT: [(&str, &str); 5] = [
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];

/// RoBERTa's special tokens: role, spelling. HerBERT has all but the first two.
const ROBERTA: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];

#[cfg(test)]
#[path = "tests/class.rs"]
mod tests;
