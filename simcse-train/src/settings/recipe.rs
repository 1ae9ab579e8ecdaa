//! Settings that others have used and published, by name.

use serde::{Deserialize, Serialize};
use simcse_tensor::Named;

use crate::data::batches::BatchSampler;
use crate::optim::schedule::Warmup;
use crate::settings::Settings;

/// Settings with a source; what it leaves open is [`Settings::default`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recipe {
    /// `st-2021`: the script behind the published AskUbuntu figures of SimCSE, sentence-transformers 1.2
    /// (`examples/unsupervised_learning/SimCSE/train_askubuntu_simcse.py`): batches of 128 with whatever sentences meet,
    /// the last incomplete one dropped, 32 tokens, mean pooling, one epoch, warm-up over `int(0.1 · steps)` steps. From
    /// `SentenceTransformer.fit` of version 1.2.0: learning rate 2e-5, weight decay 0.01, `WarmupLinear`, gradients clipped
    /// at 1; and from its optimizer, `AdamW` of transformers 4.6.1 (`optimization.py`): ε 1e-6, β 0.9 and 0.999.
    ///
    /// Three things differ. That AdamW added ε before it corrected the bias, and decayed after the step; here, as in
    /// PyTorch, ε comes behind and decay before. `fit` also decayed DistilBERT's LayerNorm weights, whose names its list of
    /// exemptions misses; here no LayerNorm decays. And the script computed in f16 where its GPU did.
    #[serde(rename = "st-2021")]
    St2021,
    /// `st-6`: what the trainer of sentence-transformers 6.2 on transformers 5 does unasked
    /// (`SentenceTransformerTrainingArguments`): learning rate 5e-5, no weight decay, no warm-up, linear decay, gradients
    /// clipped at 1, ε 1e-8, batches with whatever sentences meet. Batch size, length and epochs are those of today's
    /// `examples/sentence_transformer/unsupervised_learning/SimCSE/train_askubuntu_simcse.py`: 128, 32, 1 (which itself
    /// asks for a warm-up over 0.1 of the steps).
    #[serde(rename = "st-6")]
    St6,
}

impl Named for Recipe {
    const ALL: &'static [Self] = &[Self::St2021, Self::St6];

    fn name(self) -> &'static str {
        match self {
            Self::St2021 => "st-2021",
            Self::St6 => "st-6",
        }
    }
}

impl Recipe {
    /// The recipe's settings.
    #[must_use]
    pub fn settings(self) -> Settings {
        let common = Settings { recipe: Some(self), batch_sampler: BatchSampler::Batch, ..Settings::default() };
        match self {
            Self::St2021 => Settings {
                learning_rate: 2e-5,
                weight_decay: 0.01,
                adam_epsilon: 1e-6,
                warmup: Warmup::RatioDown(0.1),
                ..common
            },
            Self::St6 => Settings { warmup: Warmup::Steps(0), ..common },
        }
    }
}
