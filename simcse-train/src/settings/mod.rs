//! The settings of a run, each declared once.
//!
//! This room knows names, defaults, ranges, how a setting is written in `run.toml`, and which
//! settings concern the model. It must not know how a run is carried out; other rooms ask it for
//! the values that they need. Names and defaults are those of the Hugging Face Trainer and of
//! sentence-transformers.

mod recipe;
mod setting;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use simcse_model::io::counted;
use simcse_model::{DropoutPlan, Named, Pooling, Precision, SentenceEncoder};
use simcse_tensor::Rows;

use crate::data::batches::{BatchSampler, Batching};
use crate::error::{Error, Result};
use simcse_tensor::ContrastiveLoss;

pub use recipe::Recipe;
pub use setting::Setting;
use setting::{Value, named_from_toml, optional, settings, shown};

/// The largest integer of TOML.
const LARGEST: u64 = i64::MAX as u64;

settings! {
    /// Every setting of a run.
    ///
    /// ```
    /// use simcse_train::Settings;
    ///
    /// let settings = Settings { batch_size: 64, max_steps: Some(100), ..Settings::default() };
    /// assert!(settings.check().is_ok());
    /// let error = Settings { batch_size: 1, ..settings }.check().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "--batch-size: expected 2 or more: a sentence needs negatives, found 1"
    /// );
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct Settings {
        /// Published settings; flags take precedence over them. st-2021: the script that produced
        /// sentence-transformers' figures on AskUbuntu; st-6: the defaults of
        /// sentence-transformers 6's trainer
        recipe: Option<Recipe> = None, "NAME", "a recipe" if |_| true;

        /// Sentences per batch; each is a negative for all the others
        batch_size: usize = 128, "N", "2 or more: a sentence needs negatives" if |&size| size >= 2;

        /// Batches per step; their gradients are averaged. This does not add negatives, because a
        /// sentence's negatives come from its own batch: for more of them, raise --batch-size
        gradient_accumulation_steps: usize = 1, "N", "1 or more" if |&batches| batches >= 1;

        /// Encode at most N tokens at a time (both views count, in multiples of 512) to save memory
        /// (GradCache): memory no longer grows with the batch, results stay the same to the last
        /// bit, and a step takes up to a third longer. Chosen automatically if a whole batch would
        /// not fit in --memory-limit
        mini_batch_tokens: Option<usize> = None, "N" default "the whole batch",
            "512 or more tokens" if |&tokens| tokens.is_none_or(|tokens| tokens >= Rows::BLOCK);

        /// Truncate sentences to this many tokens, special tokens included
        max_seq_length: usize = 32, "N", "3 or more tokens" if |&tokens| tokens >= 3;

        /// Put this text in front of every sentence that is trained on; it counts toward the
        /// length, and is left out of pooling if the model says so. The model's default prompt is
        /// not used in training unless it is given here, as in sentence-transformers
        prompt: String = String::new(), "TEXT" default "none", "a text" if |_| true;

        /// Passes over the sentences
        epochs: u32 = 1, "N" replaces max_steps, "1 or more" if |&epochs| epochs >= 1;

        /// Steps of the run, instead of --epochs; epochs are repeated as needed
        max_steps: Option<u64> = None, "N", "1 or more" if |&steps| within(steps);

        /// How token embeddings are combined into a sentence embedding: mean, cls, max,
        /// mean_sqrt_len_tokens, weightedmean or lasttoken
        pooling: Pooling = Pooling::Mean, "MODE" default "the model's, or mean", "a pooling mode" if |_| true;

        /// Factor on the cosine similarities: the inverse of the temperature
        scale: f32 = 20.0, "X", "a positive number" if |&scale| positive(scale.into());

        /// AdamW's peak learning rate
        learning_rate: f64 = 5e-5, "X", "a positive number" if |&rate| positive(rate);

        /// AdamW's weight decay; biases and LayerNorm are exempt
        weight_decay: f64 = 0.0, "X", "at least 0 and below 1" if |decay| (0.0..1.0).contains(decay);

        /// AdamW's epsilon
        adam_epsilon: f64 = 1e-8, "X", "a positive number" if |&epsilon| positive(epsilon);

        /// Share of the steps during which the learning rate rises from 0
        warmup_ratio: f64 = 0.1, "X" replaces warmup_steps, "0 to 1" if |ratio| (0.0..=1.0).contains(ratio);

        /// Number of steps during which the learning rate rises from 0, instead of --warmup-ratio
        warmup_steps: Option<u64> = None, "N", "less than 2^63" if |&steps| steps.is_none_or(|steps| steps <= LARGEST);

        /// How --warmup-ratio is rounded to whole steps: up, as in the Hugging Face Trainer, or
        /// down, as in older scripts
        warmup_rounding: Rounding = Rounding::Up, "DIRECTION", "a direction" if |_| true;

        /// Clip gradients to this norm
        max_grad_norm: f64 = 1.0, "X", "a positive number" if |&norm| positive(norm);

        /// Dropout rate, except that of the attention probabilities
        hidden_dropout: f32 = 0.1, "P" default "the model's",
            "at least 0 and below 1" if |rate| (0.0..1.0).contains(rate);

        /// Dropout rate of the attention probabilities
        attention_dropout: f32 = 0.1, "P" default "the model's",
            "at least 0 and below 1" if |rate| (0.0..1.0).contains(rate);

        /// no-duplicates: equal sentences, or those with the same token ids, are never in the same
        /// batch; batch: they may be, which is sentence-transformers' default
        batch_sampler: BatchSampler = BatchSampler::NoDuplicates, "NAME", "a batch sampler" if |_| true;

        /// Operands of matrix products: f32, bf16 (faster, on processors with instructions for it),
        /// or auto, the fastest on this processor
        precision: Precision = Precision::F32, "NAME",
            "f32, or bf16 on a processor with instructions for it" if |precision| precision.is_available();

        /// Seed of the order of the sentences and of dropout
        seed: u64 = 42, "N", "less than 2^63" if |&seed| seed <= LARGEST;

        /// Steps between checkpoints; the last step always has one
        save_steps: u64 = 500, "N", "1 or more" if |&steps| within(Some(steps));

        /// Keep only the N newest checkpoints, and the best one with --load-best-model-at-end
        save_total_limit: Option<usize> = None, "N", "1 or more" if |&limit| within(limit.map(|limit| limit as u64));

        /// Steps between evaluations during training
        eval_steps: Option<u64> = None, "N", "1 or more" if |&steps| within(steps);

        /// Make the best evaluated model the final one; it gets a checkpoint of its own
        load_best_model_at_end: bool = false, "", "true or false" if |_| true;

        /// The figure by which models are compared for --load-best-model-at-end and
        /// --early-stopping-patience: its name in metrics.jsonl without `eval_`, such as map or
        /// spearman_cosine
        choose_best_by: String = String::new(), "FIGURE" default "the first one of the first set", "a figure" if |_| true;

        /// Stop after N evaluations in a row that are no better than the best one so far; needs
        /// --eval-steps and --load-best-model-at-end
        early_stopping_patience: Option<u64> = None, "N", "1 or more" if |&evaluations| within(evaluations);

        /// An evaluation must be better than the best one by more than X to count as better for
        /// --early-stopping-patience
        early_stopping_threshold: f64 = 0.0, "X", "0 or more" if |&gain| gain >= 0.0 && gain.is_finite();
    }
}

fn positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

fn within(steps: Option<u64>) -> bool {
    steps.is_none_or(|steps| (1..=LARGEST).contains(&steps))
}

/// How the share of warm-up steps is rounded to a number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// `⌈ratio · steps⌉`. transformers: `TrainingArguments.get_warmup_steps`.
    Up,
    /// `⌊ratio · steps⌋`.
    Down,
}

impl Named for Rounding {
    const ALL: &'static [Self] = &[Self::Up, Self::Down];

    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Settings whose values are chosen by name.
macro_rules! named_values {
    ($($Type:ty),*) => {$(
        impl Value for $Type {
            fn from_toml(value: &toml::Value) -> std::result::Result<Self, String> {
                named_from_toml(value)
            }

            fn to_toml(&self) -> Option<toml::Value> {
                Some(self.name().into())
            }
        }
    )*};
}

named_values!(BatchSampler, Pooling, Recipe, Rounding);

impl Value for Precision {
    /// `auto` is the fastest one on this processor.
    fn from_toml(value: &toml::Value) -> std::result::Result<Self, String> {
        Self::from_name_or_auto(&shown(value)).map_err(|unknown| unknown.expected)
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.name().into())
    }
}

impl Settings {
    /// The defaults for training `encoder`: its own pooling and dropout rates.
    pub fn for_model(encoder: &SentenceEncoder) -> Self {
        let config = encoder.config();
        Self {
            pooling: encoder.directory.pooling,
            hidden_dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
            ..Self::default()
        }
    }

    /// Gives `encoder` the length, pooling and precision of the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] if the model cannot encode sentences of that length.
    pub(crate) fn apply_to(&self, encoder: &mut SentenceEncoder) -> Result<()> {
        let most = encoder.config().max_tokens();
        if self.max_seq_length > most {
            return Err(Error::Setting {
                setting: "max-seq-length".to_owned(),
                expected: format!("at most {most} for this model"),
                found: self.max_seq_length.to_string(),
            });
        }
        encoder.directory.max_seq_length = self.max_seq_length;
        encoder.directory.pooling = self.pooling;
        encoder.precision = self.precision;
        Ok(())
    }

    /// The same settings under a recipe, which takes precedence where it names a value.
    ///
    /// ```
    /// use simcse_train::{Recipe, Settings};
    ///
    /// let settings = Settings { learning_rate: 1e-4, epochs: 3, ..Settings::default() };
    /// let published = settings.with_recipe(Recipe::St2021);
    /// assert_eq!((published.learning_rate, published.epochs), (2e-5, 3));
    /// ```
    #[must_use]
    pub fn with_recipe(mut self, recipe: Recipe) -> Self {
        self.recipe = Some(recipe);
        for (name, text) in recipe.values() {
            self.set(name, text).expect("a recipe names settings and their values");
        }
        self
    }

    /// Parses a value and sets it. A setting that it replaces is reset to its default.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such setting, or if the text is not a value of its type.
    /// Ranges are checked by [`Settings::check`].
    ///
    /// ```
    /// use simcse_train::Settings;
    ///
    /// let mut settings = Settings { max_steps: Some(100), ..Settings::default() };
    /// settings.set("epochs", "3")?;
    /// assert_eq!((settings.epochs, settings.max_steps), (3, None));
    /// # Ok::<(), simcse_train::Error>(())
    /// ```
    pub fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let setting = named(name)?;
        if let Some(replaced) = setting.replaces {
            (named(replaced)?.reset)(self);
        }
        (setting.parse)(self, text).map_err(|expected| Error::Setting {
            setting: setting.flag(),
            expected,
            found: text.to_owned(),
        })
    }

    /// Checks every range, and settings that need others.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the flag.
    pub fn check(&self) -> Result<()> {
        if let Some(setting) = Self::TABLE.iter().find(|setting| !(setting.check)(self)) {
            let found = (setting.get)(self).as_ref().map_or_else(|| "nothing".to_owned(), shown);
            return Err(Error::Setting { setting: setting.flag(), expected: setting.expected.to_owned(), found });
        }
        if self.early_stopping_patience.is_some() && (self.eval_steps.is_none() || !self.load_best_model_at_end) {
            return Err(Error::Setting {
                setting: "early-stopping-patience".to_owned(),
                expected: "--eval-steps and --load-best-model-at-end with it".to_owned(),
                found: "only one of them, or neither".to_owned(),
            });
        }
        Ok(())
    }

    /// Checks that a resumed run is given the settings that it was started with.
    ///
    /// # Errors
    /// [`Error::Changed`], naming the first setting that differs.
    pub fn check_same(&self, given: &Self) -> Result<()> {
        let differs = |setting: &&Setting<Self>| (setting.get)(self) != (setting.get)(given);
        let Some(setting) = Self::TABLE.iter().find(differs) else { return Ok(()) };
        let value = |settings| (setting.get)(settings).as_ref().map_or_else(|| "nothing".to_owned(), shown);
        Err(Error::Changed { what: format!("--{}", setting.flag()), recorded: value(self), given: value(given) })
    }

    /// The number of warm-up steps in a run of `total_steps`.
    pub fn warmup_steps_of(&self, total_steps: u64) -> u64 {
        let share = self.warmup_ratio * total_steps as f64;
        self.warmup_steps.unwrap_or(match self.warmup_rounding {
            Rounding::Up => share.ceil() as u64,
            Rounding::Down => share as u64,
        })
    }

    /// The warm-up in words: `0.1 of the steps` or `500 steps`.
    pub fn warmup(&self) -> String {
        match self.warmup_steps {
            Some(steps) => counted(steps as usize, "step", "steps"),
            None => format!("{} of the steps", self.warmup_ratio),
        }
    }

    /// The dropout of batch `number` in the step that follows the first `step` steps. No two
    /// batches of a run share a mask.
    pub(crate) fn dropout(&self, step: u64, number: usize) -> DropoutPlan {
        let batch = step * self.gradient_accumulation_steps as u64 + number as u64;
        DropoutPlan {
            hidden: self.hidden_dropout,
            attention: self.attention_dropout,
            seed: self.seed,
            step: batch as u32,
        }
    }

    /// Sentences per step; the last step of an epoch may have fewer.
    pub fn sentences_per_step(&self) -> usize {
        self.gradient_accumulation_steps * self.batch_size
    }

    /// The size of a step in words: `128 sentences` or `4 × 128 sentences`.
    pub fn step_size(&self) -> String {
        match self.gradient_accumulation_steps {
            1 => format!("{} sentences", self.batch_size),
            batches => format!("{batches} × {} sentences", self.batch_size),
        }
    }

    /// What the run minimizes.
    pub(crate) fn objective(&self) -> ContrastiveLoss {
        ContrastiveLoss::simcse(self.scale)
    }

    /// How the sentences are arranged in batches.
    pub fn batching(&self) -> Batching {
        Batching { sampler: self.batch_sampler, batch_size: self.batch_size, seed: self.seed }
    }
}

/// The setting with this name, written with underscores or hyphens.
fn named(name: &str) -> Result<&'static Setting<Settings>> {
    let found = Settings::TABLE.iter().find(|setting| setting.name == name || setting.flag() == name);
    found.ok_or_else(|| Error::Setting {
        setting: name.to_owned(),
        expected: "the name of a setting".to_owned(),
        found: "an unknown name".to_owned(),
    })
}

/// The table `[settings]` in `run.toml`: a key for every setting that has a value.
impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for setting in Self::TABLE {
            if let Some(value) = (setting.get)(self) {
                map.serialize_entry(setting.name, &value)?;
            }
        }
        map.end()
    }
}

/// A setting without a key gets its default.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut settings = Self::default();
        for (name, value) in toml::Table::deserialize(deserializer)? {
            let setting = named(&name).map_err(D::Error::custom)?;
            (setting.set)(&mut settings, &value).map_err(|expected| {
                D::Error::custom(format_args!("{name}: expected {expected}, found {}", shown(&value)))
            })?;
        }
        Ok(settings)
    }
}

#[cfg(test)]
#[path = "tests/settings.rs"]
mod tests;
