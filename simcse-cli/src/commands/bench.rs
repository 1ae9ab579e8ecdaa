//! `simcse bench`: where the time of a training step goes, and how close that is to the processor's
//! peak.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};
use simcse_model::{Isa, Named, Precision, SentenceEncoder, Work};
use simcse_train::memory::peak_memory;
use simcse_train::{Examples, Measured, PARTS, Part, Settings, Training, measure_steps, peak_flops};

use crate::args::JsonArgs;
use crate::error::Failure;
use crate::inputs::load;
use crate::report::{self, counted};
use crate::setting_args::{OfBench, SettingArgs};

const HELP: &str = "\
Trains for a few steps, writes nothing, and prints the time that each part of a step takes: include \
its output in a report that training is slow. FLOP are the multiply-adds, counted as two each, that \
the mathematics needs on real tokens: all matrix products forward and backward, and attention at its \
real lengths, with nothing for padding or for recomputing a value. Peaks are what this processor \
reaches on registers alone, measured before the steps.

Example:
  simcse bench titles.txt --model distilroberta-base --precision bf16";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct BenchArgs {
    /// Text to train on: one sentence per line, UTF-8, plain or .gz, or a table: .csv, .tsv or
    /// .jsonl; - for standard input
    sentences: PathBuf,
    /// Column or columns of a table that hold the texts, as in `train`
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', visible_alias = "text-columns")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    text_column: Vec<String>,
    /// The model to train: a directory of sentence-transformers or Hugging Face, or its name on the
    /// hub
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: String,
    #[command(flatten)]
    settings: SettingArgs<OfBench>,
    /// Steps to measure, after one warm-up step
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: BenchArgs) -> Result<(), Failure> {
    let mut encoder = load(&args.model, args.settings.precision())?;
    let settings = args.settings.over(Settings::for_model(&encoder))?;
    let examples = Examples::read_columns(&args.sentences, &args.text_column, 1)?;
    let peaks = Peaks::measure(encoder.precision);
    let measured = measure_steps(&mut encoder, &examples, &settings, args.steps)?;
    let columns = examples.columns();
    let report = Report { args: &args, settings: &settings, columns, encoder: &encoder, peaks, measured };
    if args.json.json { report::print_json(&report.json()) } else { report::print(&report.text()) }
}

/// FLOP per second on registers, over all threads.
struct Peaks {
    f32: f64,
    /// In the precision of products with weights.
    products: f64,
}

impl Peaks {
    fn measure(precision: Precision) -> Self {
        let f32 = peak_flops(Precision::F32);
        Self { f32, products: if precision == Precision::F32 { f32 } else { peak_flops(precision) } }
    }
}

/// The figures of a part of a step, or of the whole step.
struct Row {
    name: &'static str,
    seconds: f64,
    /// FLOP per second, and their share of the relevant peak; `None` for parts without matrix
    /// products.
    speed: Option<(f64, f64)>,
}

struct Report<'a> {
    args: &'a BenchArgs,
    settings: &'a Settings,
    /// Texts per example.
    columns: usize,
    encoder: &'a SentenceEncoder,
    peaks: Peaks,
    measured: Measured,
}

impl Report<'_> {
    fn steps(&self) -> f64 {
        self.args.steps.into()
    }

    /// Every part that took time, the time that no part accounts for, and the whole step, in
    /// seconds per step.
    fn lines(&self) -> Vec<Row> {
        let Measured { time: whole, profile, .. } = &self.measured;
        let line = |name, time: Duration, work: Option<(f64, f64)>| {
            let speed = work.map(|(flop, peak)| (flop / time.as_secs_f64(), flop / time.as_secs_f64() / peak));
            Row { name, seconds: time.as_secs_f64() / self.steps(), speed }
        };
        let parts = PARTS.into_iter().filter(|&part| !profile.of(part).is_zero());
        let mut lines: Vec<_> = parts.map(|part| line(part.0, profile.of(part), self.part_work(part))).collect();
        lines.push(line("the rest", whole.saturating_sub(profile.total()), None));
        lines.push(line("step", *whole, Some((self.measured.flop(), self.peaks.products))));
        lines
    }

    /// FLOP of a part, and the peak to compare them with: attention is f32 in any precision.
    fn part_work(&self, part: Part) -> Option<(f64, f64)> {
        let Work { linear, attention } = self.measured.forward;
        match part {
            Part::FORWARD | Part::DX | Part::DW => Some((linear, self.peaks.products)),
            Part::ATTENTION => Some((attention, self.peaks.f32)),
            Part::ATTENTION_BACKWARD => Some((2.0 * attention, self.peaks.f32)),
            _ => None,
        }
    }

    fn text(&self) -> String {
        let model = &self.args.model;
        let batch_size = self.settings.batch_size;
        let config = self.encoder.config();
        let precision = self.encoder.precision.name();
        let views = match self.settings.objective {
            Training::Contrastive => self.columns.max(2) + usize::from(self.settings.off_dropout),
            Training::Mlm => self.columns,
        };
        let rows = views as f64 * self.steps() * batch_size as f64;
        let examples = match self.columns {
            1 if views == 3 => "sentences, three views".to_owned(),
            1 if views == 2 => "sentences, two views".to_owned(),
            1 => "sentences".to_owned(),
            columns => format!("examples of {columns} texts"),
        };
        let mut text = format!(
            "{}: {}, {} wide, {precision} products on {}, {}\n\
             batches of {batch_size} {examples}, {:.1} tokens per text\n\
             peak of {}: f32 {:.0} GFLOP/s{}\n\n",
            model,
            counted(config.num_hidden_layers, "layer", "layers"),
            config.hidden_size,
            Isa::detected().name(),
            counted(rayon::current_num_threads(), "thread", "threads"),
            self.measured.tokens as f64 / rows,
            counted(rayon::current_num_threads(), "thread", "threads"),
            self.peaks.f32 / 1e9,
            if self.encoder.precision == Precision::F32 {
                String::new()
            } else {
                format!(", {precision} {:.0} GFLOP/s", self.peaks.products / 1e9)
            },
        );
        let whole = self.measured.time.as_secs_f64() / self.steps();
        let _ = writeln!(text, "{:28}  {:>8}  {:>6}  {:>8}  {:>7}", "part", "ms/step", "share", "GFLOP/s", "of peak");
        for Row { name, seconds, speed } in self.lines() {
            let speed = speed
                .map_or(String::new(), |(flops, share)| format!("  {:>8.1}  {:>6.1}%", flops / 1e9, 100.0 * share));
            let _ = writeln!(text, "{name:28}  {:>8.1}  {:>5.1}%{speed}", 1e3 * seconds, 100.0 * seconds / whole);
        }
        let speed = self.steps() * (self.columns * batch_size) as f64 / self.measured.time.as_secs_f64();
        let _ =
            write!(text, "\n{speed:.1} sentences/s, {:.3} TFLOP per step", self.measured.flop() / self.steps() / 1e12);
        if let Some(bytes) = peak_memory() {
            let _ = write!(text, ", at most {:.2} GB of memory", bytes as f64 / 1e9);
        }
        text
    }

    fn json(&self) -> Value {
        let lines = self.lines();
        let part = |line: &Row| {
            let (flops, share) = line.speed.unzip();
            json!({ "part": line.name, "seconds": line.seconds, "flops": flops, "share_of_peak": share })
        };
        let (step, parts) = lines.split_last().expect("the step is the last line");
        json!({
            "model": self.args.model,
            "precision": self.encoder.precision.name(),
            "instruction_set": Isa::detected().name(),
            "threads": rayon::current_num_threads(),
            "batch_size": self.settings.batch_size,
            "tokens_per_step": self.measured.tokens as f64 / self.steps(),
            "flop_per_step": self.measured.flop() / self.steps(),
            "peak_flops_f32": self.peaks.f32,
            "peak_flops": self.peaks.products,
            "parts": parts.iter().map(part).collect::<Vec<_>>(),
            "step": part(step),
            "peak_memory_bytes": peak_memory(),
        })
    }
}
