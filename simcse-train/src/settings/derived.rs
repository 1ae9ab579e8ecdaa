//! What a run derives from its settings.

use simcse_model::io::counted;
use simcse_model::{DropoutPlan, SentenceEncoder, Tokenizer};
use simcse_tensor::rng::Philox;
use simcse_tensor::{ContrastiveLoss, Directions, Noise};

use crate::data::batches::{BatchSampler, Batching};
use crate::error::Result;
use crate::settings::setting::{Setting, shown};
use crate::settings::table::Settings;
use crate::settings::values::{Direction, Rounding, Training};
use crate::step::gradient::Objectives;
use crate::step::masked_lm::MaskedLm;
use crate::step::masking::Masking;
use crate::step::objectives::{Matryoshka, Objective};

/// The options of the loss of embeddings and of the views that it compares.
const LOSS: [&str; 15] = [
    "directions",
    "partition_mode",
    "hardness_mode",
    "hardness_strength",
    "hard_negative_weight",
    "focal_m",
    "off_dropout",
    "pos_ratio",
    "noise_negatives",
    "noise_weight",
    "dup_rate",
    "word_deletion",
    "template",
    "matryoshka_dims",
    "matryoshka_weights",
];
/// Other settings that concern embeddings alone.
const OF_EMBEDDINGS: [&str; 8] =
    ["recipe", "prompt", "word_weights_in_training", "scale", "mlm_weight", "mlp", "batch_sampler", "logging_steps"];
/// The options of masked language modeling.
const MASKED_LM: [&str; 3] = ["mlm_weight", "mlm_probability", "whole_word_mask"];

impl Settings {
    /// Whether the setting `name` concerns a loss of embeddings alone.
    pub fn is_of_embeddings(name: &str) -> bool {
        LOSS.contains(&name) || OF_EMBEDDINGS.contains(&name)
    }

    /// The defaults for training `encoder`: its own pooling and dropout rates, and no greater
    /// length than it has positions for.
    pub fn for_model(encoder: &SentenceEncoder) -> Self {
        let config = encoder.config();
        Self {
            max_seq_length: Self::default().max_seq_length.min(config.max_tokens()),
            pooling: encoder.directory.pooling,
            hidden_dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
            ..Self::default()
        }
    }

    /// The defaults for masked language modeling alone, as `simcse pretrain` has them: of a model
    /// that was pretrained before, or of a new one with random weights.
    pub fn for_pretraining(encoder: Option<&SentenceEncoder>) -> Self {
        const LENGTH: usize = 64;
        let (learning_rate, epochs) = if encoder.is_some() { (5e-5, 3) } else { (1e-3, 10) };
        Self {
            objective: Training::Mlm,
            mlm_weight: 1.0,
            // Batches of a language model have no negatives, so equal texts may meet.
            batch_sampler: BatchSampler::Batch,
            weight_decay: 0.01,
            max_seq_length: encoder.map_or(LENGTH, |encoder| LENGTH.min(encoder.config().max_tokens())),
            learning_rate,
            epochs,
            ..encoder.map_or_else(Self::default, Self::for_model)
        }
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

    /// Examples per step; the last step of an epoch may have fewer.
    pub fn examples_per_step(&self) -> usize {
        self.gradient_accumulation_steps * self.batch_size
    }

    /// Steps between two measurements on the probe of a run, which encode `texts` texts each, for
    /// examples of `columns` texts: the setting, or so many that encoding takes a third of a
    /// percent of the time.
    pub(crate) fn logging_interval(&self, columns: usize, texts: usize) -> u64 {
        // A step encodes every view and passes back through it, which takes twice as long.
        let in_step = 3 * columns.max(2) * self.examples_per_step();
        self.logging_steps.unwrap_or((300 * texts).div_ceil(in_step).max(1) as u64)
    }

    /// The size of a step in words, for examples of `columns` texts: `128 sentences` or
    /// `4 × 128 examples of 3 texts`.
    pub fn step_size(&self, columns: usize) -> String {
        let batches = match self.gradient_accumulation_steps {
            1 => String::new(),
            batches => format!("{batches} × "),
        };
        let examples = match columns {
            1 => "sentences".to_owned(),
            columns => format!("examples of {columns} texts"),
        };
        format!("{batches}{} {examples}", self.batch_size)
    }

    /// The options of the objective and of the views that do not have their defaults, as flags.
    pub fn objective_flags(&self) -> Vec<String> {
        self.flags_of(&[&LOSS[..], &MASKED_LM].concat())
    }

    /// The settings of what is pooled and of what follows, as flags, where they do not have their
    /// defaults.
    pub fn pooler_flags(&self) -> Vec<String> {
        self.flags_of(&["pooled_layers", "word_weights_in_training", "mlp"])
    }

    /// Those of the named settings that do not have their defaults, as flags.
    fn flags_of(&self, names: &[&str]) -> Vec<String> {
        let defaults = match self.objective {
            Training::Contrastive => Self::default(),
            Training::Mlm => Self::for_pretraining(None),
        };
        let flag = |setting: &Setting<Self>| {
            let value = (setting.get)(self).filter(|value| (setting.get)(&defaults).as_ref() != Some(value))?;
            let flag = format!("--{}", setting.flag());
            Some(if setting.is_switch() { flag } else { format!("{flag} {}", quoted(shown(&value))) })
        };
        Self::TABLE.iter().filter(|setting| names.contains(&setting.name)).filter_map(flag).collect()
    }

    /// Whether the model needs a head for masked language modeling.
    pub(crate) fn has_masked_lm(&self) -> bool {
        self.mlm_weight > 0.0
    }

    /// Whether the views of a sentence differ in their tokens, too.
    pub(crate) fn changes_views(&self) -> bool {
        self.dup_rate > 0.0 || self.word_deletion > 0.0
    }

    /// Whether examples are compared with each other.
    pub(crate) fn is_contrastive(&self) -> bool {
        self.objective == Training::Contrastive
    }

    /// What the run minimizes, for examples of `columns` texts.
    ///
    /// # Errors
    /// [`Error::NoMask`](crate::Error::NoMask).
    pub(crate) fn objectives(&self, tokenizer: &Tokenizer, columns: usize) -> Result<Objectives> {
        let masked_lm = || {
            let masking = Masking::new(tokenizer, self.mlm_probability, self.whole_word_mask)?;
            Result::Ok(MaskedLm { masking, weight: self.mlm_weight })
        };
        Ok(Objectives {
            embeddings: self.is_contrastive().then(|| self.objective_of_embeddings(columns)),
            masked_lm: self.has_masked_lm().then(masked_lm).transpose()?,
        })
    }

    /// The loss of embeddings, for examples of `columns` texts.
    pub(crate) fn objective_of_embeddings(&self, columns: usize) -> Box<dyn Objective> {
        let loss = self.contrastive(columns);
        if self.matryoshka_dims.is_empty() {
            return Box::new(loss);
        }
        let weights = self.matryoshka_weights.iter().copied().chain(std::iter::repeat(1.0));
        Box::new(Matryoshka { loss, dimensions: self.matryoshka_dims.iter().copied().zip(weights).collect() })
    }

    /// The contrastive loss, for examples of `columns` texts. A sentence has two views, or three.
    pub(crate) fn contrastive(&self, columns: usize) -> ContrastiveLoss {
        let has = |direction| self.directions.contains(&direction);
        ContrastiveLoss {
            columns: if self.off_dropout { 3 } else { columns.max(2) },
            scale: self.scale,
            directions: Directions {
                query_to_query: has(Direction::QueryToQuery),
                doc_to_query: has(Direction::DocToQuery),
                doc_to_doc: has(Direction::DocToDoc),
            },
            partition: self.partition_mode,
            hardness: self.hardness_mode,
            hardness_strength: self.hardness_strength,
            hard_negative_weight: self.hard_negative_weight,
            focal_m: self.focal_m,
            off_dropout: self.off_dropout,
            pos_ratio: self.pos_ratio,
            noise: (self.noise_negatives > 0).then(|| Noise {
                count: self.noise_negatives,
                weight: self.noise_weight,
                philox: Philox::new(self.seed),
                batch: 0,
            }),
        }
    }

    /// How the examples are arranged in batches.
    pub fn batching(&self) -> Batching {
        Batching { sampler: self.batch_sampler, batch_size: self.batch_size, seed: self.seed }
    }
}

/// A value as a shell takes it: in quotation marks if it has a space.
fn quoted(value: String) -> String {
    if value.contains(' ') { format!("'{}'", value.replace('\'', r"'\''")) } else { value }
}
