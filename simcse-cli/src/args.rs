//! Arguments that several commands share, and parsers of their values.
//!
//! A command's own arguments are declared next to the command.
//!
//! This file must not know any one command.

use std::path::PathBuf;

use clap::{Args, builder::NonEmptyStringValueParser};
use simcse_model::{Isa, Named, Precision, Prompt, SentenceEncoder};

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// The model: a sentence-transformers or Hugging Face directory, or a name on the hub
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PrecisionArgs {
    /// Format that the operands of matrix products are rounded to: f32, bf16 (faster, if the
    /// processor supports it), or auto for the faster of the two that are available [default: f32]
    #[arg(long, value_name = "NAME", value_parser = precision)]
    precision: Option<Precision>,
}

impl PrecisionArgs {
    /// The precision that is given, or the default.
    pub(crate) fn get(&self) -> Precision {
        self.precision.unwrap_or_default()
    }
}

/// The precision of this name, or `auto`, which this processor must have.
fn precision(name: &str) -> Result<Precision, String> {
    let precision = Precision::from_name_or_auto(name).map_err(|unknown| format!("expected {}", unknown.expected))?;
    if precision.is_available() {
        return Ok(precision);
    }
    Err(format!("this processor does not multiply {name} (kernels run on {})", Isa::detected().name()))
}

/// Parses the name of a value.
pub(crate) fn named<T: Named>(name: &str) -> Result<T, String> {
    T::from_name(name).map_err(|unknown| format!("expected {}", unknown.expected))
}

/// Parses an amount of memory: a number and a unit.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 7] =
        [("KIB", 1024.0), ("MIB", 1048576.0), ("GIB", 1073741824.0), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1.0)];
    let upper = text.to_ascii_uppercase();
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((upper.strip_suffix(unit)?, factor)));
    let bytes = unit.and_then(|(number, factor)| Some(number.trim().parse::<f64>().ok()? * factor));
    let positive = bytes.filter(|bytes| (1.0..1e18).contains(bytes)).map(|bytes| bytes as u64);
    positive.ok_or_else(|| "expected a size such as 3.5GB, 800MB or 4GiB".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct PromptArgs {
    /// Put this text in front of every sentence, instead of the model's own prompt; "" for none
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_name")]
    prompt: Option<String>,
    /// Put the model's prompt of this name in front of every sentence (query, document, or a name
    /// in its config_sentence_transformers.json)
    #[arg(long, value_name = "NAME")]
    prompt_name: Option<String>,
}

impl PromptArgs {
    /// The prompt that is given, or the model's default.
    pub(crate) fn resolve<'a>(&'a self, encoder: &'a SentenceEncoder) -> simcse_model::Result<Prompt<'a>> {
        let prompts = &encoder.directory.prompts;
        encoder.prompt(prompts.resolve(self.prompt.as_deref(), self.prompt_name.as_deref())?)
    }

    /// The prompt that is given; `None` leaves the choice to the evaluation.
    pub(crate) fn given<'a>(&'a self, encoder: &'a SentenceEncoder) -> simcse_model::Result<Option<&'a str>> {
        if self.prompt.is_none() && self.prompt_name.is_none() {
            return Ok(None);
        }
        self.resolve(encoder).map(|prompt| Some(prompt.text))
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Read arguments from a TOML file: the names of flags without hyphens in front, such as
    /// `learning_rate = 3e-5`, and `sentences`; relative paths start from the working directory.
    /// Flags, and environment variables such as SIMCSE_LEARNING_RATE, take precedence
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct JsonArgs {
    /// Print one JSON object on standard output instead of text
    #[arg(long)]
    pub(crate) json: bool,
}
