//! A run, from its settings to its final model: checks the inputs against each other, then runs
//! the training loop.
//!
//! This file must not know how models are scored, or who watches.

use std::path::{Path, PathBuf};
use std::time::Instant;

use simcse_model::SentenceEncoder;
use simcse_tensor::Grads;

use crate::callbacks::Callbacks;
use crate::data::examples::Examples;
use crate::draws::{Draws, total_steps};
use crate::error::{Error, Result};
use crate::measure::{Measured, measure_prepared};
use crate::memory::{Conditions, MemoryPlan, SAMPLE, plan_memory};
use crate::optim::adamw::{AdamW, clip_scale, gradient_norm};
use crate::optim::schedule::LinearSchedule;
use crate::ranks::{Ranks, same};
use crate::run::RunDirectory;
use crate::run::checkpoint::{Checkpoint, State};
use crate::run::metrics::StepRecord;
use crate::run::output::OutputDirectory;
use crate::run::provenance::{Provenance, Sources, model_digest};
use crate::run::summary::Summary;
use crate::scoring::{evaluate, log_step, probe, test, warn};
use crate::settings::Settings;
use crate::start::Start;
use crate::step::gradient::mean_gradient;
use crate::step::gradient_flow::check_gradient_flow;
use crate::step::masking::Masking;
use crate::warnings::before::warnings;
use crate::warnings::warning::Warning;
use crate::warnings::watch::Rules;

/// A run that is about to start or resume: a model, examples, settings and a directory, checked
/// against each other.
///
/// The trainer owns the model, so that the run's record describes what is trained: the settings
/// that concern the model (pooling, length, precision) are applied to it here, and a resumed run
/// trains the model of its checkpoint.
///
/// ```
/// use simcse_model::{Architecture, ModelConfig, ModelDirectory, Pooling};
/// use simcse_model::{SentenceEncoder, Tokenizer};
/// use simcse_train::{Examples, Settings, Trainer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A small model with random weights; SentenceEncoder::load("path/to/model") would read one.
/// let texts = ["mount a usb stick", "no sound after the update", "dark screen", "boot from usb"];
/// let tokenizer = Tokenizer::byte_level_bpe(&texts, 300)?;
/// let config = ModelConfig {
///     vocab_size: tokenizer.max_id() as usize + 1,
///     hidden_size: 16,
///     num_hidden_layers: 1,
///     num_attention_heads: 2,
///     intermediate_size: 32,
///     ..ModelConfig::defaults(Architecture::Bert)
/// };
/// let directory = ModelDirectory::new(config, tokenizer, Pooling::Mean, 32)?;
/// let encoder = SentenceEncoder::random(directory, 1);
///
/// let sentences = Examples::from_texts("four questions", texts, 1)?;
/// let settings = Settings { batch_size: 2, max_steps: Some(3), ..Settings::for_model(&encoder) };
/// let output = tempfile::tempdir()?;
/// let trainer = Trainer::new(encoder, &sentences, settings, output.path().join("model"))?;
/// let trained = trainer.train(&mut ())?;
/// println!("{} steps, mean loss {:.3}", trained.summary.steps, trained.summary.train_loss);
///
/// let embeddings = trained.encoder.encode(&["a question"])?;
/// assert_eq!(embeddings.dim(), (1, 16));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Trainer {
    /// Where model, examples and evaluation sets come from. This goes into the run's record;
    /// nothing is read from there.
    pub sources: Sources,
    /// The processes that train together. Each of them has the same model, examples and settings,
    /// and calls the same methods; only the first one writes.
    pub ranks: Ranks,
    encoder: SentenceEncoder,
    examples: Examples,
    settings: Settings,
    total_steps: u64,
    start: Start,
    draws: Draws,
    memory: Option<MemoryPlan>,
}

/// What a finished run returns, in addition to the output directory on disk.
#[derive(Debug)]
pub struct Trained {
    /// The final model.
    pub encoder: SentenceEncoder,
    /// The run's figures.
    pub summary: Summary,
}

impl Trainer {
    /// A new run that trains `encoder` on `examples` and writes the model and its checkpoints to
    /// `output`. The directory is created when training starts.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting out of range, or not possible with this model or these
    /// examples; [`Error::TooFewExamples`].
    pub fn new(
        mut encoder: SentenceEncoder,
        examples: &Examples,
        settings: Settings,
        output: impl Into<PathBuf>,
    ) -> Result<Self> {
        settings.check()?;
        settings.check_columns(examples.columns())?;
        settings.apply_to(&mut encoder)?;
        let steps = total_steps(&settings, examples)?;
        let sources = Sources::of_model(&encoder);
        let start = Start::New { output: output.into(), model_digest: model_digest(&encoder) };
        settings.add_parts(&mut encoder, examples)?;
        Self::prepare(encoder, examples, settings, steps, sources, start)
    }

    /// Resumes the run in `output` from `checkpoint`, which belongs to it. `settings` are those
    /// that the checkpoint records, or differ from them only in having more steps, another
    /// `mini_batch_tokens` or another `report_to`.
    ///
    /// # Errors
    /// As [`Trainer::new`]; [`Error::Changed`] if examples or settings differ from the run's, or
    /// would make it shorter; errors of loading the checkpoint's model; what the tokenizer reports.
    pub fn resume(
        output: OutputDirectory,
        checkpoint: Checkpoint,
        examples: &Examples,
        settings: Settings,
    ) -> Result<Self> {
        let recorded = &checkpoint.provenance.settings;
        let Settings { epochs, max_steps, mini_batch_tokens, report_to, .. } = settings;
        Settings { epochs, max_steps, mini_batch_tokens, report_to, ..recorded.clone() }.check_same(&settings)?;
        settings.check()?;
        checkpoint.provenance.check_same_data(examples)?;
        let steps = total_steps(&settings, examples)?;
        if steps < total_steps(recorded, examples)? {
            recorded.check_same(&settings)?; // names the setting that made the run shorter
        }
        if checkpoint.step() > steps {
            return Err(Error::Damaged {
                file: checkpoint.path().to_path_buf(),
                expected: format!("at most the run's {steps} steps"),
                found: checkpoint.step().to_string(),
            });
        }
        let mut encoder = checkpoint.load_encoder()?;
        settings.apply_to(&mut encoder)?;
        settings.add_mlm_head(&mut encoder)?;
        checkpoint.load_training_mlp(&mut encoder)?;
        let sources = checkpoint.provenance.sources();
        let start = Start::Resumed(output, Box::new(checkpoint));
        Self::prepare(encoder, examples, settings, steps, sources, start)
    }

    fn prepare(
        encoder: SentenceEncoder,
        examples: &Examples,
        settings: Settings,
        total_steps: u64,
        sources: Sources,
        start: Start,
    ) -> Result<Self> {
        let draws = Draws::new(&settings, &encoder, examples, start.epochs())?;
        Ok(Self {
            sources,
            ranks: Ranks::default(),
            encoder,
            examples: examples.clone(),
            settings,
            total_steps,
            start,
            draws,
            memory: None,
        })
    }

    /// The model, with the settings applied.
    pub fn encoder(&self) -> &SentenceEncoder {
        &self.encoder
    }

    /// What it will be trained on.
    pub fn examples(&self) -> &Examples {
        &self.examples
    }

    /// The settings of the run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Steps that are already done: 0 unless the run is resumed.
    pub fn done(&self) -> u64 {
        self.start.done()
    }

    /// The output directory.
    pub fn output(&self) -> &Path {
        self.start.output()
    }

    /// How tokens are masked, if the run trains a language model.
    ///
    /// # Errors
    /// [`Error::NoMask`].
    pub fn masking(&self) -> Result<Option<Masking>> {
        let objectives = self.settings.objectives(&self.encoder.directory.tokenizer, self.examples.columns())?;
        Ok(objectives.masked_lm.map(|masked_lm| masked_lm.masking))
    }

    /// Forecasts the memory of the run. If whole batches would not fit, the run will encode them in
    /// pieces, the largest that fit.
    ///
    /// `evaluated` is the number of texts in the largest set that the callbacks score. `limit` is
    /// in bytes; by default it is what the process uses now plus what is available. Without this
    /// call, [`Trainer::train`] makes a plan without evaluations.
    ///
    /// # Errors
    /// [`Error::Memory`] with the largest setting that fits; [`Error::TooFewTokenized`] and
    /// [`Error::NothingToLearn`]; what the tokenizer reports.
    pub fn plan_memory(&mut self, evaluated: usize, limit: Option<u64>) -> Result<MemoryPlan> {
        let steps = self.total_steps - self.done();
        let Self { ranks, encoder, examples, settings, draws, .. } = self;
        let conditions = Conditions { ranks, steps, evaluated, limit };
        let plan = plan_memory(settings, encoder, examples, draws, conditions)?;
        self.settings.mini_batch_tokens = plan.mini_batch_tokens;
        self.memory = Some(plan);
        Ok(plan)
    }

    /// What may keep the run from learning. [`Trainer::train`] gives these warnings to its
    /// callbacks before the first step.
    ///
    /// # Errors
    /// [`Error::NothingToLearn`] if the tokenizer turns all sentences into the same token ids,
    /// [`Error::TooFewTokenized`] if it leaves too few different ones for a batch; what the
    /// tokenizer reports.
    pub fn warnings(&mut self) -> Result<Vec<Warning>> {
        let steps = self.total_steps - self.done();
        let Self { encoder, examples, settings, draws, total_steps, .. } = self;
        let sample = draws.look_ahead(encoder, steps, SAMPLE)?;
        warnings(settings, examples, *total_steps, sample)
    }

    /// Times `steps` steps, after one that allocates the buffers, and gives the run up: it writes
    /// nothing.
    ///
    /// # Errors
    /// What the tokenizer reports.
    pub fn rehearse(mut self, steps: u32) -> Result<Measured> {
        measure_prepared(&mut self.encoder, &self.examples, &self.settings, steps)
    }

    /// Trains to the end and writes the final model and its checkpoints to the output directory.
    ///
    /// # Errors
    /// See [`Error`]. Checkpoints that were reported as saved remain.
    pub fn train(mut self, callbacks: &mut dyn Callbacks) -> Result<Trained> {
        let memory = match self.memory {
            Some(plan) => plan,
            None => self.plan_memory(0, None)?,
        };
        let found = self.warnings()?;
        let mut run = self.open(callbacks)?;
        let Self { ranks, mut encoder, examples, settings, total_steps, mut draws, .. } = self;

        let schedule = LinearSchedule { warmup_steps: settings.warmup_steps_of(total_steps), total_steps };
        let objectives = settings.objectives(&encoder.directory.tokenizer, examples.columns())?;
        let mut optimizer = AdamW::new(encoder.params.layout(), settings.weight_decay, settings.adam_epsilon);
        let mut progress = run.restore(&mut optimizer)?;
        let mut grads = Grads::zeros(encoder.params.layout().clone());
        let mut buffers = memory.buffers().excluding(encoder.prompt(&settings.prompt)?.excluded).across(ranks.clone());
        let rules = Rules::new(&settings, &objectives, examples.columns(), encoder.dimension(), total_steps);
        let logging_steps = settings.logging_interval(examples.columns(), callbacks.probed_texts());
        warn(found, &mut progress, &mut run, callbacks)?;
        if !run.is_resumed() {
            probe(&encoder, &rules, &mut progress, &mut run, callbacks)?;
        }

        loop {
            let step = progress.global_step;
            let at_end = step == total_steps;
            let improved = due(step, settings.eval_steps, at_end)
                && evaluate(&encoder, (&settings, &rules), &mut progress, &mut run, callbacks)?;
            let best = improved && settings.load_best_model_at_end;
            let last = at_end || progress.out_of_patience(&settings);
            let stopping = ranks.any(callbacks.stop_requested());
            if best || stopping || (step > 0 && due(step, Some(settings.save_steps), last)) {
                let state = State { encoder: &encoder, optimizer: &optimizer, progress: &progress, total_steps };
                run.save_checkpoint(&state)?.inspect(|checkpoint| callbacks.on_save(checkpoint));
                run.rotate(&progress)?;
            }
            if stopping {
                return Err(Error::Stopped { step, path: run.path().to_path_buf() });
            }
            if last {
                break;
            }

            ranks.take_traffic();
            let started = Instant::now();
            let draw = draws.next(&encoder)?;
            let batches = &draw.batches;
            if step == 0 {
                let dropout = settings.dropout(step, 0);
                check_gradient_flow(&encoder, &batches[0], &dropout, &objectives, &mut buffers, &mut grads)?;
            }
            let dropout = |batch| settings.dropout(step, batch);
            let found = mean_gradient(&encoder, batches, dropout, &objectives, &mut buffers, &mut grads);
            let norm = gradient_norm(&grads);
            let learning_rate = settings.learning_rate * schedule.factor(step);
            if found.loss.is_finite() && norm.is_finite() {
                let scale = clip_scale(norm, settings.max_grad_norm);
                optimizer.update(&mut encoder.params, &grads, learning_rate, scale);
            }

            let record = StepRecord {
                traffic: ranks.take_traffic(),
                ..StepRecord::new(step + 1, &draw, found, learning_rate, norm, started.elapsed())
            };
            log_step((&record, &draw), &rules, &mut progress, &mut run, callbacks)?;
            if due(step + 1, Some(logging_steps), step + 1 == total_steps) {
                probe(&encoder, &rules, &mut progress, &mut run, callbacks)?;
            }
        }

        // Before the model is copied, which leaving out a layer takes.
        drop((optimizer, grads, buffers));
        if encoder.has_training_mlp() {
            encoder.remove_training_mlp();
        }
        let best = progress.best_global_step.filter(|_| settings.load_best_model_at_end);
        if let Some(best) = best.filter(|&best| best != progress.global_step) {
            run.load_weights(best, &mut encoder)?;
        }
        let test = test(&encoder, &ranks, &progress, &mut run, callbacks)?;
        let summary = Summary { test, ..Summary::of(&progress, &settings) };
        run.save_model(&encoder, &summary)?;
        Ok(Trained { encoder, summary })
    }

    /// Creates or reopens the output directory and writes the run's record into it.
    fn open(&mut self, callbacks: &mut dyn Callbacks) -> Result<RunDirectory> {
        let Self { ranks, encoder, examples, total_steps, .. } = self;
        let start = std::mem::take(&mut self.start);
        let provenance = start.provenance(&self.sources, examples, &self.settings);
        let provenance = Provenance { total_steps: *total_steps, ranks: ranks.size(), ..provenance };
        same::check(ranks, &provenance, start.done())?;
        let (mut run, aside) = start.open(ranks, provenance, encoder)?;
        if !aside.is_empty() {
            callbacks.on_set_aside(&aside);
        }
        run.open_reports().iter().for_each(|error| callbacks.on_report_failed(error));
        Ok(run)
    }
}

/// Whether something that happens every `every` steps, before the first step and after the last
/// one, happens now, with `step` steps done.
fn due(step: u64, every: Option<u64>, last: bool) -> bool {
    step == 0 || last || every.is_some_and(|every| step.is_multiple_of(every))
}
