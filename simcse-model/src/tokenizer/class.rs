//! Which of transformers' tokenizer classes a directory names.
//!
//! Source: transformers' `AutoTokenizer.from_pretrained` (version 5). The `tokenizer_class` of
//! `tokenizer_config.json` takes precedence over that of `config.json`, which takes precedence over
//! the class of the `model_type`; a `Fast` at the end of a name is ignored. For models in its list
//! `MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS`, only the `model_type` counts.

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
    /// `MPNetTokenizer`: BERT's pipeline with RoBERTa's special tokens.
    Mpnet,
    /// `RobertaTokenizer`: its own pipeline around vocabulary and merges.
    Roberta,
    /// `XLMRobertaTokenizer`: its own pipeline around the pieces of a Unigram model.
    XlmRoberta,
    /// `CamembertTokenizer`: as `XLMRobertaTokenizer`, with an unknown token of any id.
    Camembert,
    /// `AlbertTokenizer`: its own normalizer and splitter around the pieces of a Unigram model.
    Albert,
    /// `HerbertTokenizer`: BERT's words, split by merges.
    Herbert,
}

/// What an error about another class expects.
const SUPPORTED: &str = "BertTokenizer, MPNetTokenizer, RobertaTokenizer, XLMRobertaTokenizer, CamembertTokenizer, \
                         AlbertTokenizer, HerbertTokenizer or PreTrainedTokenizerFast (others are not supported: \
                         choose another model)";

/// What an error about the class of a Japanese model expects.
const JAPANESE: &str = "a class whose words a tokenizer.json can find (MeCab and Sudachi are not supported: choose a \
                        model of Japanese that has a tokenizer.json, such as XLMRobertaTokenizer's)";

/// The classes that run a program to find the words of Japanese.
const OF_JAPANESE: [&str; 2] = ["BertJapaneseTokenizer", "GPTNeoXJapaneseTokenizer"];

/// The class of each `model_type` that an encoder can have.
const MODEL_TYPES: [(&str, Class); 9] = [
    ("bert", Class::Bert),
    ("distilbert", Class::Bert),
    ("electra", Class::Bert),
    ("mpnet", Class::Mpnet),
    ("roberta", Class::Roberta),
    ("xlm-roberta", Class::XlmRoberta),
    ("camembert", Class::Camembert),
    ("albert", Class::Albert),
    ("modernbert", Class::Backend),
];

/// Models, by `model_type` or `model_name`, whose `tokenizer_class` transformers ignores.
const MISNAMED: [&str; 2] = ["modernbert", "camembertv2-base"];

/// The names of the classes in transformers, without `Fast`.
const NAMES: [(&str, Class); 20] = [
    ("BertTokenizer", Class::Bert),
    ("DistilBertTokenizer", Class::Bert),
    ("ElectraTokenizer", Class::Bert),
    ("MobileBertTokenizer", Class::Bert),
    ("SqueezeBertTokenizer", Class::Bert),
    ("LayoutLMTokenizer", Class::Bert),
    ("LxmertTokenizer", Class::Bert),
    ("MPNetTokenizer", Class::Mpnet),
    ("RobertaTokenizer", Class::Roberta),
    ("BartTokenizer", Class::Roberta),
    ("LongformerTokenizer", Class::Roberta),
    ("LEDTokenizer", Class::Roberta),
    ("MvpTokenizer", Class::Roberta),
    ("XLMRobertaTokenizer", Class::XlmRoberta),
    ("CamembertTokenizer", Class::Camembert),
    ("AlbertTokenizer", Class::Albert),
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
        let Some(model) = &model else {
            return Self::named_in(config)?.map_or_else(|| Self::of_files(files), Ok);
        };
        let misnamed = [model.text("model_type")?, model.text("model_name")?].into_iter().flatten();
        if !misnamed.into_iter().any(|name| MISNAMED.contains(&name))
            && let Some(class) = [config, model].into_iter().find_map(|json| Self::named_in(json).transpose())
        {
            return class;
        }
        let found = model.text("model_type")?;
        let known = MODEL_TYPES.iter().find(|(model_type, _)| Some(*model_type) == found);
        known.map(|(_, class)| *class).ok_or_else(|| {
            let known = MODEL_TYPES.map(|(model_type, _)| model_type).join(", ");
            model.invalid("model_type", format_args!("one of {known}, or a tokenizer_class in tokenizer_config.json"))
        })
    }

    /// The class that a configuration names, if it names one.
    fn named_in(json: &JsonObject) -> Result<Option<Self>> {
        let Some(name) = json.text(NAME)?.filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let expected = if OF_JAPANESE.contains(&name) { JAPANESE } else { SUPPORTED };
        Self::named(name).map(Some).ok_or_else(|| json.invalid(NAME, expected))
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
            Self::Backend | Self::XlmRoberta | Self::Camembert | Self::Albert => &[],
            Self::Bert | Self::Mpnet => &[WORDS],
            Self::Roberta | Self::Herbert => &[VOCABULARY, MERGES],
        }
    }

    /// The special tokens that the class has unless its settings say otherwise: role, spelling.
    pub(crate) fn special_tokens(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Backend => &[],
            Self::Bert => &BERT,
            Self::Roberta | Self::XlmRoberta | Self::Camembert => &ROBERTA,
            Self::Mpnet => &MPNET,
            Self::Albert => &ALBERT,
            Self::Herbert => &ROBERTA[2..],
        }
    }

    /// The roles that the class requires.
    pub(crate) fn required(self) -> &'static [&'static str] {
        match self {
            Self::Backend => &[],
            Self::Bert | Self::Mpnet | Self::Herbert => &["unk_token", "cls_token", "sep_token"],
            Self::Roberta | Self::Albert => &["cls_token", "sep_token"],
            Self::XlmRoberta | Self::Camembert => &["bos_token", "eos_token"],
        }
    }

    /// The special tokens without a role that the class has unless its settings say otherwise.
    pub(crate) fn extra_special_tokens(self) -> &'static [&'static str] {
        if self == Self::Camembert { &["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"] } else { &[] }
    }

    /// Whether the token for a masked one takes the spaces in front of it, unless its settings have
    /// flags of their own.
    pub(crate) fn mask_takes_spaces(self) -> bool {
        matches!(self, Self::Mpnet | Self::Camembert)
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

/// MPNet's special tokens: role, spelling.
const MPNET: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("sep_token", "</s>"),
    ("cls_token", "<s>"),
    ("unk_token", "[UNK]"),
    ("pad_token", "<pad>"),
    ("mask_token", "<mask>"),
];

/// ALBERT's special tokens: role, spelling.
const ALBERT: [(&str, &str); 7] = [
    ("bos_token", "[CLS]"),
    ("eos_token", "[SEP]"),
    ("unk_token", "<unk>"),
    ("sep_token", "[SEP]"),
    ("pad_token", "<pad>"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];

#[cfg(test)]
#[path = "tests/class.rs"]
mod tests;
