//! Texts that are compared with one another: a file that is encoded, or an index.
//!
//! This file knows the libraries. It must not know any one command.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use simcse_eval::{Index, Storage, Vectors};
use simcse_model::io::{Texts, source_name};
use simcse_model::{Prompt, SentenceEncoder};

use crate::args::{PrecisionArgs, PromptArgs};
use crate::error::Failure;
use crate::inputs::load_to_encode;
use crate::{progress, report, stop};

#[derive(Debug, Args)]
pub(crate) struct CorpusArgs {
    /// Sentences, one per line, UTF-8, plain or .gz, or a table: .csv, .tsv or .jsonl
    #[arg(required_unless_present = "index", conflicts_with = "index", requires = "model")]
    sentences: Option<PathBuf>,
    /// Column of a table that holds the sentences
    #[arg(long, value_name = "COLUMN", requires = "sentences", value_parser = NonEmptyStringValueParser::new())]
    text_column: Option<String>,
    /// The model that encodes them: a sentence-transformers or Hugging Face directory, or a name on
    /// the hub
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// Use the sentences of an index instead of a file
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    index: Option<PathBuf>,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    prompt: PromptArgs,
}

/// Texts and their vectors.
pub(crate) struct Corpus {
    pub(crate) texts: Vec<String>,
    pub(crate) vectors: Vectors,
}

impl Corpus {
    /// What the arguments name, encoded if need be.
    pub(crate) fn read(args: &CorpusArgs) -> Result<Self, Failure> {
        match (&args.index, &args.sentences, &args.model) {
            (Some(index), ..) => Self::of_index(index),
            (None, Some(sentences), Some(model)) => {
                let encoder = load_to_encode(model, args.precision.get())?;
                let prompt = args.prompt.resolve(&encoder)?;
                let texts = read_texts(sentences, args.text_column.as_deref())?;
                let vectors = encode(&encoder, prompt, &texts)?;
                Ok(Self { texts, vectors })
            }
            _ => Err(Failure::Usage("no sentences: give a file and --model, or --index".to_owned())),
        }
    }

    fn of_index(directory: &Path) -> Result<Self, Failure> {
        let mut index = Index::open(directory)?;
        let record = |row| Ok(index.record(row)?.text().to_owned());
        let texts = (0..index.rows()).map(record).collect::<Result<_, Failure>>()?;
        let vectors = index.vectors(0..index.rows())?;
        Ok(Self { texts, vectors })
    }
}

/// All texts of a file.
pub(crate) fn read_texts(path: &Path, column: Option<&str>) -> Result<Vec<String>, Failure> {
    let mut source = Texts::open(path, column)?;
    let mut texts = Vec::new();
    while let Some(line) = source.next_text()? {
        texts.push(line.text.to_owned());
    }
    for warning in source.warnings() {
        report::warn(&format!("{}: {warning}", source_name(path)));
    }
    Ok(texts)
}

/// The texts on both sides of a table of pairs.
pub(crate) fn read_pairs(path: &Path, columns: &[String]) -> Result<(Vec<String>, Vec<String>), Failure> {
    let mut texts = Texts::open_columns(path, columns)?;
    if texts.columns() != 2 {
        let found = texts.columns();
        let message = "expected two columns of texts (--text-columns A,B)";
        return Err(Failure::Failed(format!("{}: {message}, found {found}", path.display())));
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    while let Some(pair) = texts.next_texts()? {
        left.push(pair[0].clone());
        right.push(pair[1].clone());
    }
    Ok((left, right))
}

/// The vectors of texts. Equal texts are encoded once.
pub(crate) fn encode(encoder: &SentenceEncoder, prompt: Prompt, texts: &[String]) -> Result<Vectors, Failure> {
    let bar = progress::sentences_bar(Some(texts.len() as u64));
    let mut vectors = Vectors::new(Storage::F32, encoder.dimension());
    vectors.reserve(texts.len());
    for part in texts.chunks(SentenceEncoder::ENCODED_SENTENCES) {
        if stop::requested() {
            return Err(Failure::Stopped("stopped".to_owned()));
        }
        vectors.push(embeddings(encoder, prompt, part)?.view());
        bar.inc(part.len() as u64);
    }
    Ok(vectors)
}

/// The embeddings of a few texts, all finite.
pub(crate) fn embeddings(
    encoder: &SentenceEncoder,
    prompt: Prompt,
    texts: &[impl AsRef<str>],
) -> Result<ndarray::Array2<f32>, Failure> {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let embeddings = encoder.encode_with_prompt(prompt.text, &texts)?;
    match embeddings.rows().into_iter().position(|row| row.iter().any(|value| !value.is_finite())) {
        None => Ok(embeddings),
        Some(row) => Err(Failure::Failed(format!(
            "the model gives an embedding with NaN or infinite values for \"{}\": its weights are damaged or too large",
            simcse_model::io::excerpt(texts[row], 80)
        ))),
    }
}
