//! The length of the longest text that a model takes, as its files state it.

use std::path::Path;

use crate::directory::config::ModelConfig;
use crate::directory::text_settings::TextSettings;
use crate::io::text::printable;
use crate::tokenizer::encode::Tokenizer;
use crate::tokenizer::files;

/// The length of the longest text, as a file states it.
pub(super) struct StatedLength {
    file: &'static str,
    field: &'static str,
    pub(super) tokens: usize,
    /// Whether sentence-transformers knows the number of positions as a further limit.
    is_limited: bool,
}

impl StatedLength {
    pub(super) fn of(settings: &TextSettings, tokenizer: &Tokenizer) -> Option<Self> {
        let of_settings = settings.max_seq_length.map(|tokens| Self {
            file: settings.file,
            field: "max_seq_length",
            tokens,
            is_limited: false,
        });
        let of_tokenizer = || {
            let tokens = tokenizer.model_max_length()?;
            Some(Self { file: files::CONFIG, field: "model_max_length", tokens, is_limited: true })
        };
        of_settings.or_else(of_tokenizer)
    }

    /// A warning if sentence-transformers would put a text of this length into the model and fail.
    pub(super) fn warning(&self, transformer: &Path, config: &ModelConfig) -> Option<String> {
        let limit = if self.is_limited { config.max_position_embeddings } else { usize::MAX };
        let most = config.max_tokens();
        (self.tokens.min(limit) > most).then(|| {
            let file = printable(transformer.join(self.file).display());
            format!(
                "{file}: {} is {}, but the model has positions for {most} tokens; longer texts are truncated to {most}",
                self.field, self.tokens
            )
        })
    }
}
