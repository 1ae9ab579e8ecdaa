//! Builds a tokenizer from its files as transformers would: the class's pipeline, then the added
//! tokens, then the template.
//!
//! Source: transformers' `TokenizersBackend.__init__` and `PreTrainedTokenizerBase.__init__`
//! (version 5).

use std::path::PathBuf;

use serde_json::Value;
use tokenizers::{Encoding, PaddingDirection, PostProcessor, Token, TruncationDirection, TruncationParams};

use crate::error::{Error, Result};
use crate::io::json::JsonObject;
use crate::tokenizer::caught::caught;
use crate::tokenizer::class::Class;
use crate::tokenizer::files::{CONFIG, Files, TOKENIZER};
use crate::tokenizer::pipeline::{self, unfit};
use crate::tokenizer::settings;
use crate::tokenizer::special_tokens::SpecialTokens;

/// A tokenizer and what its settings say.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) inner: tokenizers::Tokenizer,
    /// The file that the vocabulary comes from, which errors name.
    pub(crate) path: PathBuf,
    pub(crate) special: SpecialTokens,
    /// Which end of a long text is truncated.
    pub(crate) truncation: TruncationDirection,
    /// Whether special tokens in a text are split like other words.
    pub(crate) splits_special_tokens: bool,
    pub(crate) model_max_length: Option<usize>,
    /// Whether the model is given token types, and the template assigns any other than 0.
    pub(crate) has_token_types: bool,
    /// The ids that the template adds to a text.
    pub(crate) template: Vec<u32>,
    /// How many of them are in front of the text.
    pub(crate) tokens_in_front: usize,
    /// The ids of all tokens that the settings call special.
    pub(crate) special_ids: Vec<u32>,
    pub(crate) pad_id: Option<u32>,
    /// The largest id that a text can have.
    pub(crate) max_id: u32,
}

/// Builds the tokenizer of `files`.
///
/// # Errors
/// [`Error`] for what transformers refuses and for what is not supported here.
pub(crate) fn build(files: &Files) -> Result<Built> {
    let config = files.object(CONFIG)?;
    settings::refuse_unsupported(&config)?;
    let class = Class::of(files, &config)?;
    let panicked = |reason| Error::format(&pipeline::vocabulary_path(files, class), "a tokenizer", reason);
    caught(|| build_class(files, &config, class)).map_err(panicked)?
}

fn build_class(files: &Files, config: &JsonObject, class: Class) -> Result<Built> {
    let file = files.get(TOKENIZER).map(tokenizers::Tokenizer::from_bytes).transpose();
    let file = file.map_err(|error| unfit(files, class, error))?;
    let padding = file.as_ref().and_then(|file| file.get_padding().cloned());
    let truncation = file.as_ref().and_then(|file| file.get_truncation().cloned());
    let mut special = SpecialTokens::read(files, config, class)?;
    if let Some(padding) = &padding {
        special.set_default("pad_token", &padding.pad_token);
    }
    require_right_padding(files, config, padding.map(|padding| padding.direction))?;
    let side = truncation_side(config, truncation.as_ref().map(|truncation| truncation.direction))?;
    let typed = model_input_names(config, class)?.iter().any(|name| name == "token_type_ids");

    let mut inner = pipeline::without_added_tokens(files, config, class, file.as_ref(), &special)?;
    inner.with_padding(None);
    add_tokens(&mut inner, truncation, &special).map_err(|error| unfit(files, class, error))?;
    if let Some(template) = pipeline::template(files, config, class, file.as_ref(), &inner, &special)? {
        inner.with_post_processor(Some(template));
    }
    let splits_special_tokens = config.argument("split_special_tokens", false)?;
    inner.set_encode_special_tokens(splits_special_tokens);

    let process = |encoding| inner.post_process(encoding, None, true).map_err(|error| unfit(files, class, error));
    let template = process(Encoding::default())?.get_ids().to_vec();
    let text = Token::new(u32::MAX, String::new(), (0, 0));
    let one = process(Encoding::from_tokens(vec![text], 0))?;
    let words = inner.get_vocab(true).into_values().max().unwrap_or(0);
    let id = |content| pipeline::id(&inner, &special, content);
    Ok(Built {
        path: pipeline::vocabulary_path(files, class),
        truncation: side,
        splits_special_tokens,
        model_max_length: settings::model_max_length(config)?,
        has_token_types: typed && one.get_type_ids().iter().any(|&kind| kind != 0),
        // The template's ids are those that it names, whatever the vocabulary says.
        max_id: template.iter().copied().fold(words, u32::max),
        template,
        tokens_in_front: one.get_ids().iter().position(|&id| id == u32::MAX).unwrap_or(0),
        special_ids: special.all().filter_map(id).collect(),
        pad_id: special.role("pad_token").and_then(id),
        special,
        inner,
    })
}

/// Adds the special and added tokens. `truncation` is the file's: transformers switches it on and
/// off again.
fn add_tokens(
    inner: &mut tokenizers::Tokenizer,
    truncation: Option<TruncationParams>,
    special: &SpecialTokens,
) -> tokenizers::Result<()> {
    // Switching it on checks it. In the library that transformers uses, which is compiled without
    // overflow checks, the check passes if the special tokens alone are too long.
    let added = inner.get_post_processor().map_or(0, |template| template.added_tokens(false));
    inner.with_truncation(truncation.filter(|truncation| truncation.max_length >= added))?;
    inner.with_truncation(None)?;
    let present: Vec<_> = inner.get_added_tokens_decoder().into_iter().map(|(_, token)| token.content).collect();
    inner.add_tokens(special.to_add(&present)).map(drop)
}

/// Left padding shifts BERT's positions: an embedding would depend on its neighbors.
fn require_right_padding(files: &Files, config: &JsonObject, of_file: Option<PaddingDirection>) -> Result<()> {
    const EXPECTED: &str = "right (left padding is not supported)";
    match config.fields().get("padding_side") {
        Some(side) if side == "right" => Ok(()),
        Some(_) => Err(config.invalid("padding_side", EXPECTED)),
        None if matches!(of_file, Some(PaddingDirection::Left)) => {
            Err(Error::field(&files.path(TOKENIZER), "padding.direction", EXPECTED, "Left"))
        }
        None => Ok(()),
    }
}

fn truncation_side(config: &JsonObject, of_file: Option<TruncationDirection>) -> Result<TruncationDirection> {
    const FIELD: &str = "truncation_side";
    match config.fields().get(FIELD).map(Value::as_str) {
        None => Ok(of_file.unwrap_or(TruncationDirection::Right)),
        Some(Some("right")) => Ok(TruncationDirection::Right),
        Some(Some("left")) => Ok(TruncationDirection::Left),
        Some(_) => Err(config.invalid(FIELD, "left or right")),
    }
}

/// What transformers passes to the model; without a mask, padding would count as text.
fn model_input_names(config: &JsonObject, class: Class) -> Result<Vec<String>> {
    const FIELD: &str = "model_input_names";
    let Some(names) = config.fields().get(FIELD) else {
        let types = class.gives_token_types().then_some("token_type_ids");
        return Ok(types.into_iter().chain(["input_ids", "attention_mask"]).map(str::to_owned).collect());
    };
    let names: Option<Vec<String>> = serde_json::from_value(names.clone()).ok();
    let masked = names.filter(|names| names.iter().any(|name| name == "attention_mask"));
    masked.ok_or_else(|| {
        config.invalid(FIELD, "a list of names with attention_mask (a model without it is not supported)")
    })
}

#[cfg(test)]
#[path = "tests/build.rs"]
mod tests;
