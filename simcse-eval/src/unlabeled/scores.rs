//! Sentences that a model is scored on without labels.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use simcse_model::{DropoutPlan, SentenceEncoder};
use simcse_tensor::BufferPool;

use crate::error::Error;
use crate::metrics::geometry::{alignment, mean_cosine, reciprocal_ranks, uniformity};
use crate::unlabeled::corruption::Corruption;
use crate::unlabeled::view::View;

/// The corruption of the copies that sentences are found by: half of the words are lost.
const CORRUPTION: Corruption = Corruption { drop: 0.5, swap: 0.5, typo: 0.3 };
/// The dropout rate under which sentences are recognized again: three times BERT's.
const STRONG_DROPOUT: f32 = 0.3;

/// Sentences that a model is scored on without labels. They should not be among those that it was
/// trained on.
///
/// ```
/// # use simcse_model::{Architecture, ModelConfig, ModelDirectory};
/// # use simcse_model::{Pooling, SentenceEncoder, Tokenizer};
/// use simcse_eval::Unlabeled;
/// # let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "slow", "boot", "wifi"];
/// # let config = ModelConfig {
/// #     vocab_size: words.len(),
/// #     hidden_size: 16,
/// #     num_hidden_layers: 1,
/// #     num_attention_heads: 2,
/// #     intermediate_size: 32,
/// #     ..ModelConfig::defaults(Architecture::Bert)
/// # };
/// # let tokenizer = Tokenizer::word_piece(&words, true)?;
/// # let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 16)?;
/// # let encoder = SentenceEncoder::random(directory, 42);
///
/// let held_out = Unlabeled::new(["slow boot", "boot wifi", "wifi slow"], 42);
/// let scores = held_out.evaluate(&encoder)?;
/// assert!(scores.alignment >= 0.0 && scores.uniformity <= 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Unlabeled {
    texts: Vec<String>,
    corrupted: Vec<String>,
    seed: u64,
}

/// Figures of a model from sentences alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnlabeledScores {
    /// Mean squared distance of two embeddings of a sentence under the model's own dropout, 0 to 4;
    /// lower is better.
    pub alignment: f64,
    /// How evenly the embeddings cover the sphere, −8 to 0; lower is better.
    pub uniformity: f64,
    /// Mean cosine similarity of different sentences; near 1, the embeddings have collapsed.
    pub mean_cosine: f64,
    /// Share of sentences whose embedding under a dropout rate of 0.3 is most similar to that of
    /// the same sentence under another mask, among those of all sentences.
    pub dropout_accuracy: f64,
    /// Mean reciprocal rank of a sentence among all of them by similarity to a copy that lost half
    /// of its words.
    pub corruption_mrr: f64,
}

impl UnlabeledScores {
    /// The figures that are better when they are lower.
    pub const LOWER_IS_BETTER: [&'static str; 3] = ["alignment", "uniformity", "mean_cosine"];

    /// The figures as a JSON object; each name begins with `prefix` and an underscore.
    #[must_use]
    pub fn to_json(&self, prefix: &str) -> Map<String, Value> {
        let Self { alignment, uniformity, mean_cosine, dropout_accuracy, corruption_mrr } = *self;
        let figures = [
            ("alignment", alignment),
            ("uniformity", uniformity),
            ("mean_cosine", mean_cosine),
            ("dropout_accuracy", dropout_accuracy),
            ("corruption_mrr", corruption_mrr),
        ];
        figures.into_iter().map(|(name, value)| (format!("{prefix}_{name}"), json!(value))).collect()
    }
}

impl Unlabeled {
    /// Scores models on `texts`; equal ones count once. Dropout masks and corrupted copies are a
    /// function of `seed`.
    ///
    /// # Panics
    /// If there are fewer than two different texts.
    #[must_use]
    pub fn new<S: Into<String>>(texts: impl IntoIterator<Item = S>, seed: u64) -> Self {
        let mut seen = HashSet::new();
        let texts: Vec<String> = texts.into_iter().map(Into::into).filter(|text| seen.insert(text.clone())).collect();
        assert!(texts.len() > 1, "two texts or more");
        let copy = |(number, text): (usize, &String)| CORRUPTION.apply(text, seed, number as u32);
        let corrupted = texts.iter().enumerate().map(copy).collect();
        Self { texts, corrupted, seed }
    }

    /// The different texts.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// How many texts [`evaluate`](Self::evaluate) encodes, copies and dropout's views included.
    #[must_use]
    pub fn encoded(&self) -> usize {
        6 * self.texts.len()
    }

    /// The figures of a model. Its default prompt, if it has one, is put in front of the texts.
    ///
    /// # Errors
    /// The encoder's.
    pub fn evaluate(&self, encoder: &SentenceEncoder) -> Result<UnlabeledScores, Error> {
        let scores = self.evaluate_while(encoder, |_| true)?;
        Ok(scores.expect("nothing stops it"))
    }

    /// [`evaluate`](Self::evaluate) that can be stopped: now and then `go_on` gets the number of
    /// texts encoded so far, and the result is `None` if it returns `false`.
    ///
    /// # Errors
    /// The encoder's.
    pub fn evaluate_while(
        &self,
        encoder: &SentenceEncoder,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<Option<UnlabeledScores>, Error> {
        let prompt = encoder.prompt(encoder.directory.prompts.default_prompt())?;
        let config = encoder.config();
        let own = DropoutPlan {
            hidden: config.hidden_dropout_prob,
            attention: config.attention_probs_dropout_prob,
            seed: self.seed,
            step: 0,
        };
        let strong = DropoutPlan { hidden: STRONG_DROPOUT, attention: STRONG_DROPOUT, step: 1, ..own };
        let plain = |texts| View { texts, dropout: None };
        let dropped = |plan, number| View { texts: &self.texts, dropout: Some((plan, number)) };
        let views = [
            plain(&self.texts),
            plain(&self.corrupted),
            dropped(own, 0),
            dropped(own, 1),
            dropped(strong, 0),
            dropped(strong, 1),
        ];
        let mut pool = BufferPool::default();
        let mut encoded = Vec::new();
        for (number, view) in views.into_iter().enumerate() {
            let mut go_on = |done| go_on(number * self.texts.len() + done);
            match view.encode(encoder, prompt, &mut pool, &mut go_on)? {
                Some(embeddings) => encoded.push(embeddings),
                None => return Ok(None),
            }
        }
        let [plain, corrupted, own0, own1, strong0, strong1] = encoded.try_into().expect("six views");
        let recognized = reciprocal_ranks(strong0.view(), strong1.view());
        let found = reciprocal_ranks(corrupted.view(), plain.view());
        Ok(Some(UnlabeledScores {
            alignment: alignment(own0.view(), own1.view()),
            uniformity: uniformity(plain.view()),
            mean_cosine: mean_cosine(plain.view()),
            dropout_accuracy: mean(recognized.iter().map(|&rank| f64::from(rank == 1.0))),
            corruption_mrr: mean(found.into_iter()),
        }))
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    values.sum::<f64>() / count as f64
}
