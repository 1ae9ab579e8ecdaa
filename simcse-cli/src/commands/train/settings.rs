//! The flags of settings, and the settings under them.

use clap::Args;
use simcse_model::{Pooling, SentenceEncoder};
use simcse_train::{BatchSampler, Recipe, Settings, Warmup};

use crate::args::{PrecisionArgs, named};

/// Settings that replace the defaults.
#[derive(Debug, Args)]
pub(super) struct SettingArgs {
    /// Settings that others have published, flags beside it win. st-2021: the script behind sentence-transformers' figures
    /// on AskUbuntu; st-6: what the trainer of sentence-transformers 6 does unasked
    #[arg(long, value_name = "NAME", requires = "model", value_parser = named::<Recipe>)]
    pub(super) recipe: Option<Recipe>,
    /// Sentences in a batch; each is the others' negative [default: 128]
    #[arg(long, value_name = "N")]
    pub(super) batch_size: Option<usize>,
    /// Batches whose mean gradient makes a step. This does not enlarge the pool of negatives, which come from a sentence's
    /// own batch: for more negatives give a larger --batch-size [default: 1]
    #[arg(long, value_name = "N")]
    gradient_accumulation_steps: Option<usize>,
    /// Put at most so many tokens (of both views, by 512) through the encoder at a time, to save memory: batches of any size
    /// take no more for it, results stay the same to the last bit, and a step takes up to a third longer (GradCache). Chosen
    /// by itself where a whole batch would not fit in --memory-limit [default: the whole batch]
    #[arg(long, value_name = "N")]
    mini_batch_tokens: Option<usize>,
    /// Tokens at which a sentence is cut [default: 32]
    #[arg(long, value_name = "N")]
    max_seq_length: Option<usize>,
    /// Passes over the sentences [default: 1]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Steps of the run, instead of epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    max_steps: Option<u64>,
    /// How tokens become an embedding: mean, cls or max [default: the model's, or mean]
    #[arg(long, value_name = "MODE", value_parser = named::<Pooling>)]
    pooling: Option<Pooling>,
    /// Cosines are multiplied by this: the inverse of the temperature [default: 20]
    #[arg(long, value_name = "X")]
    scale: Option<f32>,
    /// AdamW's peak learning rate [default: 5e-5]
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// AdamW's weight decay; none on biases and LayerNorm [default: 0]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// AdamW's epsilon [default: 1e-8]
    #[arg(long, value_name = "X")]
    adam_epsilon: Option<f64>,
    /// Share of the steps in which the learning rate rises from 0 [default: 0.1]
    #[arg(long, value_name = "X")]
    warmup_ratio: Option<f64>,
    /// Steps in which the learning rate rises from 0, instead of a share
    #[arg(long, value_name = "N", conflicts_with = "warmup_ratio")]
    warmup_steps: Option<u64>,
    /// Gradients longer than this are scaled down to it [default: 1]
    #[arg(long, value_name = "X")]
    max_grad_norm: Option<f64>,
    /// Dropout of everything but the attention probabilities [default: the model's]
    #[arg(long, value_name = "P")]
    hidden_dropout: Option<f32>,
    /// Dropout of the attention probabilities [default: the model's]
    #[arg(long, value_name = "P")]
    attention_dropout: Option<f32>,
    /// no-duplicates: equal sentences never meet in a batch; batch: as sentence-transformers' default
    /// [default: no-duplicates]
    #[arg(long, value_name = "NAME", value_parser = named::<BatchSampler>)]
    batch_sampler: Option<BatchSampler>,
    #[command(flatten)]
    pub(super) precision: PrecisionArgs,
    /// Seed of the order of the sentences and of dropout [default: 42]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Steps between checkpoints; there is one at the last step, too [default: 500]
    #[arg(long, value_name = "N")]
    save_steps: Option<u64>,
    /// Keep only so many checkpoints, the newest, and the best one with --load-best-model-at-end
    #[arg(long, value_name = "N")]
    save_total_limit: Option<usize>,
    /// Steps between evaluations while training
    #[arg(long, value_name = "N")]
    pub(super) eval_steps: Option<u64>,
    /// Make the best evaluated model the final one; it has a checkpoint of its own
    #[arg(long)]
    pub(super) load_best_model_at_end: bool,
}

impl SettingArgs {
    /// The settings for tuning `encoder`: the flags, the recipe, the model's own values, the defaults.
    pub(super) fn resolve(&self, encoder: &SentenceEncoder) -> Settings {
        let base = match self.recipe {
            Some(recipe) => recipe.settings(),
            None => Settings { pooling: encoder.directory.pooling, ..Settings::default() },
        };
        let config = encoder.config();
        self.over(Settings {
            hidden_dropout: config.hidden_dropout_prob,
            attention_dropout: config.attention_probs_dropout_prob,
            ..base
        })
    }

    /// The flags over `base`.
    pub(super) fn over(&self, base: Settings) -> Settings {
        let ratio = self.warmup_ratio.map(Warmup::Ratio);
        Settings {
            recipe: self.recipe.or(base.recipe),
            batch_size: self.batch_size.unwrap_or(base.batch_size),
            gradient_accumulation_steps: self.gradient_accumulation_steps.unwrap_or(base.gradient_accumulation_steps),
            mini_batch_tokens: self.mini_batch_tokens.or(base.mini_batch_tokens),
            max_seq_length: self.max_seq_length.unwrap_or(base.max_seq_length),
            epochs: self.epochs.unwrap_or(base.epochs),
            max_steps: self.max_steps.or(base.max_steps.filter(|_| self.epochs.is_none())),
            pooling: self.pooling.unwrap_or(base.pooling),
            scale: self.scale.unwrap_or(base.scale),
            learning_rate: self.learning_rate.unwrap_or(base.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(base.weight_decay),
            adam_epsilon: self.adam_epsilon.unwrap_or(base.adam_epsilon),
            warmup: self.warmup_steps.map(Warmup::Steps).or(ratio).unwrap_or(base.warmup),
            max_grad_norm: self.max_grad_norm.unwrap_or(base.max_grad_norm),
            hidden_dropout: self.hidden_dropout.unwrap_or(base.hidden_dropout),
            attention_dropout: self.attention_dropout.unwrap_or(base.attention_dropout),
            batch_sampler: self.batch_sampler.unwrap_or(base.batch_sampler),
            precision: self.precision.precision.unwrap_or(base.precision),
            seed: self.seed.unwrap_or(base.seed),
            save_steps: self.save_steps.unwrap_or(base.save_steps),
            save_total_limit: self.save_total_limit.or(base.save_total_limit),
            eval_steps: self.eval_steps.or(base.eval_steps),
            load_best_model_at_end: self.load_best_model_at_end || base.load_best_model_at_end,
        }
    }
}
