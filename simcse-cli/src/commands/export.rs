//! `simcse export`: a model for other programs.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;
use simcse_model::io::format_bytes;
use simcse_model::{Named, Precision, SentenceEncoder};

use crate::args::{JsonArgs, named};
use crate::error::Failure;
use crate::inputs::load;
use crate::report;

const HELP: &str = "\
The directory is one that sentence-transformers loads with ONNX Runtime instead of PyTorch:

  model = SentenceTransformer(\"output/onnx\", backend=\"onnx\")

It has the graph of the encoder, with its weights, in onnx/model.onnx, and next to it everything else
that a saved model has: configuration, tokenizer, pooling and what follows it, prompts. Above 2 GiB, the
weights are in onnx/model.onnx_data. There is no model.safetensors: keep the model that was exported, to
train it further.

Example:
  simcse export --model output/my-model --format onnx --output output/onnx";

/// What a model can be exported to.
#[derive(Clone, Copy, Debug)]
enum Format {
    Onnx,
}

impl Named for Format {
    const ALL: &'static [Self] = &[Self::Onnx];

    fn name(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ExportArgs {
    /// The model: a sentence-transformers or Hugging Face directory, or a name on the hub
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: String,
    /// What to export the model to: onnx, for ONNX Runtime
    #[arg(long, value_name = "NAME", value_parser = named::<Format>)]
    format: Format,
    /// Directory to write, which is empty or does not exist yet; it appears complete or not at all
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    json: JsonArgs,
}

pub(crate) fn run(args: &ExportArgs) -> Result<(), Failure> {
    SentenceEncoder::check_export(&args.output)?;
    let encoder = load(&args.model, Precision::F32)?;
    let path = match args.format {
        Format::Onnx => encoder.export_onnx(&args.output)?,
    };
    let mut bytes = 0;
    for entry in fs::read_dir(path.parent().expect("a file in a folder"))? {
        bytes += entry?.metadata()?.len();
    }
    if args.json.json {
        let report = json!({
            "format": args.format.name(), "path": path, "bytes": bytes, "opset": SentenceEncoder::ONNX_OPSET,
        });
        return report::print_json(&report);
    }
    report::note(&format!(
        "{}: {}, operators of version {}",
        path.display(),
        format_bytes(bytes),
        SentenceEncoder::ONNX_OPSET
    ));
    Ok(())
}
