//! `simcse encode`: the embeddings of the sentences in a file.

mod input;
mod output;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use std::{panic, thread};

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser};
use indicatif::ProgressBar;
use serde::Serialize;
use simcse_eval::metrics::unit_rows;
use simcse_model::{BufferPool, Prompt, SentenceEncoder};

use crate::args::{JsonArgs, ModelArgs, PromptArgs};
use crate::commands::encode::input::{Chunk, Input};
use crate::commands::encode::output::{Format, Output, write_file};
use crate::error::Failure;
use crate::inputs::load;
use crate::progress;
use crate::report::{self, STANDARD_OUTPUT, counted};
use crate::stop;

/// How often to check for a stop while waiting for a pipe.
const PAUSE: Duration = Duration::from_millis(50);

const HELP: &str = "\
Every line of a text file, and every record of a .csv, .tsv or .jsonl file, gives one row, including \
empty ones. Texts are not trimmed.

  .npy          a float32 matrix, for numpy.load
  .jsonl        one line {\"text\": \"…\", \"embedding\": [0.1, …]} per sentence
  .safetensors  one float32 tensor, `embeddings`

An existing file is replaced once the new one is complete.

A model's default prompt, if it has one, is put in front of every sentence, as in
sentence-transformers; \"text\" in the output is the line without it.

Examples:
  simcse encode --model output/my-model titles.txt --output titles.npy
  simcse encode --model intfloat/e5-small-v2 q.txt --prompt 'query: ' -o q.npy
  simcse encode --model output/my-model pairs.csv --text-column sent0 -o pairs.npy
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
    /// File to write, in the format of its extension: .npy, .jsonl or .safetensors; - for standard
    /// output, as .jsonl
    #[arg(long, short, value_name = "FILE", value_parser = OsStringValueParser::new().try_map(Output::parse))]
    output: Output,
    /// Scale every embedding to length 1, like normalize_embeddings in sentence-transformers
    #[arg(long)]
    normalize: bool,
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
    let input = Input { path: args.input.unwrap_or_else(|| "-".into()), column: args.text_column };
    args.output.refuse(&input.path)?;
    let sentences = input.count()?;
    let encoder = load(&args.model.model, args.model.precision.get())?;
    let dimension = encoder.dimension();
    let prompt = args.prompt.resolve(&encoder)?;

    let started = Instant::now();
    let (name, format) = match &args.output {
        Output::StandardOutput => (STANDARD_OUTPUT.to_owned(), Format::Jsonl),
        Output::File(path, format) => (path.display().to_string(), *format),
    };
    let to_terminal = matches!(args.output, Output::StandardOutput) && io::stdout().is_terminal();
    let bar = if to_terminal { ProgressBar::hidden() } else { progress::sentences_bar(sentences) };
    let mut encoding = Encoding {
        encoder: &encoder,
        prompt,
        normalize: args.normalize,
        input: &input,
        output: &name,
        format,
        bar,
        pool: BufferPool::new(),
        written: 0,
        cut: 0,
    };
    // A partial file is removed before the process stops.
    let _deferred = matches!(args.output, Output::File(..)).then(stop::defer);
    let sentences = match &args.output {
        Output::StandardOutput => encoding.write(&mut BufWriter::new(io::stdout().lock()))?,
        Output::File(path, _) => write_file(path, format, dimension, |file| encoding.write(file))?,
    };

    let seconds = started.elapsed().as_secs_f64();
    let sentences_per_second = if sentences == 0 { 0.0 } else { sentences as f64 / seconds };
    let cut = encoding.cut;
    if args.json.json {
        let prompt = prompt.text;
        return report::print_json(&EncodeReport { sentences, cut, dimension, seconds, sentences_per_second, prompt });
    }
    let embeddings = counted(sentences, "embedding", "embeddings");
    report::note(&format!(
        "{embeddings}, {dimension} wide, written to {name} in {seconds:.1} s ({sentences_per_second:.0} sentences/s)"
    ));
    if cut > 0 {
        let most = encoder.directory.max_seq_length;
        report::note(&format!(
            "{} longer than {most} tokens and truncated",
            counted(cut, "sentence was", "sentences were")
        ));
    }
    Ok(())
}

struct Encoding<'a> {
    encoder: &'a SentenceEncoder,
    prompt: Prompt<'a>,
    normalize: bool,
    input: &'a Input,
    /// What errors call the output.
    output: &'a str,
    format: Format,
    bar: ProgressBar,
    pool: BufferPool,
    written: usize,
    cut: usize,
}

impl Encoding<'_> {
    /// Writes the embeddings of all sentences and returns their number.
    fn write(&mut self, out: &mut impl Write) -> Result<usize, Failure> {
        let input = self.input.clone();
        let (sender, chunks) = sync_channel(1);
        // On its own thread, because reading a pipe may block forever.
        let reader = thread::spawn(move || input.send(&sender));
        loop {
            if stop::requested() {
                return Err(Failure::Stopped(format!("stopped; {} was not written", self.output)));
            }
            match chunks.recv_timeout(PAUSE) {
                Ok(chunk) => self.write_chunk(out, &chunk)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let warnings = reader.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        self.input.warn_late(&warnings);
        Ok(self.written)
    }

    /// Encodes and writes the next sentences.
    fn write_chunk(&mut self, out: &mut impl Write, Chunk { texts, lines }: &Chunk) -> Result<(), Failure> {
        let tokens = self.encoder.tokenize_with_prompt(self.prompt, texts)?;
        let mut embeddings = self.encoder.encode_tokens_after(self.prompt.excluded, &tokens.ids, &mut self.pool);
        if let Some(row) = embeddings.rows().into_iter().position(|row| row.iter().any(|value| !value.is_finite())) {
            return Err(Failure::Failed(format!(
                "{}, line {}: the model gives an embedding with NaN or infinite values: its weights are damaged or \
                 too large",
                self.input.name(),
                lines[row]
            )));
        }
        if self.normalize {
            embeddings = unit_rows(embeddings.view());
        }
        self.format.write_rows(out, texts, embeddings.view()).map_err(Failure::writing(self.output))?;
        self.bar.inc(texts.len() as u64);
        self.written += texts.len();
        self.cut += tokens.cut;
        Ok(())
    }
}
