//! `simcse bench`: where the time of a training step goes, and how near it is to what the processor can do.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use simcse_model::{DropoutPlan, Precision, SentenceEncoder, Work};
use simcse_tensor::profile::{Part, Profile, record, time};
use simcse_tensor::{Grads, peak_flops};
use simcse_train::adamw::{AdamW, clip_scale, gradient_norm};
use simcse_train::{BatchSampler, Sentences, Settings, Workspace, accumulate_gradient};

use super::load;
use crate::args::{JsonArgs, ModelArgs};
use crate::error::Failure;
use crate::report::{self, counted};

const HELP: &str = "\
Trains for some steps, writes nothing, and prints the time of each part of a step: what to send along with a report that
training is slow. FLOP are the multiply-adds, two each, that the mathematics needs on real tokens: all matrix products
forward and backward, attention at its real lengths, nothing for padding or for computing a value again. Peaks are what this
processor does on registers alone, measured before the steps.

Example:
  simcse bench titles.txt --model distilroberta-base --precision bf16";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct BenchArgs {
    /// Text to train on, one sentence a line, UTF-8, plain or .gz; - is standard input
    sentences: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Sentences in a batch, 2 or more
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch_size: usize,
    /// Tokens at which a sentence is cut, 3 or more
    #[arg(long, value_name = "N", default_value_t = 32)]
    max_seq_length: usize,
    /// Steps that are measured, behind one that is not
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: BenchArgs) -> Result<(), Failure> {
    let mut encoder = load(&args.model.model, &args.model.precision)?;
    let settings = settings(&args, &encoder)?;
    encoder.directory.max_seq_length = settings.max_seq_length;
    let sentences = Sentences::read(&args.sentences, 1)?;
    let peaks = Peaks::measure(encoder.precision);

    let mut bench = Bench::new(encoder, settings);
    let batches = bench.settings.batching().batches(&sentences, 0).cycle();
    let (mut steps, mut total) = (0, Measured::default());
    for batch in batches.take(args.steps as usize + 1) {
        let measured = bench.step(&sentences.select(&batch))?;
        if steps > 0 {
            total.add(&measured);
        }
        steps += 1;
    }
    if steps == 0 {
        let (name, batch_size) = (sentences.name(), bench.settings.batch_size);
        return Err(Failure::Failed(format!("{name}: expected {batch_size} sentences, found {}", sentences.len())));
    }
    let report = Report { args: &args, encoder: &bench.encoder, peaks, steps: f64::from(args.steps), total };
    if args.json.json { report::print_json(&report.json()) } else { report::print(&report.text()) }
}

fn settings(args: &BenchArgs, encoder: &SentenceEncoder) -> Result<Settings, Failure> {
    let config = encoder.config();
    let settings = Settings {
        batch_size: args.batch_size,
        max_seq_length: args.max_seq_length,
        hidden_dropout: config.hidden_dropout_prob,
        attention_dropout: config.attention_probs_dropout_prob,
        batch_sampler: BatchSampler::Batch,
        ..Settings::default()
    };
    settings.check()?;
    let most = config.max_tokens();
    if settings.max_seq_length > most {
        let found = settings.max_seq_length;
        return Err(Failure::Failed(format!(
            "--max-seq-length: expected at most {most} for this model, found {found}"
        )));
    }
    Ok(settings)
}

/// FLOP per second on registers, all threads.
struct Peaks {
    f32: f64,
    /// Of the products with weights.
    products: f64,
}

impl Peaks {
    fn measure(precision: Precision) -> Self {
        let f32 = peak_flops(Precision::F32);
        Self { f32, products: if precision == Precision::F32 { f32 } else { peak_flops(precision) } }
    }
}

/// The state of training.
struct Bench {
    encoder: SentenceEncoder,
    settings: Settings,
    optimizer: AdamW,
    grads: Grads,
    workspace: Workspace,
    step: u32,
}

impl Bench {
    fn new(encoder: SentenceEncoder, settings: Settings) -> Self {
        let layout = encoder.params.layout();
        let optimizer = AdamW::new(layout, settings.weight_decay, settings.adam_epsilon);
        let grads = Grads::zeros(layout.clone());
        Self { encoder, settings, optimizer, grads, workspace: Workspace::default(), step: 0 }
    }

    /// One step of training.
    fn step(&mut self, sentences: &[&str]) -> Result<Measured, Failure> {
        let Self { encoder, settings, optimizer, grads, workspace, step } = self;
        let dropout = DropoutPlan {
            hidden: settings.hidden_dropout,
            attention: settings.attention_dropout,
            seed: settings.seed,
            step: *step,
        };
        *step += 1;
        let started = Instant::now();
        let (tokens, profile) = record(|| {
            let tokens = time(Part::Tokenisation, || encoder.tokenize(sentences))?;
            time(Part::Optimiser, || grads.clear());
            accumulate_gradient(encoder, &tokens, Some(&dropout), settings.scale, workspace, grads);
            time(Part::Optimiser, || {
                let scale = clip_scale(gradient_norm(grads), settings.max_grad_norm);
                optimizer.update(&mut encoder.params, grads, settings.learning_rate, scale);
            });
            simcse_model::Result::Ok(tokens)
        });
        let (seconds, tokens) = (started.elapsed(), tokens?);
        let views = || tokens.iter().chain(&tokens).map(Vec::len);
        let similarities = 2.0 * (tokens.len() * tokens.len() * encoder.dimension()) as f64;
        let work = Work::forward(encoder.config(), views());
        Ok(Measured { seconds, profile, tokens: views().sum(), work, similarities })
    }
}

/// What one or more steps took and did.
#[derive(Default)]
struct Measured {
    seconds: Duration,
    profile: Profile,
    /// Of both views.
    tokens: usize,
    /// Of the forward pass.
    work: Work,
    /// FLOP of the loss's forward.
    similarities: f64,
}

impl Measured {
    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.profile += &other.profile;
        self.tokens += other.tokens;
        self.work += other.work;
        self.similarities += other.similarities;
    }

    /// All FLOP, forward and backward: each product of the forward has two in the backward.
    fn flop(&self) -> f64 {
        3.0 * (self.work.total() + self.similarities)
    }
}

/// The figures of a part, or of a whole step.
struct Line {
    name: &'static str,
    seconds: f64,
    /// FLOP per second and the share of the peak of what computes them, where the mathematics asks for products.
    speed: Option<(f64, f64)>,
}

struct Report<'a> {
    args: &'a BenchArgs,
    encoder: &'a SentenceEncoder,
    peaks: Peaks,
    steps: f64,
    total: Measured,
}

impl Report<'_> {
    /// Every part that took time, what no part accounts for, and the whole step, in seconds a step.
    fn lines(&self) -> Vec<Line> {
        let Measured { seconds, profile, .. } = &self.total;
        let line = |name, time: Duration, work: Option<(f64, f64)>| {
            let speed = work.map(|(flop, peak)| (flop / time.as_secs_f64(), flop / time.as_secs_f64() / peak));
            Line { name, seconds: time.as_secs_f64() / self.steps, speed }
        };
        let parts = Part::ALL.into_iter().filter(|&part| !profile.of(part).is_zero());
        let mut lines: Vec<_> = parts.map(|part| line(part.name(), profile.of(part), self.part_work(part))).collect();
        lines.push(line("the rest", seconds.saturating_sub(profile.total()), None));
        lines.push(line("step", *seconds, Some((self.total.flop(), self.peaks.products))));
        lines
    }

    /// FLOP of a part, and the peak of what computes them: attention is f32 in any precision.
    fn part_work(&self, part: Part) -> Option<(f64, f64)> {
        let Work { linear, gelu_linear, attention } = self.total.work;
        match part {
            Part::Forward | Part::Dx | Part::Dw => Some((linear, self.peaks.products)),
            Part::GeluForward => Some((gelu_linear, self.peaks.products)),
            Part::GeluBackward => Some((2.0 * gelu_linear, self.peaks.products)),
            Part::Attention => Some((attention, self.peaks.f32)),
            Part::AttentionBackward => Some((2.0 * attention, self.peaks.f32)),
            _ => None,
        }
    }

    fn text(&self) -> String {
        let BenchArgs { model, batch_size, .. } = self.args;
        let (config, precision) = (self.encoder.config(), self.encoder.precision);
        let sentences = 2.0 * self.steps * *batch_size as f64;
        let mut text = format!(
            "{}: {}, {} wide, {precision} products on {}, {}\n\
             batches of {batch_size} sentences, two views, {:.1} tokens a sentence\n\
             peak of {}: f32 {:.0} GFLOP/s{}\n\n",
            model.model,
            counted(config.num_hidden_layers, "layer", "layers"),
            config.hidden_size,
            simcse_model::instruction_set(),
            counted(rayon::current_num_threads(), "thread", "threads"),
            self.total.tokens as f64 / sentences,
            counted(rayon::current_num_threads(), "thread", "threads"),
            self.peaks.f32 / 1e9,
            if precision == Precision::F32 {
                String::new()
            } else {
                format!(", {precision} {:.0} GFLOP/s", self.peaks.products / 1e9)
            },
        );
        let whole = self.total.seconds.as_secs_f64() / self.steps;
        let _ = writeln!(text, "{:28}  {:>8}  {:>6}  {:>8}  {:>7}", "part", "ms/step", "share", "GFLOP/s", "of peak");
        for Line { name, seconds, speed } in self.lines() {
            let speed = speed
                .map_or(String::new(), |(flops, share)| format!("  {:>8.1}  {:>6.1}%", flops / 1e9, 100.0 * share));
            let _ = writeln!(text, "{name:28}  {:>8.1}  {:>5.1}%{speed}", 1e3 * seconds, 100.0 * seconds / whole);
        }
        let speed = self.steps * *batch_size as f64 / self.total.seconds.as_secs_f64();
        let _ = write!(text, "\n{speed:.1} sentences/s, {:.3} TFLOP a step", self.total.flop() / self.steps / 1e12);
        if let Some(bytes) = peak_memory() {
            let _ = write!(text, ", at most {:.2} GB of memory", bytes as f64 / 1e9);
        }
        text
    }

    fn json(&self) -> Value {
        let lines = self.lines();
        let part = |line: &Line| {
            let (flops, share) = line.speed.unzip();
            json!({ "part": line.name, "seconds": line.seconds, "flops": flops, "share_of_peak": share })
        };
        let (step, parts) = lines.split_last().expect("the step is the last line");
        json!({
            "model": self.args.model.model,
            "precision": self.encoder.precision.name(),
            "instruction_set": simcse_model::instruction_set(),
            "threads": rayon::current_num_threads(),
            "batch_size": self.args.batch_size,
            "tokens_per_step": self.total.tokens as f64 / self.steps,
            "flop_per_step": self.total.flop() / self.steps,
            "peak_flops_f32": self.peaks.f32,
            "peak_flops": self.peaks.products,
            "parts": parts.iter().map(part).collect::<Vec<_>>(),
            "step": part(step),
            "peak_memory_bytes": peak_memory(),
        })
    }
}

/// The most memory that this process ever had, in bytes; where Linux says so.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
