//! `simcse encode`: the embeddings of the sentences in a file.

mod arrow;
mod format;
mod input;
mod output;
mod pass;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser};
use indicatif::ProgressBar;
use ndarray::{Axis, Slice};
use serde::Serialize;
use simcse_eval::{Ranges, ValueType};
use simcse_model::{BufferPool, Named};

use crate::args::{JsonArgs, ModelArgs, PromptArgs, named};
use crate::commands::encode::format::{Layout, Numbers, Row};
use crate::commands::encode::input::Input;
use crate::commands::encode::output::{Format, Output, Sink, replace};
use crate::commands::encode::pass::Encoding;
use crate::error::Failure;
use crate::inputs::load_to_encode;
use crate::progress;
use crate::report::{self, counted};
use crate::stop;

/// With fewer embeddings than this, sentences beyond their ranges are likely.
const FEW_FOR_RANGES: usize = 100;

const HELP: &str = "\
Every line of a text file, and every record of a .csv, .tsv or .jsonl file, gives one row, including \
empty ones. Texts are not trimmed.

  .npy          a matrix, for numpy.load
  .jsonl        one line {\"text\": \"…\", \"embedding\": [0.1, …]} per sentence
  .safetensors  one tensor, `embeddings`
  .arrow        columns `text` and `embedding`, for pandas.read_feather, polars.read_ipc and others

An existing file is replaced once the new one is complete. With --append, rows are added to it every
few seconds instead, and after a kill the same command goes on: no row is lost or written twice.

  --output-dtype  bytes per value  as in sentence-transformers
  f32             4                encode
  f16             2                encode, then astype(numpy.float16)
  int8, uint8     1                quantize_embeddings, with the ranges of --calibration
  binary, ubinary 1/8              quantize_embeddings

A model's default prompt, if it has one, is put in front of every sentence, as in
sentence-transformers; \"text\" in the output is the line without it.

Examples:
  simcse encode --model output/my-model titles.txt --output titles.npy
  simcse encode --model intfloat/e5-small-v2 q.txt --prompt 'query: ' -o q.npy
  simcse encode --model output/my-model pairs.csv --text-column sent0 -o pairs.npy
  simcse encode --model output/my-model titles.txt --truncate-dim 128 --output-dtype binary -o bits.npy
  simcse encode --model output/my-model ten-million.txt.gz --append -o embeddings.npy
  zcat titles.txt.gz | simcse encode --model output/my-model -o - | head -1";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct EncodeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Sentences, one per line, UTF-8, plain or .gz, or a table: .csv, .tsv or .jsonl; - or nothing
    /// for standard input
    input: Option<PathBuf>,
    /// Column of a table that holds the sentences: its name in the first line, its JSON key, or its
    /// number from 1 [default: the one named text, sentence, sent0, anchor or the like]
    #[arg(long, value_name = "COLUMN", value_parser = NonEmptyStringValueParser::new())]
    text_column: Option<String>,
    /// File to write, in the format of its extension: .npy, .jsonl, .safetensors or .arrow; - for
    /// standard output, as .jsonl
    #[arg(long, short, value_name = "FILE", value_parser = OsStringValueParser::new().try_map(Output::parse))]
    output: Output,
    /// Keep only the first values of each embedding, for models trained with --matryoshka-dims
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    truncate_dim: Option<u32>,
    /// Scale every embedding to length 1, like normalize_embeddings in sentence-transformers
    #[arg(long)]
    normalize: bool,
    /// What values are written as: f32, f16, int8, uint8, binary or ubinary [default: f32]
    #[arg(long, value_name = "NAME", value_parser = named::<ValueType>)]
    output_dtype: Option<ValueType>,
    /// Sentences whose embeddings give the smallest and largest value of each dimension, for int8
    /// and uint8 [default: the input, which is then encoded twice]
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Keep the rows of the output, which must be those of the first sentences, and add the others
    #[arg(long)]
    append: bool,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Serialize)]
struct EncodeReport<'a> {
    sentences: usize,
    /// Sentences longer than the model's maximum length.
    cut: usize,
    /// Rows that the output had before.
    kept: usize,
    dimension: usize,
    seconds: f64,
    sentences_per_second: f64,
    /// What was put in front of every sentence; empty for nothing.
    prompt: &'a str,
}

pub(crate) fn run(args: EncodeArgs) -> Result<(), Failure> {
    if args.input.is_none() && io::stdin().is_terminal() {
        let message = "no sentences: name a file with one sentence per line, or pipe them in (simcse encode --help)";
        return Err(Failure::Usage(message.to_owned()));
    }
    let path = args.input.clone().unwrap_or_else(|| "-".into());
    let input = Input { path, column: args.text_column.clone() };
    args.output.refuse(&input.path)?;
    if args.append && !args.output.grows() {
        let found = args.output.name();
        let message = format!("--append: expected a file that ends in .npy, .jsonl or .safetensors, found {found}");
        return Err(Failure::Usage(message));
    }
    let calibration = calibration(&args, &input)?;
    let sentences = input.count()?;
    let encoder = load_to_encode(&args.model.model, args.model.precision.get())?;
    let dimension = args.truncate_dim.map_or(encoder.dimension(), |dimension| dimension as usize);
    if dimension > encoder.dimension() {
        let most = encoder.dimension();
        return Err(Failure::Usage(format!("--truncate-dim: expected 1 to {most} values, found {dimension}")));
    }
    let prompt = args.prompt.resolve(&encoder)?;
    let mut encoding =
        Encoding { encoder: &encoder, prompt, dimension, normalize: args.normalize, pool: BufferPool::new(), cut: 0 };
    let ranges = calibration.map(|calibration| ranges(&mut encoding, &calibration)).transpose()?;

    let started = Instant::now();
    let numbers = Numbers { value_type: args.output_dtype.unwrap_or_default(), ranges, dimension };
    let to_terminal = matches!(args.output, Output::StandardOutput) && io::stdout().is_terminal();
    let bar = if to_terminal { ProgressBar::hidden() } else { progress::sentences_bar(sentences) };
    // A partial file is removed, or its rows are kept, before the process stops.
    let _deferred = matches!(args.output, Output::File(..)).then(stop::defer);
    let mut adding = Adding { encoding, input: &input, bar };
    let name = args.output.name();
    let result = match &args.output {
        Output::StandardOutput => adding.add_all(&mut Sink::standard_output(numbers), None),
        Output::File(path, Format::Rows(format)) if args.append => {
            adding.append(path, Layout { format: *format, numbers })
        }
        Output::File(path, format) => replace(path, *format, numbers, |sink| adding.add_all(sink, None)),
    };
    let Rows { kept, added: sentences } = result.map_err(|failure| match failure {
        Failure::Stopped(_) if !args.append => Failure::Stopped(format!("stopped; {name} was not written")),
        failure => failure,
    })?;

    let seconds = started.elapsed().as_secs_f64();
    let report = EncodeReport {
        sentences,
        cut: adding.encoding.cut,
        kept,
        dimension,
        seconds,
        sentences_per_second: if sentences == 0 { 0.0 } else { sentences as f64 / seconds },
        prompt: prompt.text,
    };
    if args.json.json {
        return report::print_json(&report);
    }
    report.print(&name, encoder.directory.max_seq_length);
    Ok(())
}

impl EncodeReport<'_> {
    /// Says what was written to `name`, with sentences of at most `most` tokens.
    fn print(&self, name: &str, most: usize) {
        let &Self { sentences, cut, kept, dimension, seconds, sentences_per_second, .. } = self;
        let embeddings = counted(sentences, "embedding", "embeddings");
        let after = if kept == 0 { String::new() } else { format!(" after the {kept} that were there") };
        report::note(&format!(
            "{embeddings}, {dimension} wide, written to {name}{after} in {seconds:.1} s ({sentences_per_second:.0} \
             sentences/s)"
        ));
        if cut > 0 {
            let sentences = counted(cut, "sentence was", "sentences were");
            report::note(&format!("{sentences} longer than {most} tokens and truncated"));
        }
    }
}

/// The sentences that `--output-dtype` needs for ranges.
fn calibration(args: &EncodeArgs, input: &Input) -> Result<Option<Input>, Failure> {
    let value_type = args.output_dtype.unwrap_or_default();
    let usage = |message: String| Err(Failure::Usage(message));
    match &args.calibration {
        Some(_) if !value_type.needs_ranges() => {
            usage(format!("--calibration: is for --output-dtype int8 and uint8, found {}", value_type.name()))
        }
        Some(path) => Ok(Some(Input { path: path.clone(), column: args.text_column.clone() })),
        None if !value_type.needs_ranges() => Ok(None),
        None if args.append || !input.is_read_twice() => usage(format!(
            "--output-dtype {}: needs --calibration FILE if sentences are appended or can be read only once",
            value_type.name()
        )),
        None => Ok(Some(input.clone())),
    }
}

/// The ranges of the embeddings of sentences.
fn ranges(encoding: &mut Encoding, input: &Input) -> Result<Ranges, Failure> {
    let bar = progress::sentences_bar(input.count()?);
    let mut ranges = Ranges::default();
    encoding.pass(input, 0, &bar, |_, embeddings| {
        ranges.add(embeddings.view());
        Ok(())
    })?;
    bar.finish_and_clear();
    encoding.cut = 0;
    match ranges.count() {
        count @ 0..2 => {
            return Err(Failure::Failed(format!(
                "{}: expected two or more sentences for the ranges of values, found {count}",
                input.name()
            )));
        }
        count @ 2..FEW_FOR_RANGES => report::warn(&format!(
            "{}: the ranges of values come from only {count} embeddings, and others may lie outside",
            input.name()
        )),
        _ => {}
    }
    Ok(ranges)
}

/// Sentences on their way into a file.
struct Adding<'a> {
    encoding: Encoding<'a>,
    input: &'a Input,
    bar: ProgressBar,
}

/// Rows that a file had, and those that it got.
struct Rows {
    kept: usize,
    added: usize,
}

impl Adding<'_> {
    /// Adds the sentences after those that a file has.
    fn append(&mut self, path: &Path, layout: Layout) -> Result<Rows, Failure> {
        let (mut sink, last) = Sink::append(path, layout)?;
        let added = self.add_all(&mut sink, last);
        // Also what was encoded before an error.
        sink.commit()?;
        added.map_err(|failure| match failure {
            Failure::Stopped(_) => {
                let rows = counted(sink.rows(), "row", "rows");
                Failure::Stopped(format!("stopped after {rows}; the same command goes on"))
            }
            failure => failure,
        })
    }

    /// Adds all sentences except those whose rows are there, of which the last one is `last`.
    fn add_all(&mut self, sink: &mut Sink, mut last: Option<Row>) -> Result<Rows, Failure> {
        let kept = sink.rows();
        let skipped = kept - usize::from(last.is_some());
        self.bar.inc(skipped as u64);
        self.encoding.pass(self.input, skipped, &self.bar, |chunk, embeddings| {
            let known = usize::from(last.is_some());
            if let Some(last) = last.take() {
                sink.check_last(&last, &chunk.texts[0], embeddings.row(0))?;
            }
            sink.write(&chunk.texts[known..], embeddings.slice_axis(Axis(0), Slice::from(known..)))
        })?;
        if last.is_some() {
            return Err(Failure::Failed(format!(
                "{}: expected the {kept} sentences whose embeddings are in the output, found fewer",
                self.input.name()
            )));
        }
        Ok(Rows { kept, added: sink.rows() - kept })
    }
}
