//! The settings of a run, with the defaults and names of the Hugging Face Trainer and sentence-transformers.

pub(crate) mod recipe;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use simcse_model::{DropoutPlan, Named, Pooling, Precision};
use simcse_tensor::Rows;

use crate::data::batches::{BatchSampler, Batching};
use crate::error::{Error, Result};
use crate::optim::schedule::Warmup;
use crate::settings::recipe::Recipe;

/// The largest integer of TOML.
const LARGEST: u64 = i64::MAX as u64;

/// Every setting of a run, as resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The recipe that gave what no flag did.
    pub recipe: Option<Recipe>,
    /// Sentences in a batch; each is the others' negative.
    pub batch_size: usize,
    /// Batches whose mean gradient makes a step; negatives come from a sentence's own batch alone.
    pub gradient_accumulation_steps: usize,
    /// The most tokens, both views counted, that go through the encoder at a time; the whole batch if `None`.
    pub mini_batch_tokens: Option<usize>,
    /// Tokens at which a sentence is cut, special tokens included.
    pub max_seq_length: usize,
    /// Passes over the sentences, unless `max_steps` is given.
    pub epochs: u32,
    /// Steps of the run; passes over the sentences go on until then.
    pub max_steps: Option<u64>,
    /// How the tokens of a sentence become its embedding.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub pooling: Pooling,
    /// What cosines are multiplied by: the inverse of the paper's temperature.
    pub scale: f32,
    /// AdamW's peak learning rate.
    pub learning_rate: f64,
    /// AdamW's decoupled weight decay; biases and LayerNorm are exempt.
    pub weight_decay: f64,
    /// AdamW's ε.
    pub adam_epsilon: f64,
    /// The steps in which the learning rate rises from 0.
    #[serde(flatten)]
    pub warmup: Warmup,
    /// Gradients longer than this are scaled down to it.
    pub max_grad_norm: f64,
    /// Dropout of everything but the attention probabilities.
    pub hidden_dropout: f32,
    /// Dropout of the attention probabilities.
    pub attention_dropout: f32,
    /// Whether equal sentences may meet in a batch.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub batch_sampler: BatchSampler,
    /// What the operands of the products with weights are rounded to.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub precision: Precision,
    /// Seed of the order of the sentences and of all dropout masks.
    pub seed: u64,
    /// Steps between checkpoints.
    pub save_steps: u64,
    /// Checkpoints that are kept; older ones are deleted.
    pub save_total_limit: Option<usize>,
    /// Steps between evaluations while training.
    pub eval_steps: Option<u64>,
    /// Whether the final model is the best evaluated one.
    pub load_best_model_at_end: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            recipe: None,
            batch_size: 128,
            gradient_accumulation_steps: 1,
            mini_batch_tokens: None,
            max_seq_length: 32,
            epochs: 1,
            max_steps: None,
            pooling: Pooling::Mean,
            scale: 20.0,
            learning_rate: 5e-5,
            weight_decay: 0.0,
            adam_epsilon: 1e-8,
            warmup: Warmup::Ratio(0.1),
            max_grad_norm: 1.0,
            hidden_dropout: 0.1,
            attention_dropout: 0.1,
            batch_sampler: BatchSampler::NoDuplicates,
            precision: Precision::F32,
            seed: 42,
            save_steps: 500,
            save_total_limit: None,
            eval_steps: None,
            load_best_model_at_end: false,
        }
    }
}

impl Settings {
    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the flag.
    pub fn check(&self) -> Result<()> {
        let rate = |x: f32| (0.0..1.0).contains(&x);
        let shown = |x: Option<u64>| x.map_or_else(String::new, |x| x.to_string());
        let within = |x: Option<u64>| x.is_none_or(|x| (1..=LARGEST).contains(&x));
        let limit = self.save_total_limit.map(|limit| limit as u64);
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let (warmup_is_share, warmup) = match self.warmup {
            Warmup::Ratio(ratio) | Warmup::RatioDown(ratio) => ((0.0..=1.0).contains(&ratio), ratio),
            Warmup::Steps(steps) => (steps <= LARGEST, steps as f64),
        };
        let (accumulation, piece) = (self.gradient_accumulation_steps, self.mini_batch_tokens.unwrap_or(usize::MAX));
        let checks: [(&'static str, bool, &'static str, String); 18] = [
            ("batch-size", self.batch_size >= 2, "2 or more: a sentence needs negatives", self.batch_size.to_string()),
            ("gradient-accumulation-steps", accumulation >= 1, "1 or more", accumulation.to_string()),
            ("mini-batch-tokens", piece >= Rows::BLOCK, "512 or more tokens", piece.to_string()),
            ("max-seq-length", self.max_seq_length >= 3, "3 or more tokens", self.max_seq_length.to_string()),
            ("epochs", self.epochs >= 1, "1 or more", self.epochs.to_string()),
            ("max-steps", within(self.max_steps), "1 or more", shown(self.max_steps)),
            ("scale", positive(self.scale.into()), "a positive number", self.scale.to_string()),
            ("learning-rate", positive(self.learning_rate), "a positive number", self.learning_rate.to_string()),
            ("weight-decay", (0.0..1.0).contains(&self.weight_decay), "0 to below 1", self.weight_decay.to_string()),
            ("adam-epsilon", positive(self.adam_epsilon), "a positive number", self.adam_epsilon.to_string()),
            ("warmup-ratio", warmup_is_share, "0 to 1", warmup.to_string()),
            ("max-grad-norm", positive(self.max_grad_norm), "a positive number", self.max_grad_norm.to_string()),
            ("hidden-dropout", rate(self.hidden_dropout), "0 to below 1", self.hidden_dropout.to_string()),
            ("attention-dropout", rate(self.attention_dropout), "0 to below 1", self.attention_dropout.to_string()),
            ("seed", self.seed <= LARGEST, "below 2^63", self.seed.to_string()),
            ("save-steps", within(Some(self.save_steps)), "1 or more", self.save_steps.to_string()),
            ("save-total-limit", within(limit), "1 or more", shown(limit)),
            ("eval-steps", within(self.eval_steps), "1 or more", shown(self.eval_steps)),
        ];
        match checks.into_iter().find(|(_, holds, ..)| !holds) {
            Some((setting, _, expected, found)) => Err(Error::Setting { setting, expected, found }),
            None => Ok(()),
        }
    }

    /// Checks that a resumed run is given no other settings than these.
    ///
    /// # Errors
    /// [`Error::Changed`], naming the first setting that is another.
    pub fn check_same(&self, given: &Self) -> Result<()> {
        let [recorded, given] = [self, given].map(|s| toml::Table::try_from(s).expect("settings are TOML"));
        let shown = |value: Option<&toml::Value>| value.map_or("nothing".to_owned(), toml::Value::to_string);
        let differing = given.keys().chain(recorded.keys()).find(|name| recorded.get(*name) != given.get(*name));
        differing.map_or(Ok(()), |name| {
            let what = format!("--{}", name.replace('_', "-"));
            Err(Error::Changed { what, recorded: shown(recorded.get(name)), given: shown(given.get(name)) })
        })
    }

    /// The dropout of batch `number` of the step that has `step` steps before it. No two batches of a run share a mask.
    pub(crate) fn dropout(&self, step: u64, number: usize) -> DropoutPlan {
        let batch = step * self.gradient_accumulation_steps as u64 + number as u64;
        DropoutPlan {
            hidden: self.hidden_dropout,
            attention: self.attention_dropout,
            seed: self.seed,
            step: batch as u32,
        }
    }

    /// Sentences in a step; the last one of an epoch may have fewer batches.
    pub fn sentences_per_step(&self) -> usize {
        self.gradient_accumulation_steps * self.batch_size
    }

    /// What a step takes, in words: `128 sentences`, `4 × 128 sentences`.
    pub fn step_size(&self) -> String {
        match self.gradient_accumulation_steps {
            1 => format!("{} sentences", self.batch_size),
            batches => format!("{batches} × {} sentences", self.batch_size),
        }
    }

    /// How the sentences are put into batches.
    pub fn batching(&self) -> Batching {
        Batching { sampler: self.batch_sampler, batch_size: self.batch_size, seed: self.seed }
    }
}

fn by_name<T: Named, S: Serializer>(value: &T, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(value.name())
}

fn named<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<T, D::Error> {
    T::from_name(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        for recipe in [Recipe::St2021, Recipe::St6] {
            recipe.settings().check().unwrap();
        }
        let message = |settings: Settings| settings.check().unwrap_err().to_string();
        let defaults = Settings::default;
        assert_eq!(
            message(Settings { warmup: Warmup::RatioDown(1.5), ..defaults() }),
            "--warmup-ratio: expected 0 to 1, found 1.5"
        );
        assert_eq!(
            message(Settings { adam_epsilon: 0.0, ..defaults() }),
            "--adam-epsilon: expected a positive number, found 0"
        );
        assert!(message(Settings { hidden_dropout: f32::NAN, ..defaults() }).starts_with("--hidden-dropout: expected"));
    }

    #[test]
    fn no_two_batches_share_masks() {
        let settings = Settings { gradient_accumulation_steps: 3, ..Settings::default() };
        let batches = (0..4).flat_map(|step| (0..3).map(move |number| (step, number)));
        let found: Vec<u32> = batches.map(|(step, number)| settings.dropout(step, number).step).collect();
        assert_eq!(found, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn they_are_written_under_their_names() {
        let written = |settings: Settings| toml::to_string(&settings).unwrap();
        assert!(written(Settings::default()).contains("warmup_ratio = 0.1\n"));
        let text = written(Recipe::St2021.settings());
        assert!(
            text.contains("recipe = \"st-2021\"\n") && text.contains("warmup_ratio_rounded_down = 0.1\n"),
            "{text}"
        );
        assert!(written(Recipe::St6.settings()).contains("warmup_steps = 0\n"));
    }
}
