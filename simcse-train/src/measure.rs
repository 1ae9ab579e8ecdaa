//! Times training steps part by part: what `simcse bench` reports.
//!
//! This file knows steps and clocks. It must not know files or how the times are shown.

use std::time::{Duration, Instant};

use simcse_model::{SentenceEncoder, Work};
use simcse_tensor::Grads;
use simcse_tensor::profile::{Part, Profile, record, time};

use crate::data::examples::Examples;
use crate::draws::total_steps;
use crate::error::Result;
use crate::optim::adamw::{AdamW, clip_scale, gradient_norm};
use crate::settings::Settings;
use crate::step::batch::TokenizedBatch;
use crate::step::buffers::StepBuffers;
use crate::step::gradient::accumulate;
use crate::views::Views;

/// From texts to token ids.
const TOKENIZATION: Part = Part("tokenization");
/// Clearing the gradients, their norm, and the update.
const OPTIMIZER: Part = Part("optimizer");

/// The parts of a step, in the order in which they run.
pub const PARTS: [Part; 14] = [
    TOKENIZATION,
    Part::EMBEDDING,
    Part::FORWARD,
    Part::DX,
    Part::DW,
    Part::ACTIVATION,
    Part::ATTENTION,
    Part::ATTENTION_BACKWARD,
    Part::LAYER_NORM,
    Part::DROPOUT,
    Part::POOLING,
    Part::LOSS,
    Part::VOCABULARY,
    OPTIMIZER,
];

/// What some steps took and computed.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Wall-clock time.
    pub time: Duration,
    /// Each part's share of that time.
    pub profile: Profile,
    /// Tokens encoded; all views count.
    pub tokens: usize,
    /// FLOP of the encoder's forward pass.
    pub forward: Work,
    /// FLOP of the similarities of anchors and their candidates.
    pub similarities: f64,
    /// FLOP of the head that predicts masked tokens: `2·M·(C² + V·C)`.
    pub vocabulary: f64,
}

impl Measured {
    /// The FLOP that the mathematics needs, forward and backward: each matrix product of the
    /// forward pass requires two in the backward pass.
    pub fn flop(&self) -> f64 {
        3.0 * (self.forward.total() + self.similarities + self.vocabulary)
    }
}

/// Trains for `steps` steps at the peak learning rate and measures them, after one warm-up step
/// that allocates the buffers.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting),
/// [`Error::TooFewExamples`](crate::Error::TooFewExamples), and what the tokenizer reports.
pub fn measure_steps(
    encoder: &mut SentenceEncoder,
    examples: &Examples,
    settings: &Settings,
    steps: u32,
) -> Result<Measured> {
    settings.check()?;
    settings.check_columns(examples.columns())?;
    settings.apply_to(encoder)?;
    settings.add_parts(encoder, examples)?;
    total_steps(settings, examples)?; // an error unless there is a batch
    measure_prepared(encoder, examples, settings, steps)
}

/// As [`measure_steps`], with an encoder that the settings are applied to.
pub(crate) fn measure_prepared(
    encoder: &mut SentenceEncoder,
    examples: &Examples,
    settings: &Settings,
    steps: u32,
) -> Result<Measured> {
    let mut optimizer = AdamW::new(encoder.params.layout(), settings.weight_decay, settings.adam_epsilon);
    let mut grads = Grads::zeros(encoder.params.layout().clone());
    let prompt = encoder.prompt(&settings.prompt)?;
    let mut buffers = StepBuffers::new(settings.mini_batch_tokens).excluding(prompt.excluded);
    let objectives = settings.objectives(&encoder.directory.tokenizer, examples.columns())?;
    let views = Views::of(settings, encoder)?;
    let mut measured = Measured::default();
    let batches = settings.batching().batches(examples, 0).cycle();
    for (step, batch) in (0..=steps).zip(batches) {
        let texts = examples.select(&batch);
        let dropout = settings.dropout(step.into(), 0);
        let started = Instant::now();
        let (found, profile) = record(|| {
            let tokens = time(TOKENIZATION, || encoder.tokenize_with_prompt(prompt, &texts))?.ids;
            let batch = views.batch(0, &batch, TokenizedBatch::new(examples.columns(), tokens));
            time(OPTIMIZER, || grads.clear());
            let found = accumulate(encoder, &batch, &dropout, &objectives, &mut buffers, &mut grads, &mut |_, _| {});
            time(OPTIMIZER, || {
                let scale = clip_scale(gradient_norm(&grads), settings.max_grad_norm);
                optimizer.update(&mut encoder.params, &grads, settings.learning_rate, scale);
            });
            Result::Ok((batch, found))
        });
        let elapsed = started.elapsed();
        let (batch, found) = found?;
        if step > 0 {
            measured.time += elapsed;
            measured.profile += &profile;
            for rows in objectives.passes(&batch) {
                let lengths = || rows.iter().map(|ids| ids.len());
                measured.tokens += lengths().sum::<usize>();
                measured.forward += Work::forward(encoder.config(), lengths());
            }
            let width = encoder.dimension();
            if settings.is_contrastive() {
                let candidates = (batch.views() - 1) * batch.len() + settings.noise_negatives;
                measured.similarities += 2.0 * (candidates * batch.len() * width) as f64;
            }
            let masked = found.masked_lm.map_or(0, |figures| figures.tokens);
            measured.vocabulary += 2.0 * (masked * width * (width + encoder.config().vocab_size)) as f64;
        }
    }
    Ok(measured)
}
