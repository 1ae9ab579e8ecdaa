//! `simcse index`: the embeddings of a corpus on disk, for `simcse search`.

use std::collections::HashMap;
use std::mem;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use indicatif::ProgressBar;
use serde_json::json;
use simcse_eval::{Description, Index, IndexWriter, Record, Storage, Vectors};
use simcse_model::io::{Texts, excerpt, format_bytes, source_name};
use simcse_model::{Named, Prompt, SentenceEncoder};

use crate::args::{JsonArgs, ModelArgs, PromptArgs, named};
use crate::corpus::embeddings;
use crate::error::Failure;
use crate::hits::index_model;
use crate::inputs::load_to_encode;
use crate::report::{self, counted};
use crate::{progress, stop};

/// How often what is encoded is made part of the index.
const COMMIT: Duration = Duration::from_secs(5);

const HELP: &str = "\
Every line of a text file, and every record of a table, becomes a row: its embedding, scaled to length
1, its text, and the other columns of its record, which `simcse search` can filter by.

The same command goes on where it was interrupted, and adds what has been appended to the file since.
Other files are added with --append; texts that are already there are not encoded again.

  --storage  bytes per value   cosines differ by
  f32        4                 nothing
  f16        2                 less than 0.001
  int8       1                 less than 0.01

Examples:
  simcse index questions.txt.gz --model output/my-model --output questions
  simcse index products.jsonl --text-column name --model output/my-model --output products --storage f16
  simcse index more.txt --model output/my-model --output questions --append";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct IndexArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The corpus: one text per line, UTF-8, plain or .gz, or a table: .csv, .tsv or .jsonl; - for
    /// standard input
    corpus: PathBuf,
    /// Column of a table that holds the texts
    #[arg(long, value_name = "COLUMN", value_parser = NonEmptyStringValueParser::new())]
    text_column: Option<String>,
    /// Directory of the index
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// How values are stored: f32, f16 or int8 [default: that of the index, or f32]
    #[arg(long, value_name = "NAME", value_parser = named::<Storage>)]
    storage: Option<Storage>,
    /// Add the corpus to an index of other files
    #[arg(long)]
    append: bool,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &IndexArgs) -> Result<(), Failure> {
    let encoder = load_to_encode(&args.model.model, args.model.precision.get())?;
    let prompt = args.prompt.given(&encoder)?.unwrap_or(encoder.directory.prompts.document());
    let prompt = encoder.prompt(prompt)?;
    let existing = args.output.join("index.json").exists().then(|| Index::open(&args.output)).transpose()?;
    let stored = existing.as_ref().map(|index| index.description.storage());
    let storage = args.storage.or(stored).unwrap_or_default();
    let model = index_model(&args.model.model, &encoder);
    let wanted = Description::new(model, prompt.text, storage, encoder.dimension());
    let mut writer = IndexWriter::open(&args.output, &wanted)?;
    let name = source_name(&args.corpus);
    let skipped = begin(&mut writer, &name, args.append)?;

    let started = Instant::now();
    let bar = progress::sentences_bar(None);
    let known = known(existing.as_ref(), writer.description.rows - skipped)?;
    let mut indexing = Indexing { encoder: &encoder, prompt, existing, known, writer, bar, encoded: 0 };
    let _deferred = stop::defer();
    indexing.run(args, skipped)?;
    let Indexing { writer, encoded, .. } = indexing;

    let Description { rows, dimension, .. } = writer.description;
    let bytes = (rows * storage.bytes(dimension)) as u64;
    let seconds = started.elapsed().as_secs_f64();
    if args.json.json {
        let report = json!({
            "rows": rows, "encoded": encoded, "dimension": dimension, "storage": storage.name(),
            "vector_bytes": bytes, "seconds": seconds,
        });
        return report::print_json(&report);
    }
    report::note(&format!(
        "{} in {}, {encoded} of them encoded in {seconds:.1} s; {dimension} values each as {}, {} in all",
        counted(rows, "row", "rows"),
        args.output.display(),
        storage.name(),
        format_bytes(bytes)
    ));
    Ok(())
}

/// Continues the last source of the index, if the corpus is that one, or begins a new one. Returns
/// how many of the corpus's rows are there already.
fn begin(writer: &mut IndexWriter, name: &str, append: bool) -> Result<usize, Failure> {
    let usage = |message: String| Err(Failure::Usage(message));
    match writer.description.sources.last() {
        Some(last) if last.name == name => Ok(last.rows),
        Some(last) if !last.is_complete => usage(format!(
            "the index does not have all of {} yet: index it first, to go on where it was left",
            last.name
        )),
        Some(last) if !append => {
            usage(format!("the index has the rows of {}: give --append to add those of {name}", last.name))
        }
        _ => {
            writer.begin(name);
            Ok(0)
        }
    }
}

/// The rows of texts that are in the index, apart from those of the source that goes on.
fn known(existing: Option<&Index>, rows: usize) -> Result<HashMap<String, usize>, Failure> {
    let Some(index) = existing else { return Ok(HashMap::new()) };
    (0..rows).map(|row| Ok((index.record(row)?.text().to_owned(), row))).collect()
}

/// A corpus on its way into an index.
struct Indexing<'a> {
    encoder: &'a SentenceEncoder,
    prompt: Prompt<'a>,
    /// The index as it was before.
    existing: Option<Index>,
    known: HashMap<String, usize>,
    writer: IndexWriter,
    bar: ProgressBar,
    encoded: usize,
}

impl Indexing<'_> {
    /// Adds all rows of the corpus, except for the first ones, which must be those that are there.
    fn run(&mut self, args: &IndexArgs, skipped: usize) -> Result<(), Failure> {
        let first = self.writer.description.rows - skipped;
        let mut texts = Texts::open(&args.corpus, args.text_column.as_deref())?.with_other_fields();
        let mut committed = Instant::now();
        let mut chunk = Vec::new();
        let mut row = 0;
        while let Some(line) = texts.next_text()? {
            if row < skipped {
                self.check_same(first + row, line.text, line.number, args)?;
            } else {
                let text = line.text.to_owned();
                chunk.push(Record::new(&text, texts.other_fields()));
            }
            row += 1;
            if chunk.len() == SentenceEncoder::ENCODED_SENTENCES {
                self.add(mem::take(&mut chunk))?;
                if stop::requested() {
                    self.writer.commit(false)?;
                    let rows = counted(self.writer.description.rows, "row", "rows");
                    return Err(Failure::Stopped(format!("stopped after {rows}; the same command goes on")));
                }
                if committed.elapsed() > COMMIT {
                    self.writer.commit(false)?;
                    committed = Instant::now();
                }
            }
        }
        if row < skipped {
            return Err(Failure::Failed(format!(
                "{}: expected the {skipped} rows that the index has of it, found {row}",
                source_name(&args.corpus)
            )));
        }
        for warning in texts.warnings() {
            report::warn(&format!("{}: {warning}", source_name(&args.corpus)));
        }
        self.add(chunk)?;
        Ok(self.writer.commit(true)?)
    }

    fn check_same(&self, row: usize, text: &str, line: u64, args: &IndexArgs) -> Result<(), Failure> {
        let index = self.existing.as_ref().expect("there are rows");
        let record = index.record(row)?;
        if record.text() == text {
            return Ok(());
        }
        Err(Failure::Failed(format!(
            "{}, line {line}: expected the text that is indexed, \"{}\", found \"{}\": the file has changed; make a new \
             index",
            source_name(&args.corpus),
            excerpt(record.text(), 80),
            excerpt(text, 80)
        )))
    }

    /// Adds rows; those with new texts are encoded.
    fn add(&mut self, records: Vec<Record>) -> Result<(), Failure> {
        let new: Vec<&str> = records.iter().map(Record::text).filter(|text| !self.known.contains_key(*text)).collect();
        let embeddings = embeddings(self.encoder, self.prompt, &new)?;
        let storage = self.writer.description.storage();
        let mut vectors = Vectors::new(storage, self.encoder.dimension());
        let mut rows = embeddings.rows().into_iter();
        for record in &records {
            match self.known.get(record.text()) {
                Some(&row) => {
                    let index = self.existing.as_mut().expect("it knows a text");
                    vectors.push_bytes(&index.vectors(row..row + 1)?.to_bytes(0..1));
                }
                None => {
                    let embedding = rows.next().expect("an embedding for each new text");
                    vectors.push(embedding.insert_axis(ndarray::Axis(0)));
                }
            }
        }
        self.encoded += new.len();
        self.bar.inc(records.len() as u64);
        Ok(self.writer.append(&records, &vectors)?)
    }
}
