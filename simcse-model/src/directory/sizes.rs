//! Sizes of new models.

use simcse_tensor::Named;

use crate::architecture::Architecture;
use crate::directory::config::ModelConfig;

/// The size of a BERT: one of the miniatures of Turc et al. 2019 ("Well-Read Students Learn
/// Better"), or BERT base. Heads are 64 wide, and feed-forward layers four times as wide as the
/// model.
///
/// ```
/// use simcse_model::{ModelConfig, ModelSize};
///
/// let config: ModelConfig = ModelSize::Mini.config(8000, 64);
/// assert_eq!((config.num_hidden_layers, config.hidden_size), (4, 256));
/// assert_eq!((config.num_attention_heads, config.intermediate_size), (4, 1024));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelSize {
    /// 2 layers, 128 wide.
    Tiny,
    /// 4 layers, 256 wide.
    Mini,
    /// 4 layers, 512 wide.
    Small,
    /// 8 layers, 512 wide.
    Medium,
    /// 12 layers, 768 wide.
    Base,
}

impl Named for ModelSize {
    const ALL: &'static [Self] = &[Self::Tiny, Self::Mini, Self::Small, Self::Medium, Self::Base];

    fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Mini => "mini",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Base => "base",
        }
    }
}

impl ModelSize {
    /// The configuration of a BERT with a vocabulary of `vocab_size` tokens and sentences of at
    /// most `max_tokens` tokens.
    pub fn config(self, vocab_size: usize, max_tokens: usize) -> ModelConfig {
        let (layers, width) = match self {
            Self::Tiny => (2, 128),
            Self::Mini => (4, 256),
            Self::Small => (4, 512),
            Self::Medium => (8, 512),
            Self::Base => (12, 768),
        };
        ModelConfig {
            vocab_size,
            hidden_size: width,
            num_hidden_layers: layers,
            num_attention_heads: width / 64,
            intermediate_size: 4 * width,
            max_position_embeddings: max_tokens,
            ..ModelConfig::defaults(Architecture::Bert)
        }
    }
}
