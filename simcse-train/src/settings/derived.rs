//! What a run derives from its settings.

use simcse_model::io::counted;
use simcse_model::{DropoutPlan, SentenceEncoder};
use simcse_tensor::rng::Philox;
use simcse_tensor::{ContrastiveLoss, Directions, Noise};

use crate::data::batches::Batching;
use crate::settings::setting::{Setting, shown};
use crate::settings::table::Settings;
use crate::settings::values::{Direction, Rounding};
use crate::step::objectives::{Matryoshka, Objective};

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
        const OPTIONS: [&str; 13] = [
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
            "matryoshka_dims",
            "matryoshka_weights",
        ];
        let defaults = Self::default();
        let flag = |setting: &Setting<Self>| {
            let value = (setting.get)(self).filter(|value| (setting.get)(&defaults).as_ref() != Some(value))?;
            let flag = format!("--{}", setting.flag());
            Some(if setting.is_switch() { flag } else { format!("{flag} {}", shown(&value)) })
        };
        Self::TABLE.iter().filter(|setting| OPTIONS.contains(&setting.name)).filter_map(flag).collect()
    }

    /// What the run minimizes, for examples of `columns` texts.
    pub(crate) fn objective(&self, columns: usize) -> Box<dyn Objective> {
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
